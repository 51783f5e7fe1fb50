from __future__ import annotations

from itertools import islice

import pytest

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.tracking.schedule import Direction, plan_sweeps


def visits(
    prompted: dict[str, list[int]],
    direction: Direction,
    start: int | None = None,
    stop: int | None = None,
    length: int | None = 10,
) -> list[tuple[int, list[str]]]:
    sweeps = plan_sweeps(prompted, direction, start, stop, length)
    return [(f, list(map(str, s.objects(f)))) for s in sweeps for f in s.frames if s.objects(f)]


def test_forward_begins_with_each_object_at_its_first_prompt() -> None:
    assert visits({"a": [3], "b": [5]}, "forward", length=7) == [
        (3, ["a"]),
        (4, ["a"]),
        (5, ["a", "b"]),
        (6, ["a", "b"]),
    ]


def test_backward_runs_from_the_last_prompt_to_the_first_frame() -> None:
    assert [f for f, _ in visits({"a": [1, 4]}, "backward")] == [4, 3, 2, 1, 0]


def test_both_goes_outward_so_that_nothing_is_tracked_from_frame_0() -> None:
    assert [f for f, _ in visits({"a": [6]}, "both", length=9)] == [6, 7, 8, 5, 4, 3, 2, 1, 0]


def test_both_tracks_each_frame_once_and_from_the_nearer_prompt() -> None:
    forward, backward = plan_sweeps({"a": [0, 9]}, "both", None, None, 10)
    assert [f for f in forward.frames if forward.objects(f)] == [0, 1, 2, 3, 4, 9]
    assert [f for f in backward.frames if backward.objects(f)] == [8, 7, 6, 5]
    halfway = [s for s in plan_sweeps({"a": [0, 8]}, "both", None, None, 9) if s.objects(4)]
    assert [s.reverse for s in halfway] == [False]


def test_a_range_limits_both_ends() -> None:
    assert [f for f, _ in visits({"a": [0]}, "forward", 4, 6)] == [4, 5, 6]
    assert [f for f, _ in visits({"a": [8]}, "backward", 6, 4)] == [6, 5, 4]
    assert [f for f, _ in visits({"a": [5]}, "both", 3, 6)] == [5, 6, 4, 3]


def test_a_stream_without_a_known_end_goes_on_forward() -> None:
    (sweep,) = plan_sweeps({"a": [2]}, "forward", None, None, None)
    assert list(islice(sweep.frames, 3)) == [2, 3, 4]


@pytest.mark.parametrize(
    ("direction", "start", "stop", "named"),
    [
        ("sideways", None, None, "sideways"),
        ("forward", 12, None, "12"),
        ("forward", 5, 3, "empty"),
        ("backward", 3, 5, "empty"),
    ],
)
def test_a_range_that_does_not_fit_is_named(
    direction: Direction, start: int | None, stop: int | None, named: str
) -> None:
    with pytest.raises(TrackingError, match=named):
        plan_sweeps({"a": [0]}, direction, start, stop, 10)
