from __future__ import annotations

import pytest

from sam2_plugins.core.tracking.memory.kalman import BoxFilter, box_iou


def test_a_box_that_moves_steadily_is_expected_where_it_will_be() -> None:
    belief = BoxFilter.of((0, 0, 10, 20))
    for t in range(1, 30):
        belief = belief.predict().update((3.0 * t, 1.0 * t, 10 + 3.0 * t, 20 + 1.0 * t))
    assert belief.predict().box == pytest.approx((90, 30, 100, 50), abs=0.5)


def test_a_box_that_is_not_seen_goes_on() -> None:
    belief = BoxFilter.of((0, 0, 10, 20))
    for t in range(1, 30):
        belief = belief.predict().update((3.0 * t, 0, 10 + 3.0 * t, 20))
    for _ in range(5):
        belief = belief.predict()
    assert belief.box[0] == pytest.approx(3 * 34, abs=2)


def test_boxes_overlap_by_their_share() -> None:
    assert box_iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 10, 10), (20, 0, 30, 10)) == 0
    assert box_iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0
