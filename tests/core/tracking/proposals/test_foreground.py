"""What hills leave out is added, and parts of one object are joined, where brightness tells."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.proposals import foreground
from sam2_plugins.core.tracking.proposals.landscape import Hill

SIZE = 120, 160


def disc(x: float, y: float, radius: float = 14) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.hypot(columns - x, rows - y) <= radius


def hills(*masks: NDArray[np.bool_]) -> list[Hill]:
    return [Hill(ObjectMask.from_array(mask), 0.9, 0.9) for mask in masks]


def picture(*masks: NDArray[np.bool_], dark: bool = False) -> NDArray[np.uint8]:
    there = np.any(masks, 0)
    grey = np.where(there, 40, 180) if dark else np.where(there, 200, 20)
    return np.repeat(grey[..., None], 3, -1).astype(np.uint8)


def mended(seen: NDArray[np.uint8], given: list[Hill], usual: float = 28) -> list[ObjectMask]:
    return [hill.mask for hill in foreground.mended(given, usual, seen)]


OTHERS = disc(30, 30), disc(30, 80), disc(80, 95)


@pytest.mark.parametrize("dark", [False, True])
def test_a_sliver_at_the_edge_that_was_left_out_is_added(dark: bool) -> None:
    sliver = disc(165, 60, 10)
    found = mended(picture(*OTHERS, sliver, dark=dark), hills(*OTHERS))
    assert len(found) == 4
    assert found[0].iou_with(ObjectMask.from_array(sliver)) > 0.5


def test_two_halves_of_one_disc_become_one() -> None:
    whole = disc(110, 40)
    columns = np.arange(SIZE[1])
    halves = whole & (columns < 109), whole & (columns > 110)
    found = mended(picture(*OTHERS, whole), hills(*OTHERS, *halves))
    assert len(found) == 4
    assert found[0].iou_with(ObjectMask.from_array(whole)) > 0.8


def test_two_discs_that_touch_stay_two() -> None:
    pair = disc(95, 40, 10), disc(115, 40, 10)
    found = mended(picture(*OTHERS, *pair), hills(*OTHERS, *pair))
    assert len(found) == 5


def test_three_discs_that_touch_in_a_triangle_stay_three() -> None:
    three = disc(95, 35, 9), disc(115, 35, 9), disc(105, 52, 9)
    found = mended(picture(*OTHERS, *three), hills(*OTHERS, *three))
    assert len(found) == 6


def test_what_would_be_far_longer_than_the_usual_object_stays_two() -> None:
    one, other = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    one[30:45, 90:110] = other[30:45, 111:131] = True
    found = mended(picture(*OTHERS, one, other), hills(*OTHERS, one, other))
    assert len(found) == 5


def test_a_long_rod_that_has_just_divided_stays_two() -> None:
    rods = [np.zeros(SIZE, bool) for _ in range(5)]
    for row, rod in enumerate(rods[:3]):
        rod[20 + 20 * row : 28 + 20 * row, 10:50] = True
    rods[3][60:68, 70:97] = True
    rods[4][60:68, 98:125] = True
    found = mended(picture(*rods), hills(*rods), usual=20)
    assert len(found) == 5


def test_what_is_bright_does_not_count_where_objects_are_not_bright() -> None:
    elsewhere = disc(110, 40)
    found = mended(picture(elsewhere), hills(*OTHERS))
    assert [mask.offset for mask in found] == [hill.mask.offset for hill in hills(*OTHERS)]


def test_an_even_frame_and_one_without_hills_change_nothing() -> None:
    even = np.full((*SIZE, 3), 90, np.uint8)
    assert len(mended(even, hills(*OTHERS))) == 3
    assert mended(picture(*OTHERS), []) == []


def test_a_hill_that_was_joined_may_have_a_pixel_on_another_part() -> None:
    columns = np.arange(SIZE[1])
    whole, next_to_it = disc(60, 40), disc(97, 40)
    halves = whole & (columns < 60), (whole & (columns >= 60)) | (disc(97, 40) & (columns == 83))
    given = hills(*OTHERS, *halves, next_to_it & (columns > 83))
    assert len(mended(picture(*OTHERS, whole, next_to_it), given)) == 5
