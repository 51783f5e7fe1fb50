from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.training.synthetic.bodies import Body, press_together
from sam2_plugins.training.synthetic.cell import Cell, separate
from sam2_plugins.training.synthetic.shapes import (
    ANGLES,
    Pose,
    Rod,
    Shape,
    Star,
    blob,
    jointed,
    polygon,
    spread_cell,
)
from sam2_plugins.training.synthetic.tiles import Interior

CIRCLE = Star(np.ones((1, ANGLES)))
PLAIN = Interior(np.zeros((8, 8), np.float32))


def test_depth_is_the_signed_distance_for_a_circle_and_a_rod() -> None:
    u, v = np.array([0, 3, 12], np.float32), np.array([0, 4, 0], np.float32)
    round_depth = CIRCLE.depth(u, v, Pose(0, 0, 0, 10), 0)
    assert round_depth == pytest.approx([10, 5, -2], abs=0.01)
    rod_depth = Rod(np.zeros(1)).depth(u, v, Pose(0, 0, 0, 5, half_length=6), 0)
    assert rod_depth == pytest.approx([5, 1, -1], abs=0.01)


@pytest.mark.parametrize("make", [blob, spread_cell, polygon, jointed])
def test_reach_holds_the_whole_shape(make: type) -> None:
    for seed in range(6):
        shape: Shape = make(np.random.default_rng(seed), 5)
        pose = Pose(0, 0, 0, 12)
        axis = np.arange(-60, 61, dtype=np.float32)
        u, v = np.meshgrid(axis, axis)
        outside = np.hypot(u, v) > shape.reach(pose, 3) + 0.5
        assert (shape.depth(u, v, pose, 3)[outside] <= 0).all()


def test_a_cell_about_to_divide_is_a_peanut() -> None:
    pose = Pose(0, 0, 0, 10, pinch=1.0, rounded=1.0)
    points = np.array([13, 0], np.float32), np.array([0, 9], np.float32)
    along, across = CIRCLE.depth(*points, pose, 0)
    assert along > 0 > across


def test_pressed_cells_share_a_straight_border_half_way() -> None:
    bodies = [Body(k, CIRCLE, PLAIN, {0: Pose(x, 20, 0, 12)}) for k, x in ((1, 15), (2, 31))]
    labels = press_together(bodies, 0, (40, 46)).labels
    assert (labels[14:27, 20] == 1).all()
    assert (labels[14:27, 26] == 2).all()


def test_a_cell_that_cannot_be_seen_has_no_label() -> None:
    hidden = Body(1, CIRCLE, PLAIN, {0: Pose(20, 20, 0, 12, gain=0.0)})
    assert not press_together([hidden], 0, (40, 40)).labels.any()


def test_a_hidden_cell_fades_is_lost_and_comes_back() -> None:
    cell = Cell(CIRCLE, PLAIN, 0j, 0.0, 10.0, 0.0, 1.0, 0j, hidden=(3, 5))
    assert [cell.pose(frame, 0j).gain for frame in range(7)] == [1, 1, 0.5, 0, 0, 0.5, 1]


def test_overlapping_cells_push_each_other_apart() -> None:
    cells = [Cell(CIRCLE, PLAIN, complex(x, 0), 0.0, 10.0, 0.0, 1.0, 0j) for x in (0.0, 4.0, 300.0)]
    separate(cells, softness=0.0, rounds=30)
    assert abs(cells[0].place - cells[1].place) == pytest.approx(20, abs=1)
    assert cells[2].place == 300
