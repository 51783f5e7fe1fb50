"""A click on a mask that is there changes it near the click, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.correction import (
    brushed,
    corrected,
    is_detail,
    is_elsewhere,
    obeys,
)

SIZE = (100, 100)
MASK = ObjectMask.from_box((20, 20, 60, 60), SIZE)


def boxes(*each: tuple[int, int, int, int]) -> ObjectMask:
    pixels = np.zeros(SIZE, bool)
    for x0, y0, x1, y1 in each:
        pixels[y0:y1, x0:x1] = True
    return ObjectMask.from_array(pixels)


def changed(mask: ObjectMask) -> np.ndarray:
    return mask.to_array() ^ MASK.to_array()


def test_only_what_an_answer_changes_around_the_click_is_taken_over() -> None:
    predicted = boxes(
        (20, 20, 70, 60), (20, 80, 60, 90)
    )  # 10 pixels more on the right, and elsewhere
    mask = corrected(MASK, predicted, (65, 40, 1))
    assert mask is not None
    assert obeys(mask, (65, 40, 1))
    ys, xs = np.nonzero(changed(mask))
    assert xs.min() == 60 and xs.max() == 69
    assert np.hypot(xs - 65, ys - 40).max() <= 2 * 6


def test_a_leak_beyond_the_middle_of_what_is_missing_is_not_taken_over() -> None:
    mask = corrected(MASK, boxes((20, 20, 100, 60)), (63, 40, 1))
    assert mask is not None
    assert mask.box == (20, 20, 72, 60)


def test_an_answer_that_loses_the_object_takes_only_a_bite() -> None:
    mask = corrected(MASK, ObjectMask.empty(SIZE), (57, 40, 0))
    assert mask is not None
    assert obeys(mask, (57, 40, 0))
    assert mask.iou_with(MASK) > 0.9


@pytest.mark.parametrize(("click", "predicted"), [((65, 40, 1), MASK), ((57, 40, 0), MASK)])
def test_a_click_that_no_answer_meets_is_met_by_a_disc_that_touches_the_outline(
    click: tuple[float, float, int], predicted: ObjectMask
) -> None:
    assert corrected(MASK, predicted, click) is None
    mask = brushed(MASK, click)
    assert obeys(mask, click)
    assert 0.9 < mask.iou_with(MASK) < 1


def test_a_click_farther_away_than_the_object_is_large_is_on_another_place() -> None:
    assert not is_elsewhere(MASK, (70, 40, 1))
    assert is_elsewhere(MASK, (90, 40, 1))
    assert not is_elsewhere(MASK, (90, 40, 0))


@pytest.mark.parametrize(
    ("click", "detail"),
    [
        ((57, 40, 0), True),
        ((40, 40, 0), False),
        ((65, 40, 1), True),
        ((72, 40, 1), False),
        ((90, 40, 0), True),
        ((40, 40, 1), False),
    ],
)
def test_a_click_on_a_detail_or_on_what_is_left_out_is_no_reason_to_ask_anew(
    click: tuple[float, float, int], detail: bool
) -> None:
    assert is_detail(MASK, click) == detail


def test_a_click_at_the_edge_of_the_frame_stays_in_it() -> None:
    mask = ObjectMask.from_box((0, 0, 90, 100), SIZE)
    found = corrected(mask, ObjectMask.from_box((0, 0, 100, 100), SIZE), (99, 0, 1))
    assert found is not None and found.box is not None
    assert found.box[2] == 100
