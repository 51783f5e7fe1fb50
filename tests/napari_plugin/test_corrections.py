"""After a correction, "from there on": nothing that was good before it changes."""

from __future__ import annotations

import pytest

from tests.napari_plugin.conftest import LEFT, RIGHT, Desk


def tracked_pair(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.controller.new_object()
    desk.click(*RIGHT)
    desk.track()


def correct(desk: Desk, frame: int, label: int, y: float, x: float) -> None:
    desk.space.go_to((frame,))
    desk.controller.select(label)
    desk.click(y, x)


def test_tracking_on_changes_only_the_object_and_only_what_comes_after(desk: Desk) -> None:
    tracked_pair(desk)
    before = {(f, o): desk.space.store.get((f,), o) for f in range(8) for o in (1, 2)}
    correct(desk, 4, 1, 60, 89)
    assert desk.controller.runs.corrections == {1: 4}
    desk.controller.runs.track_on()
    desk.jobs.run()
    after = {(f, o): desk.space.store.get((f,), o) for f in range(8) for o in (1, 2)}
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {(4, 1), (5, 1), (6, 1), (7, 1)}
    assert desk.controller.runs.corrections == {}


def test_of_two_corrections_each_object_goes_on_from_its_own(desk: Desk) -> None:
    tracked_pair(desk)
    before = {(f, o): desk.space.store.get((f,), o) for f in range(8) for o in (1, 2)}
    correct(desk, 3, 1, 60, 88)
    correct(desk, 5, 2, 40, 35)
    assert desk.controller.runs.corrections == {1: 3, 2: 5}
    desk.controller.runs.track_on()
    desk.jobs.run()
    for frame, label in before:
        if frame < (3 if label == 1 else 5):
            assert desk.space.store.get((frame,), label) == before[frame, label]
    assert desk.controller.runs.corrections == {}


@pytest.mark.parametrize("gone", ["undone", "removed"])
def test_an_object_with_the_number_of_one_that_is_gone_is_new(desk: Desk, gone: str) -> None:
    desk.click(*LEFT)
    desk.track()
    if gone == "removed":
        desk.controller.delete(1)
    else:
        desk.undo()
        desk.undo()
    desk.space.go_to((3,))
    desk.controller.new_object()
    desk.click(60, 88)
    assert list(desk.controller.objects) == [1]
    assert desk.controller.runs.corrections == {} and "is marked" in desk.told[-1]


def test_a_first_prompt_is_no_correction(desk: Desk) -> None:
    desk.click(*LEFT)
    assert desk.controller.runs.corrections == {}
    desk.controller.runs.track_on()
    assert "no correction" in desk.told[-1]


def test_a_run_that_had_nothing_to_do_says_so(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    desk.track()
    assert "Nothing had to be tracked" in desk.told[-1]


def test_a_range_that_begins_beyond_what_is_tracked_is_noted(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track(start=4)
    assert "object 1 was last seen on frame 0" in desk.told[-1]
    desk.undo()
    desk.track(stop=3)
    desk.track(start=4)
    assert "last seen" not in desk.told[-1]
