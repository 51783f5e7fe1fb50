"""Which masks FiftyOne marks as doubtful: those of the core's rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.doubt import DOUBTFUL
from sam2_plugins.fiftyone_plugin import propagate
from sam2_plugins.fiftyone_plugin.curves import Curve, DoubtfulFrame, doubtful, read_curves
from sam2_plugins.fiftyone_plugin.documents import read_made
from sam2_plugins.fiftyone_plugin.finding import find_footage
from tests.hosts.fiftyone.conftest import FRAMES, HEIGHT, WIDTH, label, put
from tests.support.doubts import doubts

PROMPTED = {1: {0}, 2: {7}}


def labels(movie: Any) -> dict[int, dict[int, Any]]:
    """Index to frame (from 0) to label."""
    found: dict[int, dict[int, Any]] = {1: {}, 2: {}}
    for number, frame in movie.first().frames.items():
        for one in frame.sam2.detections:
            found[one.index][number - 1] = one
    return found


def test_every_mask_has_the_doubt_of_the_cores_rule(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 8, "seed", label(2, 8))
    propagate(movie, "seed", direction="both")
    found = labels(movie)
    masks: dict[int, dict[int, ObjectMask]] = {1: {}, 2: {}}
    for index, made in found.items():
        for frame, one in made.items():
            read = read_made(one, (HEIGHT, WIDTH))
            assert read is not None
            assert read.mask is not None
            masks[index][frame] = read.mask
    for index, other in ((1, 2), (2, 1)):
        wanted = doubts(masks[index], PROMPTED[index], lambda frame, o=other: [masks[o][frame]])
        assert len(found[index]) == FRAMES
        for frame, one in found[index].items():
            assert one.doubt == pytest.approx(wanted[frame].value)
            assert (one.doubt_reasons or "") == ", ".join(wanted[frame].reasons)


def test_a_mask_that_goes_against_a_click_is_doubtful(movie: Any) -> None:
    both = fo.Keypoint(label="disc", index=1, points=[(0.3, 0.3), (0.3, 0.3)], sam2_labels=[1, 0])
    put(movie, 1, "seed", both)
    propagate(movie, "seed", last=2)
    one = labels(movie)[1][0]
    assert (one.doubt, one.doubt_reasons) == (1.0, "a click is not obeyed")


def test_the_panel_lists_doubtful_frames_the_worst_first(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=6)
    sample = movie.first()
    values = {2: 0.1, 3: DOUBTFUL, 4: 0.6, 5: 0.1, 6: 0.5}
    for number, value in values.items():
        (one,) = sample.frames[number].sam2.detections
        one.doubt, one.doubt_reasons = value, "jump of place" if number == 4 else None
    sample.save()
    (footage,) = find_footage(movie)
    told = [str(one) for one in doubtful(read_curves(footage, "sam2"))]
    assert told == ["Frame 4: disc 1, jump of place", "Frame 6: disc 1, several small signs"]


def test_the_most_doubtful_frames_of_a_dataset_are_found_as_the_documentation_says(
    movie: Any, tmp_path: Path
) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=5)
    sample = movie.first()
    for number, value in {2: 0.1, 3: 0.4, 4: 0.9, 5: 0.2}.items():
        sample.frames[number].sam2.detections[0].doubt = value
    sample.save()
    frames = movie.to_frames(sample_frames=True, output_dir=str(tmp_path))
    doubt = fo.ViewField("sam2.detections").map(fo.ViewField("doubt")).max()
    worst = frames.match(doubt >= 0.37).sort_by(doubt, reverse=True)
    assert worst.values("frame_number") == [4, 3]


def test_of_lost_frames_the_first_is_told() -> None:
    lost = [DoubtfulFrame(n, "cell 1", 1.0, "lost") for n in (4, 5, 6, 9)]
    curve = Curve("cell 1", doubtful=[DoubtfulFrame(3, "cell 1", 0.5), *lost])
    assert [one.frame for one in doubtful([curve])] == [4, 9]
