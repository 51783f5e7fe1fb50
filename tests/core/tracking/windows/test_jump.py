from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core import VideoTracker
from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.tracking.windows.jump import displacement, stayed

SIZE = (240, 320)


def cells_at(x: float, y: float, seed: int = 0) -> np.ndarray:
    """Two dark rods side by side on grainy grey, the left one's centre at (x, y)."""
    rows, columns = np.indices(SIZE)
    picture = np.random.default_rng(seed).normal(130, 3, SIZE)
    for left in (x, x + 17):
        picture[(abs(columns - left) < 7) & (abs(rows - y) < 25)] = 30
    return np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, -1)


def rod_at(x: int, y: int) -> np.ndarray:
    rows, columns = np.indices(SIZE)
    return (abs(columns - x) < 7) & (abs(rows - y) < 25)


BOX = (113, 95, 127, 146)


@pytest.mark.parametrize("jump", [(30, 0), (-24, 18), (0, -33)])
def test_a_jump_is_found(jump: tuple[int, int]) -> None:
    dx, dy = displacement(cells_at(120, 120), cells_at(120 + jump[0], 120 + jump[1], 1), BOX)
    assert abs(dx - jump[0]) <= 3
    assert abs(dy - jump[1]) <= 3


def test_a_small_motion_is_left_to_the_model() -> None:
    assert displacement(cells_at(120, 120), cells_at(122, 121, 1), BOX) == (0, 0)


def test_at_a_glance_what_stayed_is_told_from_what_jumped() -> None:
    before, after = cells_at(120, 120), cells_at(122, 121, 1)
    away = cells_at(150, 90, 1)
    flat = np.full((*SIZE, 3), 77, np.uint8)
    corner = (0, 0, 1, 1)
    assert stayed(before, after, [BOX, BOX]).tolist() == [True, True]
    assert stayed(before, away, [BOX]).tolist() == [False]
    assert stayed(flat, flat, [BOX, corner]).tolist() == [False, False]


def test_what_is_gone_has_gone_nowhere() -> None:
    empty = cells_at(-100, -100, 1)
    assert displacement(cells_at(120, 120), empty, BOX) == (0, 0)
    assert displacement(empty, empty, BOX) == (0, 0)


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (319, 239, 320, 240), (0, 0, 320, 240)])
def test_any_box_of_the_frame_may_be_asked_for(box: tuple[int, int, int, int]) -> None:
    flat = np.full((*SIZE, 3), 77, np.uint8)
    assert displacement(flat, flat, box) == (0, 0)
    dx, dy = displacement(cells_at(120, 120), cells_at(150, 120), box)
    assert abs(dx) < 320 and abs(dy) < 240


@pytest.mark.slow
def test_a_jump_of_the_stage_does_not_swap_twins() -> None:
    places = [(120, 120), (150, 118), (178, 122), (148, 150), (120, 120)]
    movie = np.stack([cells_at(*place, seed=i) for i, place in enumerate(places)])
    tracker = VideoTracker(cached_model("nano", "cpu"), movie)
    tracker.add_prompt(0, "left", mask=rod_at(120, 120))
    tracker.add_prompt(0, "right", mask=rod_at(137, 120))
    for result in tracker.propagate():
        x, y = places[result.frame]
        for obj, left in (("left", x), ("right", x + 17)):
            truth = rod_at(left, y)
            found = result.masks[obj].to_array()
            assert (found & truth).sum() / (found | truth).sum() > 0.6, (result.frame, obj)
