from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.windows.planner import (
    LEAVE_MARGIN,
    Extent,
    Window,
    WindowPlanner,
    extent_of,
    without_cut_parts,
)

BIG = (700, 1100)


def test_a_small_object_in_a_big_frame_gets_a_window() -> None:
    planner = WindowPlanner(BIG, 256, "auto")
    side = planner.side_for(Extent.of_box((500, 300, 525, 325)))
    assert side is not None
    window = planner.window((500, 300, 525, 325), side)
    assert max(window.width, window.height) < 256
    assert planner.margin(window, (500, 300, 525, 325)) > 2 * LEAVE_MARGIN


def test_a_large_object_is_seen_in_the_whole_frame() -> None:
    planner = WindowPlanner(BIG, 256, "auto")
    assert planner.side_for(Extent.of_box((100, 100, 400, 500))) is None
    assert planner.window((100, 100, 400, 500), None) == planner.whole


def test_a_thin_object_is_looked_at_more_closely_than_a_round_one_however_it_lies() -> None:
    planner = WindowPlanner(BIG, 256, "auto")
    ys, xs = np.indices(BIG)
    along, across = (xs - 500 + ys - 300) / 2**0.5, (xs - 500 - ys + 300) / 2**0.5
    upright = ObjectMask.from_array((abs(xs - 500) < 10) & (abs(ys - 300) < 40))
    tilted = ObjectMask.from_array((abs(across) < 10) & (abs(along) < 40))
    round_one = ObjectMask.from_array((xs - 500) ** 2 + (ys - 300) ** 2 < 40**2)
    sides = [planner.side_for(extent_of(mask)) for mask in (upright, tilted, round_one)]
    assert sides == [256, 181, 362]


def test_a_frame_that_the_model_sees_well_needs_no_window() -> None:
    assert WindowPlanner((480, 854), 1024, "auto").ladder() == []
    assert WindowPlanner(BIG, 256, None).ladder() == []


def test_windows_that_enlarge_more_are_finer_rungs_of_the_same_ladder() -> None:
    planner = WindowPlanner(BIG, 256, "auto")
    assert planner.ladder(4.0) == [64, 91, *planner.ladder()]
    assert [planner.enlarges(side) for side in (64, 91, 128, None)] == [True, True, False, False]
    assert not WindowPlanner(BIG, 256, 48).enlarges(48)


def test_neighbouring_objects_share_a_window_whoever_came_first() -> None:
    planner = WindowPlanner(BIG, 256, "auto")
    first = planner.window((500, 300, 530, 330), 128)
    assert planner.window((505, 310, 535, 340), 128) == first
    assert planner.window((800, 310, 830, 340), 128) != first


@pytest.mark.parametrize("across", [12, 22, 32])
def test_many_objects_need_few_windows(across: int) -> None:
    planner = WindowPlanner((512, 512), 256, "auto")
    corners = np.random.default_rng(0).integers(0, 512 - across, (200, 2)).tolist()
    boxes = [(x, y, x + across, y + across) for x, y in corners]
    windows = {box: planner.window(box, 128) for box in boxes}
    assert len(set(windows.values())) <= 49
    assert all(planner.margin(windows[box], box) > LEAVE_MARGIN for box in boxes)


def test_an_object_may_touch_the_edge_of_the_frame_but_not_of_its_window() -> None:
    planner = WindowPlanner(BIG, 256, "auto")
    for corner, at_frame, inside in [
        ((0, 0), (0, 0, 20, 20), (108, 108, 128, 128)),
        ((972, 572), (1080, 680, 1100, 700), (972, 572, 992, 592)),
    ]:
        window = planner.at(*corner, 128)
        assert planner.keeps(window, at_frame)
        assert not planner.keeps(window, inside)


def test_a_given_side_is_used_as_it_is() -> None:
    planner = WindowPlanner(BIG, 256, 300)
    assert planner.side_for(Extent.of_box((10, 10, 20, 20))) == 300
    assert planner.window((10, 10, 20, 20), 300).box == (0, 0, 300, 300)


@given(
    x=st.integers(0, 1075),
    y=st.integers(0, 675),
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    side=st.sampled_from([128, 181, 256, 362]),
)
def test_a_window_lies_in_the_frame_and_holds_its_object(
    x: int, y: int, width: int, height: int, side: int
) -> None:
    planner = WindowPlanner(BIG, 256, "auto")
    box = (x, y, min(x + width, 1100), min(y + height, 700))
    window = planner.window(box, side)
    x0, y0, x1, y1 = window.box
    assert x0 >= 0 and y0 >= 0 and x1 <= 1100 and y1 <= 700
    assert x0 <= box[0] and y0 <= box[1] and x1 >= box[2] and y1 >= box[3]


@pytest.mark.parametrize("corner", [(0, 0), (100, 40)])
def test_coordinates_go_to_the_models_input(corner: tuple[int, int]) -> None:
    planner = WindowPlanner(BIG, 256, "auto")
    window = planner.at(*corner, 128)
    inside = np.array([[corner[0] + 64, corner[1] + 32]], float)
    assert window.to_model(inside, 256).tolist() == [[128, 64]]


def test_specks_do_not_count_to_an_objects_extent() -> None:
    mask = np.zeros((50, 50), bool)
    mask[10:20, 10:25] = True
    mask[40, 40] = True
    found = ObjectMask.from_array(mask)
    main = Extent((10, 10, 25, 20), 150)
    assert extent_of(found) == main
    assert extent_of(found, (40, 40)) == Extent((40, 40, 41, 41), 1)
    assert extent_of(found, (0, 0)) == main
    assert extent_of(ObjectMask.empty((50, 50))) is None


def two_parts(x: int, size: int = 20) -> ObjectMask:
    """A part of 20 × 20 pixels at (100, 300), and one of a size so many pixels further right."""
    mask = np.zeros(BIG, bool)
    mask[300:320, 100:120] = True
    mask[300 : 300 + size, x : x + size] = True
    return ObjectMask.from_array(mask)


@pytest.mark.parametrize(
    ("mask", "box"),
    [
        (two_parts(160), (100, 300, 180, 320)),
        (two_parts(160, size=8), (100, 300, 120, 320)),
        (two_parts(400), (100, 300, 120, 320)),
    ],
    ids=["near", "small", "far"],
)
def test_large_parts_are_kept_in_view_while_a_window_of_a_fair_size_holds_them(
    mask: ObjectMask, box: tuple[int, int, int, int]
) -> None:
    found = WindowPlanner(mask.frame_size, 256, "auto").in_view(mask)
    assert found is not None and found.box == box


def test_a_part_that_the_edge_of_its_window_cuts_is_left_out() -> None:
    mask = two_parts(160)
    main = ObjectMask.from_box((100, 300, 120, 320), mask.frame_size)
    cut = Window(72, 250, 108, 108)
    assert without_cut_parts(mask, cut) == main
    assert without_cut_parts(mask, Window(72, 250, 128, 128)) == mask
    assert without_cut_parts(main, Window(100, 250, 128, 128)) == main  # it is the largest


def test_a_part_that_the_edge_of_the_frame_cuts_stays() -> None:
    mask = two_parts(1080)
    assert mask.box is not None and mask.box[2] == mask.frame_size[1]
    assert without_cut_parts(mask, Window(100, 250, 1000, 128)) == mask
