from __future__ import annotations

import math

import pytest

from sam2_plugins.core.lineage.outline import mean_outline
from sam2_plugins.core.masks import ObjectMask
from tests.support.movies import disc

SIZE = (60, 80)


def test_the_mean_of_two_outlines_lies_midway_between_them() -> None:
    left, right = (ObjectMask.from_array(disc(SIZE, (x, 30), 14)) for x in (36, 42))
    mean = mean_outline(left, right)
    assert mean.centroid == pytest.approx((39, 30), abs=0.2)
    assert mean.iou_with(ObjectMask.from_array(disc(SIZE, (39, 30), 14))) > 0.9


def test_what_one_outline_has_is_decided_by_what_lies_around_it() -> None:
    small, large = (disc(SIZE, (40, 30), radius) for radius in (10, 14))
    mean = mean_outline(*(ObjectMask.from_array(mask) for mask in (small, large)))
    assert math.sqrt(mean.area / math.pi) == pytest.approx(12, abs=0.5)


def test_an_outline_is_not_rounded_off_where_the_frame_cuts_it() -> None:
    cut = ObjectMask.from_box((0, 10, 40, 50), SIZE)
    mean = mean_outline(cut, cut)
    assert mean.box == cut.box
    assert mean.window((0, 10, 1, 50)).all()


def test_the_mean_has_the_scores_of_the_second() -> None:
    one = ObjectMask.from_array(disc(SIZE, (40, 30), 9), 0.5, 1.0)
    mean = mean_outline(one, ObjectMask.from_array(disc(SIZE, (41, 30), 9), 0.7, 3.0))
    assert (mean.iou, mean.score) == (0.7, 3.0)


def test_something_is_left_of_what_is_as_thin_as_a_hair() -> None:
    hair = ObjectMask.from_box((0, 500, 1000, 501), (1000, 1000))
    assert mean_outline(hair, hair) == hair
