"""Objectness on a made-up photograph: a red house with a blue door, before a striped hill."""

from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.object_mask import PixelBox
from sam2_plugins.core.tracking.windows.objectness import PhotographWindow, guessed_boxes
from sam2_plugins.core.tracking.windows.planner import Window

HEIGHT, WIDTH = 240, 320
WHOLE = Window(0, 0, WIDTH, HEIGHT)
HOUSE, HALF, WITH_HILL = (100, 60, 200, 160), (100, 60, 150, 160), (60, 20, 240, 200)
MIDDLE = (150.0, 110.0)


def photograph() -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = (40, 110, 30)
    picture[::12] = (70, 130, 60)
    x0, y0, x1, y1 = HOUSE
    picture[y0:y1, x0:x1] = (190, 50, 40)
    return picture


def mask(*boxes: PixelBox) -> ObjectMask:
    full = np.zeros((HEIGHT, WIDTH), bool)
    for x0, y0, x1, y1 in boxes:
        full[y0:y1, x0:x1] = True
    return ObjectMask.from_array(full)


@pytest.fixture(scope="module")
def shown() -> PhotographWindow:
    return PhotographWindow(photograph(), WHOLE)


@pytest.mark.parametrize("other", [HALF, WITH_HILL])
def test_a_whole_object_is_more_of_one_than_its_half_or_what_is_around_it(
    shown: PhotographWindow, other: PixelBox
) -> None:
    assert shown.objectness(mask(HOUSE), MIDDLE) > 1.5 * shown.objectness(mask(other), MIDDLE)


def test_a_click_near_the_middle_of_a_mask_speaks_for_it(shown: PhotographWindow) -> None:
    assert shown.objectness(mask(HOUSE), MIDDLE) > shown.objectness(mask(HOUSE), (110.0, 70.0))


def test_a_part_that_the_click_is_not_on_does_not_count(shown: PhotographWindow) -> None:
    alone, beside = mask(HOUSE), mask(HOUSE, (250, 10, 300, 220))
    assert shown.objectness(beside, MIDDLE) == shown.objectness(alone, MIDDLE)


def test_a_mask_of_all_that_is_shown_is_little_of_an_object(shown: PhotographWindow) -> None:
    everything = shown.objectness(mask((0, 0, WIDTH, HEIGHT)), MIDDLE)
    assert 0 < everything < 0.2 * shown.objectness(mask(HOUSE), MIDDLE)


def test_a_mask_that_its_window_does_not_show_is_none() -> None:
    corner = PhotographWindow(photograph(), Window(240, 180, 80, 60))
    assert corner.objectness(mask(HOUSE), MIDDLE) == 0


def test_in_a_frame_of_one_colour_nothing_is_an_object() -> None:
    plain = PhotographWindow(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), WHOLE)
    assert plain.objectness(mask(HOUSE), MIDDLE) == 0


def test_a_large_window_is_judged_by_fewer_pixels_and_about_as_much(
    shown: PhotographWindow,
) -> None:
    big = photograph().repeat(4, 0).repeat(4, 1)
    window = Window(0, 0, 4 * WIDTH, 4 * HEIGHT)
    x0, y0, x1, y1 = (4 * side for side in HOUSE)
    full = np.zeros(big.shape[:2], bool)
    full[y0:y1, x0:x1] = True
    large = PhotographWindow(big, window).objectness(
        ObjectMask.from_array(full), (MIDDLE[0] * 4, MIDDLE[1] * 4)
    )
    assert large == pytest.approx(shown.objectness(mask(HOUSE), MIDDLE), rel=0.2)


def test_guessed_boxes_are_around_the_click_and_within_the_window() -> None:
    window = Window(100, 100, 100, 80)
    boxes = guessed_boxes((120.0, 140.0), window)
    assert len(boxes) == 3
    for x0, y0, x1, y1 in boxes:
        assert 100 <= x0 < 120 < x1 <= 200 and 100 <= y0 < 140 < y1 <= 180
