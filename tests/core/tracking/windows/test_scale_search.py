from __future__ import annotations

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.windows.planner import WindowPlanner
from sam2_plugins.core.tracking.windows.scale_search import look

SIZE = (400, 400)
PLANNER = WindowPlanner(SIZE, 256, "auto")
WINDOWS = [PLANNER.window((200, 200, 201, 201), side) for side in (None, 256, 181, 128)]
LARGE = (60, 40, 340, 360)
CELL, CLUMP, PART = (180, 180, 230, 230), (120, 140, 260, 280), (195, 195, 210, 210)


def mask(box: tuple[int, int, int, int], iou: float) -> ObjectMask:
    x0, y0, x1, y1 = box
    full = np.zeros(SIZE, bool)
    full[y0:y1, x0:x1] = True
    return ObjectMask.from_array(full, iou)


def found(*answers: list[ObjectMask]) -> tuple[int, int, int, int] | None:
    by_window = dict(zip(WINDOWS, answers, strict=True))
    extent = look((200.0, 200.0), WINDOWS, PLANNER, lambda window: by_window[window])
    return None if extent is None else extent.box


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
