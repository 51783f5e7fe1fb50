from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.lineage.drift import drift
from sam2_plugins.core.lineage.rules import (
    LineageRules,
    are_daughters,
    belonging,
    in_place_of,
    is_whole,
    were_several,
)
from sam2_plugins.core.masks import ObjectMask

RULES = LineageRules()
SIZE = (60, 100)


def box(x0: int, y0: int, x1: int, y1: int) -> ObjectMask:
    return ObjectMask.from_box((x0, y0, x1, y1), SIZE)


def test_each_object_gets_the_proposal_that_is_most_like_it() -> None:
    tracked = {"a": box(0, 0, 10, 10), "b": box(12, 0, 22, 10)}
    found = belonging(tracked, {}, [box(13, 0, 23, 10), box(1, 0, 11, 10)], RULES)
    assert found.of == {"a": 1, "b": 0}
    assert (found.parts, found.free, found.shared) == ({}, [], set())


def test_what_no_object_covers_is_free() -> None:
    found = belonging({"a": box(0, 0, 10, 10)}, {}, [box(0, 0, 10, 10), box(40, 0, 50, 9)], RULES)
    assert found.free == [1]


def test_a_proposal_within_an_object_is_a_part_of_it() -> None:
    found = belonging({"a": box(0, 0, 20, 10)}, {}, [box(0, 0, 9, 10), box(11, 0, 20, 10)], RULES)
    assert sorted([*found.of.values(), *found.parts["a"]]) == [0, 1]
    assert found.free == []


def test_a_proposal_that_took_two_objects_together_is_of_neither_alone() -> None:
    tracked = {"a": box(0, 0, 10, 10), "b": box(10, 0, 20, 10)}
    found = belonging(tracked, {}, [box(0, 0, 20, 10)], RULES)
    assert found.shared == {"a", "b"}
    assert found.free == []


def test_an_object_whose_track_slid_onto_another_is_not_found_with_it() -> None:
    tracked = {"a": box(0, 0, 20, 10), "slid": box(3, 0, 13, 10)}
    found = belonging(tracked, {}, [box(0, 0, 20, 10)], RULES)
    assert found.of == {"a": 0}
    assert found.shared == set()


def test_an_object_that_the_tracker_lost_is_found_where_it_would_be() -> None:
    lost, there = box(0, 40, 10, 50), box(30, 0, 40, 10)
    found = belonging({"a": lost}, {"a": box(31, 0, 41, 10)}, [there], RULES)
    assert found.of == {"a": 0}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (50, 50, True),
        (95, 60, False),  # more than there was
        (60, 20, False),  # a cell and a crumb
        (20, 20, False),  # most of it is gone
        (0, 0, False),
    ],
)
def test_two_areas_are_those_of_daughters_or_not(one: float, other: float, expected: bool) -> None:
    assert are_daughters(100, one, other, RULES) is expected


def test_parts_as_large_as_other_objects_were_several() -> None:
    assert were_several(200, [100, 95], 90)


def test_an_object_of_usual_size_was_not_several() -> None:
    assert not were_several(100, [50, 45], 90)
    assert not were_several(100, [30, 30, 30], 90)
    assert not were_several(200, [100, 20], 90)
    assert not were_several(200, [100, 95], float("inf"))


def test_an_object_that_the_edge_cuts_is_not_whole() -> None:
    assert is_whole(box(1, 1, 9, 9))
    assert not is_whole(box(0, 1, 9, 9))
    assert not is_whole(ObjectMask.empty(SIZE))


def test_daughters_have_the_outline_of_their_mother_together_wherever_they_drifted() -> None:
    mother, daughters = box(10, 10, 30, 20), box(22, 31, 31, 41).union_with(box(32, 31, 42, 41))
    assert in_place_of(mother, daughters) == pytest.approx(0.95, abs=0.03)
    beside = box(22, 31, 31, 41).union_with(box(22, 42, 31, 52))
    assert in_place_of(mother, beside) < 0.5
    assert in_place_of(mother, ObjectMask.empty(SIZE)) == 0


@pytest.mark.parametrize("shift", [(0, 0), (7, -4), (-12, 9)])
def test_the_drift_of_a_frame_is_found(shift: tuple[int, int]) -> None:
    scene = np.random.default_rng(0).integers(0, 255, (140, 180), np.uint8)
    dx, dy = shift
    before = scene[30:110, 30:150]
    after = scene[30 - dy : 110 - dy, 30 - dx : 150 - dx]
    assert drift(*(np.stack([image] * 3, -1) for image in (before, after))) == shift


def test_frames_that_have_nothing_in_common_did_not_drift() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 255, (2, 60, 80, 3), np.uint8)
    assert drift(one, other) == (0, 0)
