from __future__ import annotations

import json
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sam2_plugins.core.datasets import Dataset, load_dataset
from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.evaluation import (
    Round,
    SequenceReport,
    evaluate_sequence,
    innermost_pixel,
    mean_by_kind,
    prompt_from_mask,
)
from sam2_plugins.core.evaluation.metrics import evaluate
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import build_model
from sam2_plugins.core.variants import NANO

SIZE = (40, 60)


def ring() -> ObjectMask:
    """A ring that is wider on its right side."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    outer, inner = (x - 30) ** 2 + (y - 20) ** 2 < 15**2, (x - 26) ** 2 + (y - 20) ** 2 < 8**2
    return ObjectMask.from_array(outer & ~inner)


@pytest.fixture
def still_dataset(tmp_path) -> Dataset:
    """Two squares that do not move; the first frame of interest is 1, and object 9 is never."""
    labels = np.zeros((4, *SIZE), np.uint8)
    labels[:, 5:15, 5:15], labels[:, 20:36, 30:50] = 1, 2
    for part, stack in (("frames", labels * 90), ("masks", labels)):
        (tmp_path / part).mkdir()
        for index, page in enumerate(stack):
            tifffile.imwrite(tmp_path / part / f"{index}.tif", page)
    return own_dataset(tmp_path, prompt_frame=1, eval_objects_frame0=[1, 2, 9])


def own_dataset(folder: Path, **meta: object) -> Dataset:
    (folder / "meta.json").write_text(json.dumps(meta))
    return load_dataset(folder)


def report(kind: str, prompt_iou: float, **scores: float) -> SequenceReport:
    truth = np.ones((2, 4, 4), int)
    found = replace(evaluate(truth, truth), **scores)
    done = (Round(1, 3, found),)
    return SequenceReport("a", kind, "semi", "click", prompt_iou, found, 2, 0.1, 100.0, done, ())


def test_a_click_is_made_where_the_object_is_thickest():
    x, y = innermost_pixel(ring())
    assert ring().to_array()[y, x]
    assert x == 39


def test_the_innermost_pixel_of_a_square_is_its_middle():
    square = ObjectMask.from_box((10, 4, 19, 13), SIZE)
    assert innermost_pixel(square) == (14, 8)


def test_prompts_say_what_a_mask_shows():
    mask = ObjectMask.from_box((10, 4, 19, 13), SIZE)
    assert prompt_from_mask("mask", 3, "a", mask).mask == mask
    assert tuple(prompt_from_mask("box", 3, "a", mask).box) == mask.box
    assert prompt_from_mask("click", 3, "a", mask).points.xy == ((14, 8),)


def test_nothing_is_said_of_an_object_that_is_not_there():
    with pytest.raises(PromptError, match="not on frame 3"):
        prompt_from_mask("click", 3, "a", ObjectMask.empty(SIZE))


def test_a_sequence_is_prompted_once_and_tracked_to_its_end(still_dataset):
    done = []
    model = build_model(NANO).eval()
    found = evaluate_sequence(
        model, still_dataset, "mask", on_frame=lambda *count: done.append(count)
    )
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert (found.kind, found.prompt, found.frames) == ("natural", "mask", 3)
    assert found.prompt_iou == 1
    assert {one.id for one in found.scores.objects} == {1, 2}
    assert all(one.frames == 2 for one in found.scores.objects)


def test_a_sequence_without_an_object_to_prompt_is_refused(still_dataset):
    empty = own_dataset(still_dataset.folder, prompt_frame=0, eval_objects_frame0=[9])
    with pytest.raises(PromptError, match="no object to be scored"):
        evaluate_sequence(build_model(NANO).eval(), empty)


def test_means_are_of_one_kind_and_leave_out_what_could_not_be_scored():
    reports = [
        report("microscopy", 0.4, J=0.5),
        report("natural", 0.9, J=0.1),
        report("microscopy", 0.6, J=nan),
    ]
    cells, natural = mean_by_kind(reports)
    assert (cells.kind, cells.sequences, cells.prompt_iou) == ("microscopy", 2, 0.5)
    assert cells.scores.J == 0.5
    assert (natural.kind, natural.scores.J) == ("natural", 0.1)
