"""Everything is undone and redone, in one order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompt_files import save_prompts
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.models.requests import Offer
from tests.cli.conftest import HEIGHT, WIDTH, moving_discs
from tests.napari_plugin.conftest import LEFT, RIGHT, Desk

SIZE = HEIGHT, WIDTH


def everything(desk: Desk) -> dict[str, Any]:
    """All that a person sees of their work."""
    work = desk.controller.work
    assert work is not None
    store = work.workspace.store
    masks = {
        (index, label): mask
        for label in range(1, 6)
        for index in store.frames_of(label)
        if (mask := store.get(index, label)) is not None
    }
    state = work.capture()
    # An object without a mask is only looked at: it is no change.
    names = {o: name for o, name in state.names.items() if any(label == o for _, label in masks)}
    return {"state": replace(state, names=names), "masks": masks}


def click_object(desk: Desk, y: float, x: float) -> None:
    desk.controller.new_object()
    desk.click(y, x)


def load(desk: Desk, path: Path) -> None:
    desk.controller.results.load_prompts(path)
    desk.jobs.run()


def test_a_whole_session_is_taken_back_and_made_again_step_by_step(
    desk: Desk, tmp_path: Path
) -> None:
    control = desk.controller
    other = desk.viewer.add_labels(moving_discs(8)[1] * 9, scale=(1, 0.5, 0.5), name="by hand")
    acts: list[Callable[[], object]] = [
        lambda: desk.click(*LEFT),
        lambda: desk.click(44, 44),
        lambda: (desk.click(40, 56, exclude=True), control.new_object()),
        lambda: desk.click(*RIGHT),
        desk.track,
        lambda: desk.paint((2, 80, 20), 1),
        lambda: control.rename(1, "mother"),
        lambda: (control.select(1), desk.space.go_to((5,)), control.divisions.divide()),
        lambda: desk.click(40, 35),
        lambda: (control.select(2), control.begin_here()),
        lambda: control.delete(2),
        lambda: control.prompting.use_labels(other),
    ]
    seen: list[dict[str, Any]] = []
    for act in acts:
        act()
        desk.jobs.run()
        seen.append(everything(desk))
    for wanted in reversed(seen[:-1]):
        desk.undo()
        assert everything(desk) == wanted
    desk.undo()
    assert everything(desk)["masks"] == {} and len(desk.space.points.data) == 0
    control.undo()
    assert desk.told[-1] == "There is nothing to undo."
    for wanted in seen:
        desk.redo()
        assert everything(desk) == wanted
    control.redo()
    assert desk.told[-1] == "There is nothing to redo."
    assert desk.failures == []


def test_what_was_taken_back_is_gone_after_another_change(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.undo()
    desk.click(*RIGHT)
    desk.controller.redo()
    assert desk.told[-1] == "There is nothing to redo."
    assert desk.area(0, 1) > 300


def test_a_stroke_beyond_an_objects_life_is_one_edit_with_the_longer_life(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    desk.space.go_to((3,))
    desk.controller.begin_here()
    desk.jobs.run()
    before = everything(desk)
    desk.space.go_to((1,))
    desk.space.labels.paint((1, 42, 40), 1)
    desk.controller.prompting.sync()
    desk.jobs.run()
    assert desk.session.lives == {1: Life(1, None)}
    after = everything(desk)
    desk.controller.undo()
    desk.jobs.run()
    assert everything(desk) == before
    desk.controller.redo()
    desk.jobs.run()
    assert everything(desk) == after
    assert desk.told[-1] != "There is nothing to redo."


def test_an_object_that_a_redo_removes_has_no_correction_to_track_on_from(desk: Desk) -> None:
    control = desk.controller
    desk.click(*LEFT)
    desk.track()
    desk.space.go_to((4,))
    desk.click(40, 33)
    control.delete(1)
    control.undo()
    desk.jobs.run()
    assert control.runs.corrections == {1: 4}
    told: list[dict[int, int]] = []
    control.objects_changed.connect(lambda: told.append(control.runs.corrections))
    control.redo()
    desk.jobs.run()
    assert told and not any(told)
    assert control.objects == {}


def test_undo_while_the_model_looks_takes_that_click_back(desk: Desk) -> None:
    desk.click(*LEFT)
    first = desk.space.store.get((0,), 1)
    desk.space.points.add([0, 60, 85])
    desk.undo()
    assert desk.space.store.get((0,), 1) == first
    assert len(desk.space.points.data) == 1


def test_a_click_during_a_run_stays_when_the_run_is_taken_back(desk: Desk) -> None:
    desk.click(*LEFT)

    def click(progress: object) -> None:
        if getattr(progress, "done", 0) == 5:
            desk.space.points.add([3, 60, 88])

    desk.controller.progressed.connect(click)
    desk.track()
    clicked = desk.space.store.get((3,), 1)
    desk.undo()
    desk.redo()
    assert desk.space.store.get((3,), 1) == clicked


def test_a_run_is_over_when_the_model_has_answered_what_was_clicked_during_it(desk: Desk) -> None:
    desk.click(*LEFT)
    runs, prompting, running = desk.controller.runs, desk.controller.prompting, []

    def click(progress: Any) -> None:
        if progress is not None and progress.done == 7 and not prompting.answering:
            desk.space.points.add([4, 44, 40])
            prompting.after(lambda: running.append(runs.running))

    runs.progressed.connect(click)
    desk.track()
    assert running == [True] and not runs.running


def test_a_click_on_what_a_run_has_just_tracked_leaves_nothing_of_it_when_both_are_undone(
    desk: Desk,
) -> None:
    desk.click(*LEFT)
    desk.controller.runs.start("forward")
    desk.space.go_to((3,))
    desk.space.points.add([3, 40, 37])  # answered when the run has been there
    desk.jobs.run()
    corrected = everything(desk)
    desk.undo()
    assert len(desk.space.store.frames_of(1)) == 8 and len(desk.space.points.data) == 1
    desk.undo()
    assert desk.space.store.frames_of(1) == [(0,)]
    desk.redo()
    desk.redo()
    assert everything(desk) == corrected


def test_an_object_that_is_removed_during_a_run_is_back_as_before_the_run(desk: Desk) -> None:
    desk.click(*LEFT)

    def remove(progress: Any) -> None:
        if progress is not None and progress.done == 4:
            desk.controller.delete(1)

    desk.controller.progressed.connect(remove)
    desk.track()
    assert not desk.space.store.frames_of(1)
    while len(desk.work.history) > 1:
        desk.undo()
    assert desk.space.store.frames_of(1) == [(0,)]


def test_masks_after_undo_and_redo_are_what_the_model_goes_on_from(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.click(44, 44)
    desk.undo()
    desk.track()
    tracked = [desk.space.store.get((t,), 1) for t in range(8)]
    desk.controller.undo()
    desk.undo()
    desk.redo()
    desk.track()
    assert [desk.space.store.get((t,), 1) for t in range(8)] == tracked


def test_prompts_loaded_twice_double_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.click(*LEFT)
    click_object(desk, *RIGHT)
    desk.box(50, 75, 70, 95)
    desk.paint((2, 80, 20), 1)
    desk.controller.results.save_prompts(tmp_path / "prompts.json")
    before = everything(desk)
    for _ in range(2):
        load(desk, tmp_path / "prompts.json")
        assert everything(desk) == before
    assert "here already" in " ".join(desk.told)


def test_prompts_of_a_movie_of_another_size_are_refused(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    save_prompts(path, [Prompt.of(0, 1, [LEFT], [1])], {"height": 1000, "width": 2000})
    desk.controller.results.load_prompts(path)
    assert "prompts.json has prompts of another movie" in desk.failures[-1]
    assert desk.controller.objects == {}


def test_a_file_adds_what_is_missing_to_the_objects_that_are_there(
    desk: Desk, tmp_path: Path
) -> None:
    desk.click(*LEFT)
    desk.click(44, 44)
    desk.controller.results.save_prompts(tmp_path / "prompts.json")
    desk.undo()
    load(desk, tmp_path / "prompts.json")
    assert list(desk.controller.objects) == [1]
    assert len(desk.space.points.data) == 2


@pytest.mark.parametrize("direction", ["both", "backward", "forward"])
def test_nothing_is_tracked_beyond_its_life(desk: Desk, direction: str) -> None:
    desk.controller.new_object()
    desk.space.go_to((4,))
    desk.click(40, 36)
    desk.space.go_to((3,))
    desk.controller.begin_here()
    desk.space.go_to((6,))
    desk.controller.end_here()
    desk.track(direction)
    frames = {index[0] for index in desk.space.store.frames_of(1)}
    assert frames == {"both": {3, 4, 5, 6}, "backward": {3, 4}, "forward": {4, 5, 6}}[direction]


def test_an_object_cannot_end_before_it_begins(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.space.go_to((4,))
    desk.controller.begin_here()
    desk.jobs.run()
    desk.space.go_to((2,))
    assert not desk.controller.attempt(desk.controller.end_here)
    assert "before it begins" in desk.failures[-1]


def test_a_polygon_and_an_ellipse_are_masks(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.controller.new_object()
    triangle = np.array([(0, 10, 10), (0, 10, 30), (0, 30, 10)], float)
    desk.space.boxes.add_polygons(triangle)
    desk.jobs.run()
    mask = desk.space.store.get((0,), 2)
    assert mask is not None and mask.box == (10, 10, 31, 31)
    assert mask.to_array()[14, 14] and not mask.to_array()[28, 28]
    desk.controller.new_object()
    desk.space.boxes.add_ellipses(np.array([(0, 60, 60), (0, 60, 90), (0, 80, 90), (0, 80, 60)]))
    desk.jobs.run()
    assert desk.area(0, 3) == pytest.approx(np.pi * 15 * 10, rel=0.05)


def test_what_was_undone_is_the_last_that_is_told(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.click(44, 44)
    desk.undo()
    assert desk.told[-1] == "The click is undone."


def test_a_stroke_while_the_model_looks_at_a_click_is_undone_with_it(desk: Desk) -> None:
    desk.controller.new_object()
    desk.space.points.add([0, *LEFT])
    desk.space.labels.paint((0, 40, 40), 1)  # before the answer
    painted = desk.area(0, 1)
    desk.sync()
    assert desk.area(0, 1) == painted > 0
    desk.undo()
    assert desk.area(0, 1) == 0
    desk.redo()
    assert desk.area(0, 1) == painted


def accept(control: Any, index: Any, proposal: ObjectMask) -> None:
    control.proposals._show(control.work, index, [proposal], "")
    control.proposals.accept()


@pytest.mark.parametrize(
    "act",
    [
        lambda control: control.begin_here(),
        lambda control: control.divisions.divide(),
        lambda control: control.rename(1, "mine"),
        lambda control: control.delete(1),
        lambda control: control.clean("Smooth outline", everywhere=True),
        lambda control: control.offers.refuse(),
        lambda control: accept(control, (3,), ObjectMask.from_box((0, 0, 9, 9), SIZE)),
    ],
    ids=["life", "division", "name", "removal", "clean-up", "refusal", "all cells"],
)
def test_an_act_while_the_model_looks_at_a_click_is_an_edit_of_its_own(
    desk: Desk, act: Callable[[Any], None]
) -> None:
    desk.click(*LEFT)
    desk.track()
    desk.space.store.put((1,), 1, ObjectMask.from_box((10, 10, 40, 30), SIZE))
    desk.work.offers.append(Offer("born", 0, (1,), "it is new"))
    desk.space.go_to((3,))
    desk.controller.new_object()
    desk.space.points.add([3, *RIGHT])  # not answered yet
    desk.controller.select(1)
    act(desk.controller)
    desk.jobs.run()
    desk.undo()
    assert len(desk.space.points.data) == 2 and desk.area(3, 2) > 0
    desk.undo()
    assert len(desk.space.points.data) == 1 and desk.area(3, 2) == 0


def test_what_was_asked_for_before_another_image_was_chosen_is_not_done_there(desk: Desk) -> None:
    other = desk.viewer.add_image(np.zeros(SIZE, np.uint8), name="other")
    desk.click(*LEFT)
    desk.space.points.add([0, 44, 44])  # not answered yet
    desk.controller.delete(1)
    desk.controller.use([other])
    desk.controller.new_object()
    desk.jobs.run()
    assert list(desk.controller.objects) == [1]
    assert "Another image was chosen" in desk.failures[-1]
    desk.controller.use([desk.viewer.layers["movie"]])
    assert list(desk.controller.objects) == [1]
