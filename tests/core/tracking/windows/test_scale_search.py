from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Points
from sam2_plugins.core.tracking.windows.planner import WindowPlanner
from sam2_plugins.core.tracking.windows.scale_search import (
    SURE_IN_PHOTOGRAPH,
    find_object,
    is_photograph,
    unmet_clicks,
)

SIZE = (400, 400)
PLANNER = WindowPlanner(SIZE, 256, "auto")
WINDOWS = [PLANNER.around((200, 200, 201, 201), side) for side in (None, 256, 181, 128)]
LARGE = (60, 40, 340, 360)
CELL, CLUMP, PART = (180, 180, 230, 230), (120, 140, 260, 280), (195, 195, 210, 210)


def mask(box: tuple[int, int, int, int], iou: float) -> ObjectMask:
    x0, y0, x1, y1 = box
    full = np.zeros(SIZE, bool)
    full[y0:y1, x0:x1] = True
    return ObjectMask.from_array(full, iou)


CLICK = Points(((200.0, 200.0),), (1,))


def found(
    *answers: list[ObjectMask],
    clicks: Points = CLICK,
    photograph: bool = False,
    judged: np.ndarray | None = None,
) -> tuple[int, int, int, int] | None:
    by_window = dict(zip(WINDOWS, answers, strict=True))
    one = find_object(clicks, WINDOWS, PLANNER, by_window.__getitem__, photograph, judged)
    return None if one is None else one.extent.box


def test_what_several_windows_agree_on_is_believed_rather_than_the_surest_of_them() -> None:
    cell = [mask(CELL, 0.8)]
    assert found([mask(CLUMP, 0.95)], cell, cell, [mask(PART, 0.85)]) == CELL


def test_a_candidate_that_is_not_a_windows_first_counts_too() -> None:
    both = [mask(CLUMP, 0.9), mask(CELL, 0.8)]
    assert found(both, [mask(CELL, 0.8)], [mask(CELL, 0.8)], [mask(CELL, 0.8)]) == CELL


def test_a_mask_that_its_window_cuts_off_is_not_the_object() -> None:
    edge = WINDOWS[3].box
    cut = [mask((edge[0], 180, edge[2], 220), 0.99)]
    assert found([mask(CELL, 0.5)], [], [], cut) == CELL


def test_of_masks_that_are_as_sure_the_one_of_a_usual_size_is_taken() -> None:
    speck = (199, 199, 202, 202)
    assert found([mask(CELL, 0.8)], [], [], [mask(speck, 0.8)]) == CELL


def test_windows_that_are_too_small_for_an_object_have_no_say() -> None:
    whole, part = [mask(LARGE, 0.9)], [mask(PART, 0.3)]
    assert found(whole, part, part, part) == LARGE


def test_nothing_is_found_where_no_window_shows_anything() -> None:
    assert found([], [], [], []) is None
    assert found([ObjectMask.empty(SIZE, 0.9, 1.0)], [], [], []) is None


def test_a_mask_that_meets_all_clicks_comes_before_a_surer_one_that_does_not() -> None:
    two = Points(((200.0, 200.0), (130.0, 150.0)), (1, 1))
    sure, fits = [mask(CELL, 0.95)], [mask(CLUMP, 0.6)]
    assert found(fits, sure, sure, sure) == CELL
    assert found(fits, sure, sure, sure, clicks=two) == CLUMP
    without = Points(((200.0, 200.0), (130.0, 150.0)), (1, 0))
    assert found(fits, sure, sure, sure, clicks=without) == CELL


def test_in_a_photograph_a_closer_view_has_to_be_sure() -> None:
    whole, patch = [mask(LARGE, 0.5)], SURE_IN_PHOTOGRAPH
    unsure, sure = [mask(PART, patch - 0.1)], [mask(PART, patch + 0.1)]
    assert found(whole, unsure, unsure, unsure) == PART
    assert found(whole, unsure, unsure, unsure, photograph=True) == LARGE
    assert found(whole, sure, sure, sure, photograph=True) == PART


def test_colours_tell_a_photograph_from_a_grey_movie_with_the_noise_of_a_codec() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(0, 255, (100, 120, 1)), 3, -1)
    assert not is_photograph((grey + rng.normal(0, 1, grey.shape)).clip(0, 255))
    assert is_photograph((grey * [1.0, 0.8, 0.7]).clip(0, 255))


@pytest.mark.parametrize(
    ("xy", "label", "unmet"),
    [
        ((200, 200), 1, []),
        ((100, 100), 1, [0]),
        ((200, 200), 0, [0]),
        ((100, 100), 0, []),
        ((179, 200), 1, []),
        ((181, 200), 0, []),
    ],
)
def test_a_click_is_unmet_unless_it_is_at_the_outline(
    xy: tuple[float, float], label: int, unmet: list[int]
) -> None:
    assert unmet_clicks(mask(CELL, 1.0), Points((xy,), (label,)), reach=2) == unmet


def a_red_thing(box: tuple[int, int, int, int]) -> np.ndarray:
    picture = np.full((*SIZE, 3), (40, 110, 30), np.uint8)
    x0, y0, x1, y1 = box
    picture[y0:y1, x0:x1] = (190, 50, 40)
    return picture


def test_where_a_photograph_is_judged_a_surer_patch_is_not_the_object() -> None:
    answers = [mask(CLUMP, 0.3)], [mask(PART, 0.95)], [mask(PART, 0.95)], [mask(PART, 0.95)]
    assert found(*answers, photograph=True) == PART
    assert found(*answers, photograph=True, judged=a_red_thing(CLUMP)) == CLUMP


def test_where_a_photograph_is_judged_a_small_thing_is_found_by_a_closer_view() -> None:
    answers = [mask(CLUMP, 0.9)], [], [], [mask(CELL, 0.2)]
    assert found(*answers, photograph=True, judged=a_red_thing(CELL)) == CELL


def test_where_a_photograph_is_judged_a_mask_against_a_click_comes_last() -> None:
    two = Points(((200.0, 200.0), (130.0, 150.0)), (1, 1))
    answers = [mask(CLUMP, 0.5)], [mask(CELL, 0.5)], [], []
    picture = a_red_thing(CELL)
    assert found(*answers, photograph=True, judged=picture) == CELL
    assert found(*answers, clicks=two, photograph=True, judged=picture) == CLUMP
