"""One cell per click; a click on a mask selects its object."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin.layers.colors import TrackColors, color_of
from sam2_plugins.napari_plugin.models.click_meaning import meaning_of_click
from tests.napari_plugin.conftest import LEFT, RIGHT, Desk
from tests.napari_plugin.test_all_cells import dividing_cells

SIZE = (60, 80)
MASKS = {
    1: ObjectMask.from_box((10, 10, 20, 20), SIZE),
    2: ObjectMask.from_box((40, 10, 60, 30), SIZE),
    3: ObjectMask.from_box((45, 15, 50, 20), SIZE),
    4: ObjectMask.from_box((10, 40, 70, 46), SIZE),
    5: ObjectMask.from_box((76, 55, 77, 56), SIZE),
}


@pytest.mark.parametrize(
    ("x", "y", "selected", "fresh", "meaning"),
    [
        (15, 15, 1, True, "refine"),
        (22, 15, 1, True, "refine"),  # just beside it
        (30, 15, 1, True, "new"),
        (30, 15, 1, False, "refine"),  # it was corrected or tracked before
        (55, 25, 1, True, 2),
        (55, 25, 1, False, 2),
        (47, 17, 1, True, 3),  # the smaller one is in front
        (40, 49, 4, True, "new"),  # a rod beside this one
        (74, 55, 5, True, "refine"),  # a miss
        (30, 15, 6, True, "refine"),  # it has no mask on this frame yet
        (15, 15, None, True, 1),
        (30, 15, None, True, "new"),
    ],
)
def test_a_click_means_what_lies_under_it(
    x: float, y: float, selected: int | None, fresh: bool, meaning: object
) -> None:
    assert meaning_of_click(x, y, MASKS, selected, fresh) == meaning


def press(desk: Desk, y: float, x: float, *modifiers: str) -> None:
    """Press the mouse, as napari hands it on before a click or a drag."""
    points = desk.space.points
    points.mode = "add"
    event = SimpleNamespace(
        position=points.data_to_world((*desk.space.step, y, x)), modifiers=modifiers
    )
    points.mouse_drag_callbacks[0](points, event)


def click(desk: Desk, y: float, x: float, *modifiers: str, answered: bool = True) -> None:
    """Click as napari hands it on: the callback before it, and then the marker."""
    press(desk, y, x, *modifiers)
    desk.space.points.add([*desk.space.step, y, x])
    if answered:
        desk.jobs.run()


def test_two_clicks_on_two_cells_are_two_objects_and_undo_takes_the_second_away(
    desk: Desk,
) -> None:
    desk.controller.new_object()
    click(desk, *LEFT)
    click(desk, *RIGHT)
    assert list(desk.controller.objects) == [1, 2]
    assert desk.area(0, 1) > 300 and desk.area(0, 2) > 200
    assert any("begins object 2" in told for told in desk.told)
    desk.undo()
    assert list(desk.controller.objects) == [1]
    assert desk.controller.selected == 1
    desk.redo()
    assert list(desk.controller.objects) == [1, 2] and desk.area(0, 2) > 200


def test_who_clicks_faster_than_the_model_answers_clicks_on_the_same_objects(desk: Desk) -> None:
    desk.controller.new_object()
    for at in (LEFT, RIGHT):
        click(desk, *at, answered=False)
    click(desk, 70, 85, "Control", answered=False)
    desk.jobs.run()
    points = desk.space.points
    assert list(points.features["object"]) == [1, 2, 2]
    assert list(points.features["meaning"]) == ["include", "include", "exclude"]
    assert desk.area(0, 1) > 300
    desk.undo()
    desk.undo()
    assert list(desk.controller.objects) == [1]


@pytest.mark.parametrize("answered", [True, False])
def test_a_drag_that_moves_the_picture_is_no_click(desk: Desk, answered: bool) -> None:
    desk.controller.new_object()
    click(desk, *LEFT, answered=answered)
    press(desk, *RIGHT)
    desk.jobs.run()
    assert list(desk.controller.objects) == [1] and len(desk.space.points.data) == 1


def test_the_first_click_after_all_cells_is_of_the_cell_on_which_it_is(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(dividing_cells()[0])
    desk.track_all(stop=2)
    desk.controller.editing.ensure(clicking=True)
    click(desk, 90, 40)
    assert desk.controller.selected == 2 and list(desk.controller.objects) == [1, 2]
    assert len(desk.space.points.data) == 0


def test_daughters_that_are_clicked_on_fast_are_two(desk: Desk) -> None:
    desk.controller.new_object()
    click(desk, *LEFT)
    desk.track()
    desk.space.go_to((4,))
    desk.controller.divisions.divide()
    desk.jobs.run()
    click(desk, 40, 36, answered=False)
    click(desk, 60, 89)
    assert [desk.area(4, daughter) > 200 for daughter in (2, 3)] == [True, True]


def test_what_can_follow_a_click_is_still_told_when_the_model_has_answered(desk: Desk) -> None:
    desk.controller.new_object()
    click(desk, *LEFT)
    click(desk, *RIGHT)
    assert desk.told[-1].startswith("object 2 is marked. Click on the next cell")
    click(desk, *RIGHT)
    assert desk.told[-1].startswith("This was added to object 2. If it is another cell")
    desk.track()
    desk.space.go_to((5,))
    click(desk, 60, 90)
    assert desk.told[-1].startswith("object 2 is corrected on this frame. Track on from here")
    desk.undo()
    assert "corrected" not in desk.told[-1]


def test_a_click_on_another_mask_selects_it_and_adds_nothing(desk: Desk) -> None:
    desk.controller.new_object()
    click(desk, *LEFT)
    click(desk, *RIGHT)
    click(desk, *LEFT)
    assert desk.controller.selected == 1
    assert len(desk.space.points.data) == 2
    click(desk, 44, 44)
    assert list(desk.space.points.features["object"]) == [1, 2, 1]


def test_shift_click_or_the_mode_off_adds_to_the_selected_object(desk: Desk) -> None:
    desk.controller.new_object()
    click(desk, *LEFT)
    click(desk, *RIGHT, "Shift")
    desk.controller.one_per_click = False
    click(desk, 85, 20)
    assert list(desk.space.points.features["object"]) == [1, 1, 1]


def test_a_tracked_object_is_corrected_by_a_click_beside_it(desk: Desk) -> None:
    desk.controller.new_object()
    click(desk, *LEFT)
    desk.track()
    desk.space.go_to((5,))
    click(desk, 60, 90)
    assert list(desk.controller.objects) == [1]


def test_colours_are_the_same_in_masks_and_tracks(desk: Desk) -> None:
    desk.click(*LEFT)
    labels = [1, 2, 3, 60, 61, 500, 65535]
    found = TrackColors().map(labels)
    assert np.allclose(found, [color_of(label) for label in labels], atol=1e-3)
    assert len(np.unique(np.round(found[:4], 2), axis=0)) == 4


def test_masks_are_outlines_by_choice(desk: Desk) -> None:
    desk.controller.outline(True)
    desk.click(*LEFT)
    assert desk.space.labels.contour > 0
    desk.controller.outline(False)
    assert desk.space.labels.contour == 0
