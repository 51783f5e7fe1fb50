"""Prompts that no other test uses: a segmentation, points that are not on the object, and labels
in a field within a field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from sam2_plugins.fiftyone_plugin import evaluate, propagate
from sam2_plugins.fiftyone_plugin.checks import prompt_fields
from sam2_plugins.fiftyone_plugin.footage import FootageError
from tests.hosts.fiftyone.conftest import FRAMES, HEIGHT, WIDTH, disc, label, masks, overlap, put


def test_each_value_of_a_segmentation_is_an_object(movie: Any) -> None:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number in (1, 2):
        values[disc(0, number)] = 10 * number
    sample = movie.first()
    sample.frames[1] = fo.Frame(seed=fo.Segmentation(mask=values))
    sample.save()
    (report,) = propagate(movie, "seed").movies
    assert (report.objects, report.frames) == (2, FRAMES)
    for number, found in masks(movie).items():
        discs = [disc(number - 1, k) for k in (1, 2)]
        best = [max(overlap(mask, one) for mask in found.values()) for one in discs]
        assert min(best) > 0.7, number


def test_a_negative_point_takes_a_neighbour_away(movie: Any) -> None:
    on = fo.Keypoint(label="disc", index=1, points=[(30 / WIDTH, 30 / HEIGHT)])
    off = fo.Keypoint(
        label="disc", index=1, points=[(99.5 / WIDTH, 65.5 / HEIGHT)], tags=["negative"]
    )
    put(movie, 1, "clicks", on, off)
    propagate(movie, "clicks", "clicked", last=1)
    found = masks(movie, "clicked")[1][1]
    assert overlap(found, disc(0, 1)) > 0.7
    assert not found[66, 100]


def test_labels_that_another_tool_has_joined_by_a_text_are_of_one_object(movie: Any) -> None:
    for frame in (1, 4):
        put(movie, frame, "seed", label(1, frame, index=None, instance="cell-0017"))
    assert propagate(movie, "seed", last=4).movies[0].objects == 1
    tracks = movie.values("frames.sam2.detections.instance", unwind=2)
    assert len({one.id for one in tracks}) == 1
    assert len(tracks) == 4


@pytest.fixture
def inspected(movie: Any) -> Any:
    """A movie whose labels are in an attribute of a field of its frames."""
    sample = movie.first()
    for frame in (1, 3):
        cells = fo.Detections(detections=[label(1, frame)])
        sample.frames[frame] = fo.Frame(inspection=fo.DynamicEmbeddedDocument(cells=cells))
    sample.save()
    return movie


def test_labels_within_a_field_are_prompts_and_can_be_judged(inspected: Any) -> None:
    with pytest.raises(FootageError, match=r"does not know it yet \(add_dynamic_frame_fields\)"):
        propagate(inspected, "inspection.cells")
    inspected.add_dynamic_frame_fields()
    assert prompt_fields(inspected) == ["inspection.cells"]
    propagate(inspected, "frames.inspection.cells", last=4, prompt_frames=[1])
    assert overlap(masks(inspected)[4][1], disc(3, 1)) > 0.8
    assert evaluate(inspected, "inspection.cells", "sam2").movies[0].J > 0.3
    (iou,) = inspected.first().frames[3].inspection.cells.detections
    assert iou.sam2_eval_iou > 0.8


def test_a_mask_of_a_label_within_a_field_that_is_drawn_over_is_another_prompt(
    inspected: Any, tmp_path: Path
) -> None:
    inspected.add_dynamic_frame_fields()
    sample = inspected.first()
    (one,) = sample.frames[1].inspection.cells.detections
    one.export_mask(str(tmp_path / "mask.png"), update=True)
    sample.save()
    propagate(inspected, "inspection.cells", last=2, prompt_frames=[1])
    Image.fromarray(255 * np.eye(23, dtype=np.uint8)).save(one.mask_path)
    assert propagate(inspected, "inspection.cells", last=2, prompt_frames=[1]).movies[0].computed
