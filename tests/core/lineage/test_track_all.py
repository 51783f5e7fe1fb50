from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.lineage import AllObjects, note_on, track_all
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.training.synthetic.sample import sample_timelapse


@pytest.mark.slow
def test_a_movie_becomes_objects_frame_by_frame() -> None:
    movie, labels = sample_timelapse(seed=3, frames=4, size=256)
    frames = list(track_all(movie))
    assert [frame.frame for frame in frames] == [0, 1, 2, 3]
    true = len(np.unique(labels[1])) - 1
    assert 0.8 * true <= len(frames[1].masks) <= 1.25 * true


def test_labels_of_a_file_are_the_proposals(tmp_path: Path) -> None:
    movie, labels = sample_timelapse(seed=3, frames=2, size=128)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    frames = list(track_all(movie, how=AllObjects(labels=str(tmp_path / "labels.tif"))))
    seen = sum(mask.to_array() for mask in frames[0].masks.values())
    assert np.array_equal(np.asarray(seen) > 0, labels[0] > 0)


def test_a_photograph_is_not_what_nano_was_taught_on() -> None:
    model = cached_model("nano", device="cpu")
    colours = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), np.uint8)
    assert "published checkpoint" in note_on(VideoTracker(model, colours), 0)
    assert note_on(VideoTracker(model, colours[..., 0]), 0) == ""
