"""Labels of people outlive a run: those with odd attributes, and those made while it is at work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from sam2_plugins.fiftyone_plugin import Everything, Request, evaluate, propagate, segment
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.request import Progress
from sam2_plugins.fiftyone_plugin.videos import Video
from tests.hosts.fiftyone.conftest import elsewhere, label, masks, put

GRADES = [1, "good", [2]]
FRAMES = fo.ViewField("frame_number")


def named(movie: Any, frame: int, field: str = "sam2") -> list[tuple[str, bool]]:
    """Class of each label on a frame, in the database, and whether it has a mask."""
    movie.reload()
    labels = movie.view().first().frames[frame][field].detections
    return [(one.label, one.mask is not None) for one in labels]


def test_attributes_of_several_types_can_still_be_read(movie: Any) -> None:
    for number in (2, 3, 4):
        put(movie, number, "sam2", label(2, number, label="mine"))
    sample = movie.first()
    for number, grade in enumerate(GRADES, start=2):
        sample.frames[number]["sam2"].detections[0]["grade"] = grade
    sample.save()
    put(movie, 1, "seed", label(1, 1))
    put(movie, 4, "truth", label(1, 4))
    assert not propagate(movie, "seed", last=4).problems
    evaluate(movie, "sam2", "truth")
    frames = movie.view().first().frames
    assert [frames[n]["sam2"].detections[0]["grade"] for n in (2, 3, 4)] == GRADES
    assert not any("grade" in path for path in movie.get_frame_field_schema(flat=True))


def test_an_attribute_of_ours_that_people_use_otherwise_is_named(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 2, "sam2", label(2, 2))
    sample = movie.first()
    sample.frames[2]["sam2"].detections[0]["doubt"] = "high"
    sample.save()
    (report,) = propagate(movie, "seed", last=3).movies
    assert report.state == "failed"
    assert "attribute 'doubt' is there already, and of another type (StringField)" in report.error
    assert movie.view().first().frames[2]["sam2"].detections[0]["doubt"] == "high"


def test_a_label_that_is_made_while_a_run_writes_stays(movie: Any) -> None:
    (footage,) = find_footage(movie)
    asked = []

    def add(_: int, values: dict[str, Any]) -> dict[str, Any]:
        if not asked:
            put(movie, 1, "sam2", label(1, 1, label="mine"))
        asked.append(values["sam2"])
        value = values["sam2"] or fo.Detections()
        value.detections.append(label(2, 1, label="machine's"))
        return {"sam2": value}

    footage.fields.declare("sam2", fo.Detections, {})
    footage.revise(["sam2"], [0], add)
    assert [name for name, _ in named(movie, 1)] == ["mine", "machine's"]


def test_a_prompt_that_is_made_during_a_run_is_one_for_the_next(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))

    def add(progress: Progress) -> None:
        if progress.done == 2:
            put(movie, 5, "seed", label(2, 5))

    propagate(movie, "seed", last=6, on_progress=add)
    assert propagate(movie, "seed", last=6).movies[0].objects == 2


def test_a_prompt_that_is_made_just_as_a_run_writes_its_frame_is_one_for_the_next(
    movie: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 5, "other", label(2, 5))
    add_frames = Video._add_frames

    def meanwhile(self: Video, frames: Sequence[int]) -> None:
        monkeypatch.undo()
        put(movie, 5, "seed", label(2, 5))
        add_frames(self, frames)

    monkeypatch.setattr(Video, "_add_frames", meanwhile)
    assert propagate(movie, "seed", last=6).movies[0].objects == 1
    assert propagate(movie, "seed", last=6).movies[0].objects == 2


@pytest.mark.parametrize("kind", ["prompt", "result"])
def test_a_mask_that_is_drawn_over_on_the_disk_is_a_correction(
    movie: Any, tmp_path: Path, kind: str
) -> None:
    one = label(1, 1)
    one.export_mask(str(tmp_path / "prompt.png"), update=True)
    put(movie, 1, "seed", one)
    propagate(movie, "seed", last=4, masks_folder=tmp_path / "masks")
    if kind == "result":
        (one,) = movie.first().frames[2]["sam2"].detections
    drawn = np.array(Image.open(one.mask_path))
    drawn[:, :8] = 0
    Image.fromarray(drawn).save(one.mask_path)
    (report,) = propagate(movie, "seed", last=4, masks_folder=tmp_path / "masks").movies
    assert report.computed >= 3


def test_a_field_that_is_renamed_elsewhere_during_a_run_leaves_all_readable(
    movie: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sam2_plugins.fiftyone_plugin.results.MOST_FRAMES", 2)
    put(movie, 1, "seed", label(1, 1))
    renamed = []

    def rename(progress: Progress) -> None:
        if progress.done == 4 and not renamed:
            renamed.append(elsewhere(movie, "dataset.rename_frame_field('sam2', 'cells')"))

    (report,) = propagate(movie, "seed", last=6, on_progress=rename).movies
    assert (report.state, report.frames) == ("done", 6)
    elsewhere(movie, "[*dataset.first().frames.items()]")
    movie.reload()
    assert sorted(masks(movie)) == [1, 2, 3, 4, 5, 6]
    assert masks(movie, "cells")


def test_what_is_not_saved_yet_of_other_samples_stays(movie: Any, video: Path) -> None:
    put(movie, 1, "seed", label(1, 1))
    movie.add_sample(fo.Sample(str(video), note=""))
    mine = movie.last()
    mine["note"] = "mine"
    propagate(movie.limit(1), "seed", last=2)
    assert mine["note"] == "mine"


@pytest.mark.parametrize("kind", ["prompted", "everything"])
def test_labels_that_a_view_of_frames_does_not_show_stay(movie: Any, kind: str) -> None:
    put(movie, 1, "seed", label(1, 1, "box"))
    put(movie, 1, "sam2", label(1, 1, "box", label="shown"), label(2, 1, "box", label="hidden"))
    movie.compute_metadata()
    frames = movie.to_frames(sample_frames=True).match(FRAMES == 1)
    is_shown = fo.ViewField("label") == "shown"
    view = frames.filter_labels("sam2", is_shown, only_matches=False)
    later = label(2, 1, "box", label="later", index=3)
    sample = movie.first()
    sample.frames[1]["sam2"].detections.append(later)
    sample.save()
    everything = Everything(8, 0.5, 0.8) if kind == "everything" else None
    report = segment(view, Request(("seed",)), everything=everything)
    assert not report.problems
    found = named(movie, 1)
    assert found[:3] == [("shown", False), ("hidden", False), ("later", False)]
    assert any(mask for _, mask in found)
    assert len(frames.first()["sam2"].detections) == len(found), "the view shows them, too"
