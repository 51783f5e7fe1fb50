"""The whole story without Qt: real layers, real model, no window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.models.frame_states import Kind
from tests.cli.conftest import moving_discs
from tests.napari_plugin.conftest import LEFT, RIGHT, Desk


def truth(frame: int, label: int, frames: int = 8) -> np.ndarray:
    return moving_discs(frames)[1][frame] == label


def iou(desk: Desk, frame: int, label: int, disc: int) -> float:
    mask = desk.space.store.get((frame,), label)
    found = np.zeros((96, 128), bool) if mask is None else mask.to_array()
    wanted = truth(frame, disc)
    return float((found & wanted).sum() / (found | wanted).sum())


def test_a_click_gives_a_mask_on_its_frame_only(desk: Desk) -> None:
    desk.click(*LEFT)
    assert iou(desk, 0, 1, 1) > 0.8
    assert desk.space.store.frames_of(1) == [(0,)]
    assert desk.failures == []


def test_layers_that_are_added_lie_where_the_image_lies(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.box(50, 80, 70, 100)
    desk.track()
    image = desk.controller.images[0]
    for layer in desk.space.layers():
        assert np.array_equal(layer.scale, image.scale)
        assert layer.units == image.units
    assert len(desk.space.layers()) == 4


def test_choosing_an_image_adds_nothing_and_loads_nothing(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(moving_discs(3)[0])
    assert len(desk.viewer.layers) == 1
    assert desk.controller.work is None
    assert "Click on an object" in desk.controller.runs.why_not()


def test_a_click_that_excludes_is_refused_on_an_object_that_nothing_shows(desk: Desk) -> None:
    desk.click(*LEFT, exclude=True)
    assert "Click on object 1 first" in desk.failures[-1]
    assert desk.area(0, 1) == 0 and not len(desk.space.points.data)
    desk.click(*LEFT)
    desk.click(*RIGHT, exclude=True)
    assert "leaves out" in desk.told[-1]
    desk.track()
    desk.space.go_to((5,))
    desk.click(*RIGHT, exclude=True)
    assert len(desk.space.points.data) == 3


def test_with_the_click_on_an_object_those_that_exclude_go(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.click(*RIGHT, exclude=True)
    desk.space.points.selected_data = {0}
    desk.space.points.remove_selected()
    desk.jobs.run()
    assert desk.area(0, 1) == 0 and not len(desk.space.points.data)
    desk.undo()
    assert desk.area(0, 1) > 0 and len(desk.space.points.data) == 2


def test_masks_with_more_axes_than_tracks_can_have_are_tracked(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(moving_discs(3)[0][:, None, None])
    desk.click(*LEFT)
    desk.track()
    assert len(desk.space.store.frames_of(1)) == 3 and not desk.failures


def test_a_box_and_a_click_that_excludes(desk: Desk) -> None:
    desk.click(*LEFT)
    before = desk.area(0, 1)
    desk.click(40, 50, exclude=True)
    assert desk.area(0, 1) != before
    line = desk.controller.line
    assert line is not None and desk.controller.work is not None
    clicks = desk.controller.work.session.prompts.along(line)[0, 1]
    assert [one.points.labels for one in clicks if one.points] == [(1,), (0,)]
    desk.controller.new_object()
    desk.box(50, 75, 70, 95)
    assert iou(desk, 0, 2, 2) > 0.8


def test_a_new_object_is_asked_for_twice_and_made_once(desk: Desk) -> None:
    desk.click(*LEFT)
    made = desk.controller.new_object()
    desk.controller.dock.select(1)
    assert (desk.controller.new_object(), desk.controller.dock.selected) == (made, made)
    assert list(desk.controller.objects) == [1, made]


def _drawn(desk: Desk) -> None:
    desk.box(50, 75, 70, 95)


def _painted(desk: Desk) -> None:
    desk.space.labels.paint((0, 60, 85), desk.controller.dock.selected)


def _named(desk: Desk) -> None:
    desk.controller.rename(desk.controller.dock.selected, "nucleus")


def _begun(desk: Desk) -> None:
    desk.space.go_to((3,))
    desk.controller.editing.begin_here()


@pytest.mark.parametrize("use", [_drawn, _painted, _named, _begun])
def test_an_object_of_which_something_was_made_is_not_the_new_one(
    desk: Desk, use: Callable[[Desk], None]
) -> None:
    desk.click(*LEFT)
    made = desk.controller.new_object()
    use(desk)
    assert desk.controller.new_object() not in (1, made)


def test_one_frame_is_not_told_of_as_frames(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track(start=1, stop=1)
    assert desk.told[-1].startswith("1 frame tracked.")


def test_an_object_keeps_its_name_when_that_is_emptied(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.controller.rename(1, " ")
    assert desk.controller.objects == {1: "object 1"}


def test_objects_are_tracked_to_the_end(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.controller.new_object()
    desk.click(*RIGHT)
    desk.track()
    for frame in range(8):
        assert iou(desk, frame, 1, 1) > 0.7
        assert iou(desk, frame, 2, 2) > 0.7
    kinds = [state.kind for state in desk.controller.states(1)]
    assert kinds == [Kind.PROMPTED] + [Kind.TRACKED] * 7
    assert "8 frames tracked." in desk.told


def test_a_range_limits_a_run_and_both_goes_outward(desk: Desk) -> None:
    desk.controller.new_object()
    desk.space.go_to((4,))
    desk.click(40, 36)
    desk.track("both", 2, 5)
    assert desk.space.store.frames_of(1) == [(2,), (3,), (4,), (5,)]


def test_a_stopped_run_keeps_what_is_done_and_goes_on_from_there(desk: Desk) -> None:
    desk.click(*LEFT)
    done: list[int] = []

    def stop_at_three(progress: object) -> None:
        if not done and getattr(progress, "done", 0) == 3:
            done.append(3)
            desk.controller.runs.cancel()

    desk.controller.progressed.connect(stop_at_three)
    desk.track()
    assert desk.space.store.frames_of(1) == [(0,), (1,), (2,), (3,)]  # three beside the click's
    assert any("what is done is kept" in told for told in desk.told)
    desk.track()
    assert len(desk.space.store.frames_of(1)) == 8


def test_taking_back_a_correction_brings_the_tracked_mask_back(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    tracked = desk.space.store.get((5,), 1)
    desk.space.go_to((5,))
    desk.click(55, 60)
    assert desk.space.store.get((5,), 1) != tracked
    desk.undo()
    assert desk.space.store.get((5,), 1) == tracked


def test_a_removed_or_moved_marker_is_a_changed_prompt(desk: Desk) -> None:
    desk.click(*LEFT)
    first = desk.space.store.get((0,), 1)
    desk.click(*RIGHT)
    assert desk.space.store.get((0,), 1) != first
    desk.space.points.selected_data = {1}
    desk.space.points.remove_selected()
    desk.jobs.run()
    assert desk.space.store.get((0,), 1) == first


def test_tracking_again_keeps_the_masks_that_a_person_prompted_and_painted(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    before = {f: desk.space.store.get((f,), 1) for f in range(8)}
    desk.space.go_to((4,))
    desk.controller.select(1)
    desk.paint((4, 10, 100), 1)
    desk.track()
    after = {f: desk.space.store.get((f,), 1) for f in range(8)}
    assert after[0] == before[0]
    assert after[4].to_array()[10, 100]  # type: ignore[union-attr]


def test_labels_that_a_script_sets_are_painted_masks(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    labels = np.array(desk.space.labels.data)
    labels[3] = 0
    desk.space.labels.data = labels
    desk.sync()
    assert desk.space.labels.data is desk.space.store
    desk.click(*RIGHT)
    desk.track("both")
    assert desk.area(3, 1) == 0 and desk.area(4, 1) > 0


@pytest.mark.parametrize("labels", [np.zeros((2, 3, 4), int), np.full((8, 96, 128), 70000)])
def test_labels_that_cannot_be_masks_are_refused_and_the_masks_stay(
    desk: Desk, labels: np.ndarray
) -> None:
    desk.click(*LEFT)
    area = desk.area(0, 1)
    desk.space.labels.data = labels
    assert "as before" in desk.failures[-1]
    assert desk.area(0, 1) == area and desk.space.labels.data is desk.space.store


def test_what_a_person_painted_is_never_overwritten(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.controller.select(1)
    desk.space.labels.brush_size = 5
    desk.paint((3, 80, 20), 1)
    painted = desk.space.store.get((3,), 1)
    desk.track("both")
    assert desk.space.store.get((3,), 1) == painted
    assert len(desk.space.store.frames_of(1)) == 8


def test_an_undone_stroke_leaves_nothing_that_is_kept(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.space.labels.paint((3, 80, 20), 1)
    desk.space.labels.undo()
    desk.sync()
    assert desk.space.store.get((3,), 1) is None
    desk.track()
    assert iou(desk, 3, 1, 1) > 0.7


def test_an_undone_stroke_brings_the_click_and_its_mask_back(desk: Desk) -> None:
    desk.click(*LEFT)
    clicked = desk.space.store.get((0,), 1)
    for _ in range(2):
        desk.paint((0, 80, 20), 1)
        assert desk.space.store.get((0,), 1) != clicked
        assert len(desk.space.points.data) == 0
        desk.space.labels.undo()
        desk.sync()
        assert desk.space.store.get((0,), 1) == clicked
        assert len(desk.space.points.data) == 1


def test_an_undone_stroke_over_a_tracked_mask_can_be_tracked_again(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    tracked = desk.space.store.get((5,), 1)
    desk.space.go_to((5,))
    for place in ((5, 80, 20), (5, 85, 30)):
        desk.space.labels.paint(place, 1)
        desk.sync()
    desk.space.labels.undo()
    assert desk.space.store.get((5,), 1).to_array()[80, 20]  # type: ignore[union-attr]
    desk.space.labels.undo()
    desk.sync()
    assert desk.space.store.get((5,), 1) == tracked
    assert desk.controller.work is not None
    assert desk.controller.work.session.painted == {}


def test_painting_while_a_run_comes_by_is_kept(desk: Desk) -> None:
    desk.click(*LEFT)

    def paint(progress: object) -> None:
        if progress is not None and getattr(progress, "done", 0) == 2:
            desk.space.labels.paint((6, 80, 20), 1)

    desk.controller.progressed.connect(paint)
    desk.track()
    mask = desk.space.store.get((6,), 1)
    assert mask is not None and mask.to_array()[80, 20] and not mask.to_array()[40, 34]


def test_labels_of_another_layer_become_objects(desk: Desk) -> None:
    layer = desk.viewer.add_labels(moving_discs(8)[1], name="by hand")
    made = desk.controller.prompting.use_labels(layer)
    desk.jobs.run()
    assert made == [1, 2]
    desk.track()
    for label in made:
        assert np.array_equal(
            desk.space.store.get((0,), label).to_array(),  # type: ignore[union-attr]
            truth(0, label),
        )
        assert iou(desk, 7, label, label) > 0.7


def test_a_division_ends_the_mother_and_begins_two_daughters(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    desk.space.go_to((4,))
    desk.controller.divisions.divide()
    first, second = sorted(desk.space.lineage.mothers)
    assert desk.space.store.frames_of(1)[-1] == (3,)
    assert desk.controller.selected == first
    desk.click(40, 36)
    assert desk.controller.selected == second
    desk.click(60, 89)
    desk.track()
    assert desk.space.store.frames_of(1)[-1] == (3,)
    assert desk.space.store.frames_of(second) == [(4,), (5,), (6,), (7,)]
    assert desk.space.tracks.graph == {first: [1], second: [1]}


@pytest.mark.parametrize(("gone", "selected"), [("daughter", 2), ("image", 1)])
def test_no_daughter_is_waited_for_that_is_gone(desk: Desk, gone: str, selected: int) -> None:
    desk.click(*LEFT)
    desk.track("forward", 0, 4)
    desk.space.go_to((4,))
    desk.controller.divisions.divide()
    if gone == "daughter":
        desk.controller.delete(3)
    else:
        desk.controller.use([desk.viewer.add_image(np.zeros((64, 64), np.uint8))])
    desk.click(30, 30)
    assert desk.controller.selected == selected


def divided(desk: Desk) -> None:
    """A division on frame 4, with a click on each daughter."""
    desk.click(*LEFT)
    desk.track()
    desk.space.go_to((4,))
    desk.controller.divisions.divide()
    desk.click(40, 36)
    desk.click(60, 89)


def test_a_cell_that_divides_again_divides_there_instead(desk: Desk) -> None:
    divided(desk)
    for frame in (2, 6):
        desk.space.go_to((frame,))
        desk.controller.select(1)
        desk.controller.divisions.divide()
        desk.controller.divisions.divide()  # pressed twice
        desk.track("both")
        assert desk.space.lineage.mothers == {2: 1, 3: 1}
        assert list(desk.controller.objects) == [1, 2, 3]
        desk.space.go_to((frame,))
        desk.controller.select(2)
        desk.click(40, 35)
        desk.track("both")
        assert desk.space.store.frames_of(2) == [(n,) for n in range(frame, 8)]


def test_nothing_of_a_cell_is_after_its_division_or_of_a_daughter_before(desk: Desk) -> None:
    divided(desk)
    marks = desk.space.marks()
    desk.controller.select(2)
    desk.space.go_to((2,))
    desk.click(40, 38)
    desk.controller.select(1)
    desk.space.go_to((6,))
    desk.click(40, 34)
    desk.space.labels.paint((6, 42, 40), 1)
    desk.controller.prompting.sync()
    desk.controller.attempt(desk.controller.end_here)
    assert len(desk.failures) == 4
    assert all("divides on frame 4" in text for text in desk.failures)
    assert desk.space.marks() == marks
    desk.track("both")
    assert desk.space.store.frames_of(1)[-1] == (3,)
    assert desk.space.store.frames_of(2)[0] == (4,)


def test_a_cell_cannot_divide_before_it_is_seen(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.controller.divisions.divide()
    assert "on no frame before" in desk.failures[-1]
    assert list(desk.controller.objects) == [1]


def test_a_removed_object_goes_and_comes_back(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.controller.new_object()
    desk.click(*RIGHT)
    desk.track()
    desk.controller.delete(1)
    assert desk.space.store.frames_of(1) == []
    assert len(desk.space.points.data) == 1
    assert desk.controller.selected == 2
    desk.controller.undo()
    assert len(desk.space.store.frames_of(1)) == 8


def test_a_mother_that_was_removed_comes_back_with_her_daughters(desk: Desk) -> None:
    desk.click(*LEFT)
    lineage = desk.space.lineage
    lineage.add(1, 2)
    desk.controller.delete(1)
    assert lineage.mothers == {}
    desk.controller.undo()
    assert lineage.mothers == {2: 1}


def test_a_label_that_is_only_looked_at_is_no_object(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.space.labels.selected_label = 57
    assert list(desk.controller.objects) == [1]
    desk.click(*RIGHT)
    assert list(desk.controller.objects) == [1, 57]


def test_an_image_of_another_shape_closes_the_objects_of_before(desk: Desk) -> None:
    desk.click(*LEFT)
    (image,) = desk.controller.images
    image.data = image.data[:, :50, :50]
    assert "another shape" in desk.failures[-1]
    assert not desk.controller.objects
    desk.click(40, 40)
    assert desk.space.store.frame_size == (50, 50)


def test_an_image_that_becomes_longer_keeps_its_objects(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    (image,) = desk.controller.images
    image.data = np.concatenate([image.data, image.data[-1:]])
    assert list(desk.controller.objects) == [1] and not desk.failures
    desk.track()
    assert len(desk.space.store.frames_of(1)) == 9


def test_planes_of_a_volume_in_time_are_lines_of_their_own(
    make_desk: Callable[..., Desk],
) -> None:
    movie = moving_discs(4)[0]
    volume = np.stack([movie // 4, movie, movie // 2], axis=1)
    desk = make_desk(volume, axis_labels=("t", "z", "y", "x"))
    assert desk.controller.axis == 0
    desk.viewer.dims.set_point((0, 1), (0, 1))
    desk.click(*LEFT)
    desk.track()
    assert desk.space.store.frames_of(1) == [(t, 1) for t in range(4)]
    desk.controller.use(desk.controller.images, axis=1)
    desk.viewer.dims.set_point((0, 1), (2, 1))
    desk.controller.new_object()
    desk.click(60, 87)
    desk.track("both")
    assert desk.space.store.frames_of(2) == [(2, z) for z in range(3)]


def test_one_image_is_segmented_and_says_that_it_has_one_frame(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(moving_discs(1)[0][0])
    desk.click(*LEFT)
    assert desk.space.store.on_frame(())[1].area > 300
    assert desk.controller.runs.why_not() == "There is only one frame."


def test_a_click_beside_the_image_is_refused_and_its_marker_goes(desk: Desk) -> None:
    desk.click(*LEFT)
    first = desk.space.store.get((0,), 1)
    desk.click(40, 500)
    assert "outside" in desk.failures[-1]
    assert len(desk.space.points.data) == 1
    assert desk.space.store.get((0,), 1) == first
    desk.click(40, 44)
    assert len(desk.failures) == 1


def test_a_refused_click_takes_no_marker_of_another_image_away(desk: Desk) -> None:
    desk.controller.new_object()
    first = desk.space
    first.points.add([0, -20, -20])
    desk.controller.use([desk.viewer.add_image(np.zeros((64, 64), np.uint8), name="other")])
    desk.click(30, 30)
    assert len(desk.failures) == 1
    assert (len(first.points.data), len(desk.space.points.data)) == (0, 1)


def test_an_error_of_the_model_is_told_and_all_goes_on(desk: Desk) -> None:
    def broken() -> None:
        raise ModelError("There are no weights. Download them.")

    good = desk.controller.load_model
    desk.controller.load_model = broken  # type: ignore[assignment]
    desk.click(*LEFT)
    assert "Download them" in desk.failures[-1]
    assert len(desk.space.points.data) == 1
    desk.controller.load_model = good
    desk.sync()
    assert desk.area(0, 1) > 300


def test_a_frame_that_cannot_be_read_ends_the_run_and_keeps_the_rest(
    make_desk: Callable[..., Desk],
) -> None:
    import dask.array as da

    movie = moving_discs(8)[0]

    def load(block: np.ndarray, block_info: dict) -> np.ndarray:  # type: ignore[type-arg]
        if block_info[0]["chunk-location"][0] == 5:
            raise OSError("the disk is gone")
        return block

    lazy = da.from_array(movie, chunks=(1, 96, 128)).map_blocks(load, dtype=movie.dtype)
    desk = make_desk(lazy, contrast_limits=(0, 255))
    desk.click(*LEFT)
    desk.track()
    assert "the disk is gone" in desk.failures[-1]
    assert desk.space.store.frames_of(1) == [(t,) for t in range(5)]
    assert not desk.controller.runs.running


def test_one_frame_that_cannot_be_read_leaves_the_others_to_be_worked_on(
    make_desk: Callable[..., Desk],
) -> None:
    import dask.array as da

    def load(block: np.ndarray, block_info: dict) -> np.ndarray:  # type: ignore[type-arg]
        if block_info[0]["chunk-location"][0] == 7:
            raise ValueError("the strip is damaged")
        return block

    movie = moving_discs(8)[0]
    lazy = da.from_array(movie, chunks=(1, 96, 128)).map_blocks(load, dtype=movie.dtype)
    desk = make_desk(lazy, contrast_limits=(0, 255))
    desk.click(*LEFT)
    assert desk.area(0, 1) > 0


def test_another_contrast_is_another_look(desk: Desk) -> None:
    desk.click(*LEFT)
    tracker = desk.controller.work.session._tracking[desk.controller.line].tracker  # type: ignore
    desk.controller.images[0].contrast_limits = (0, 90)
    desk.click(42, 42)
    again = desk.controller.work.session._tracking[desk.controller.line].tracker  # type: ignore
    assert again is not tracker
    assert len(again.prompts) == 2


def test_removing_the_image_or_the_masks_closes_its_objects(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.viewer.layers.remove(desk.space.labels)
    assert desk.controller.work is None
    assert desk.controller.objects == {}
    desk.click(*LEFT)
    assert desk.area(0, 1) > 300


def test_removing_the_clicks_takes_back_what_they_said(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.viewer.layers.remove(desk.space.points)
    assert "comes back if that is undone" in desk.told[-1]
    desk.controller.select(1)
    desk.click(*RIGHT)
    assert iou(desk, 0, 1, 2) > 0.7
    desk.undo()
    assert len(desk.space.points.data) == 1


def test_closing_lets_go_of_every_layer(desk: Desk) -> None:
    desk.click(*LEFT)
    points, space = desk.space.points, desk.space
    desk.controller.close()
    points.add([0, *RIGHT])
    space.labels.paint((0, 10, 10), 1)
    assert desk.jobs._waiting == []


def test_progress_counts_the_frames_that_are_not_tracked_yet(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track(stop=4)
    seen = []
    desk.controller.progressed.connect(seen.append)
    desk.track()
    assert [(now.done, now.total) for now in seen[1:-1]][-3:] == [(1, 3), (2, 3), (3, 3)]


def test_doubtful_frames_are_gone_to_one_after_the_other(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    for frame in (3, 6):
        mask = desk.space.store.get((frame,), 1)
        assert mask is not None
        desk.space.store.put((frame,), 1, replace(mask, iou=0.2))
    desk.controller.go_to_frame(0)
    visited = []
    for _ in range(2):
        desk.controller.go_to_doubtful()
        visited.append(desk.controller.frame)
    desk.controller.go_to_doubtful()
    assert visited == [3, 6]
    assert "No doubtful frame" in desk.told[-1]
    desk.controller.go_to_doubtful(forward=False)
    assert desk.controller.frame == 3


def test_of_all_objects_the_doubtful_one_is_selected(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.controller.new_object()
    desk.click(*RIGHT)
    desk.track()
    mask = desk.space.store.get((5,), 1)
    assert mask is not None and desk.controller.selected == 2
    desk.space.store.put((5,), 1, replace(mask, iou=0.2))
    desk.controller.all_objects = True
    assert desk.controller.shown_states() == []
    desk.jobs.run()
    assert desk.controller.shown_states()[5].label == 1
    desk.controller.go_to_frame(0)
    desk.controller.go_to_doubtful()
    assert (desk.controller.frame, desk.controller.selected) == (5, 1)


def test_prompts_saved_and_loaded_give_the_same_masks(
    desk: Desk, make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    desk.click(*LEFT)
    desk.click(40, 50, exclude=True)
    desk.controller.new_object("the right one")
    desk.box(50, 75, 70, 95)
    desk.track()
    desk.space.go_to((4,))
    desk.controller.select(1)
    desk.paint((4, 42, 40), 1)
    desk.controller.divisions.divide()
    desk.click(40, 36)
    desk.track()
    desk.controller.results.save_prompts(tmp_path / "prompts.json")
    again = make_desk(moving_discs(8)[0])
    again.controller.results.load_prompts(tmp_path / "prompts.json")
    again.jobs.run()
    again.track()
    assert again.failures == []
    assert again.controller.objects[2] == "the right one"
    assert again.space.lineage.mothers == {3: 1}
    for index in desk.space.store.frames_of(1) + desk.space.store.frames_of(2):
        assert again.space.store.on_frame(index) == desk.space.store.on_frame(index)


def test_objects_with_the_very_same_prompt_stay_two_when_read_back(
    desk: Desk, make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    control = desk.controller
    for name in ("cell", "nucleus"):
        control.new_object(name)
        desk.click(*LEFT)
    control.live(1, Life(0, 5))
    saved = tmp_path / "prompts.json"
    control.results.save_prompts(saved)
    control.live(1, Life())
    again = make_desk(moving_discs(8)[0])
    for one in (desk, again, again):
        one.controller.results.load_prompts(saved)
        one.jobs.run()
        assert one.controller.objects == {1: "cell", 2: "nucleus"}
        assert one.session.lives == {1: Life(0, 5)}
        assert len(one.space.points.data) == 2


def test_a_file_that_does_not_fit_the_movie_changes_nothing(
    desk: Desk, make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    desk.controller.new_object()
    desk.space.go_to((7,))
    desk.click(40, 33)
    desk.controller.results.save_prompts(tmp_path / "prompts.json")
    short = make_desk(moving_discs(3)[0])
    short.controller.results.load_prompts(tmp_path / "prompts.json")
    assert short.failures
    assert short.controller.objects == {}


def test_what_cannot_be_done_is_told_and_not_raised(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(moving_discs(4)[0])
    desk.controller.use([])
    assert not desk.controller.attempt(desk.controller.new_object)
    assert desk.failures == ["There is no image: open one, and choose it above."]
    assert desk.controller.attempt(lambda: None)


def test_another_memory_means_another_tracker(desk: Desk) -> None:
    desk.click(*LEFT)
    line = desk.controller.line
    assert line is not None and desk.controller.work is not None
    session = desk.controller.work.session
    before = session._tracking[line].tracker
    desk.controller.memory = "motion"
    desk.track()
    after = session._tracking[line].tracker
    assert after is not before
    assert type(after.policy).__name__ == "SamuraiPolicy"
    assert desk.failures == []


def test_old_names_are_still_found_and_say_the_new_ones(desk: Desk) -> None:
    control: Any = desk.controller
    assert control.jobs is desk.jobs
    with pytest.warns(DeprecationWarning, match="dock.painted"):
        assert control.edited is control.dock.painted
    with pytest.raises(AttributeError, match="no nonsense"):
        control.nonsense  # noqa: B018


def test_the_layer_of_boxes_comes_with_the_first_box(desk: Desk) -> None:
    desk.click(*LEFT)
    assert "movie boxes" not in desk.viewer.layers
    desk.controller.new_object()
    desk.box(50, 80, 70, 100)
    assert desk.area(0, 2) > 100
    desk.viewer.layers.remove("movie boxes")
    desk.controller.begin()
    assert len(desk.space.boxes.data) == 0
    desk.box(50, 80, 70, 100)
    assert "movie boxes" in desk.viewer.layers


def test_what_is_removed_or_ends_is_in_the_tracks_no_more(desk: Desk) -> None:
    for at in (LEFT, RIGHT):
        desk.controller.new_object()
        desk.click(*at)
    desk.track()
    assert {row[0] for row in desk.space.tracks.data} == {1, 2}
    desk.controller.delete(2)
    desk.jobs.run()
    assert {row[0] for row in desk.space.tracks.data} == {1}
    desk.space.go_to((3,))
    desk.controller.end_here()
    desk.jobs.run()
    assert [row[1] for row in desk.space.tracks.data] == [0, 1, 2, 3]
    desk.undo()
    desk.undo()
    assert {row[0] for row in desk.space.tracks.data} == {1, 2}
