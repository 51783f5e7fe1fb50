"""Every cell without a click: proposals accepted and refused, all tracked, decisions offered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import tifffile

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.models.all_cells import all_cells, follow_all
from sam2_plugins.napari_plugin.models.requests import AllCells, Choices, Offer, Request
from tests.core.lineage.scenes import dividing, scene
from tests.core.tracking.test_neighbours import CLICKS, rods
from tests.napari_plugin.conftest import LEFT, Desk, Open
from tests.napari_plugin.test_history import everything
from tests.support.movies import disc

FRAMES, SIDE = 8, 128


def dividing_cells() -> tuple[np.ndarray, np.ndarray]:
    """Labels 1, 2: cells that stay; 3: one that comes on frame 4; and their movie."""
    labels = np.zeros((FRAMES, SIDE, SIDE), np.uint8)
    for t in range(FRAMES):
        for label, (row, column, first) in enumerate(((30, 35, 0), (90, 40, 0), (60, 95, 4)), 1):
            if t >= first:
                labels[t][disc((SIDE, SIDE), (column + t, row), 11)] = label
    soft = np.random.default_rng(0).normal(0, 3, labels.shape)
    return (40 + 120 * (labels > 0) + soft).astype(np.uint8), labels


def eventful() -> np.ndarray:
    """A movie of 7 frames: a cell comes on frame 2, another one divides on frame 3."""
    labels = np.stack(dividing(before=3, after=4))
    labels[2:] = np.maximum(labels[2:], scene([(12, 108, 9)]))
    return (40 + 120 * (labels > 0)).astype(np.uint8)


@pytest.fixture
def cells(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk(dividing_cells()[0])


def propose(desk: Desk) -> None:
    desk.controller.proposals.propose()
    desk.jobs.run()


def test_accepted_proposals_are_objects_and_refused_ones_are_not(cells: Desk) -> None:
    propose(cells)
    proposals = cells.controller.proposals
    assert len(proposals.masks) == 2
    proposals.toggle(2)
    proposals.accept()
    cells.jobs.run()
    assert list(cells.controller.objects) == [1]
    assert not proposals.masks
    assert not [layer for layer in cells.viewer.layers if "proposals" in layer.name]
    cells.undo()
    assert cells.space.store.get((0,), 1) is None


def test_what_is_found_in_a_photograph_comes_with_the_note_that_nano_does_not_know_them(
    make_desk: Callable[..., Desk],
) -> None:
    movie = dividing_cells()[0][:3]
    desk = make_desk(np.stack([movie, movie // 2, movie // 4], axis=-1), rgb=True)
    propose(desk)
    assert "published checkpoint" in desk.told[-1]
    desk.track_all()
    assert desk.told[-1].startswith("3 frames tracked. This looks like a photograph")


def test_sizes_decide_what_is_accepted_and_what_is_there_is_not_proposed(cells: Desk) -> None:
    cells.click(30, 35)
    propose(cells)
    proposals = cells.controller.proposals
    assert len(proposals.masks) == 1
    proposals.set_sizes(40, 60)
    assert proposals.accepted == []
    proposals.set_sizes(10, 60)
    assert proposals.accepted == [1]


def test_a_newcomer_is_offered_and_goes_when_it_is_refused(cells: Desk) -> None:
    truth = dividing_cells()[1]
    cells.track_all()
    control = cells.controller
    assert len(control.objects) == 3
    (offer,) = control.offers.due
    assert (offer.kind, offer.frame) == ("born", 4)
    newcomer = cells.space.store.get((6,), offer.labels[0])
    assert newcomer is not None
    assert newcomer.iou_with(ObjectMask.from_array(truth[6] == 3)) > 0.8
    control.offers.refuse()
    cells.jobs.run()
    assert len(control.objects) == 2 and not control.offers.due
    cells.undo()
    assert len(control.objects) == 3
    cells.undo()
    assert not control.objects or not cells.space.store.get((6,), 1)


@pytest.mark.parametrize("gone", ["undone", "deleted"])
def test_decisions_are_not_those_of_other_objects_that_have_the_labels_later(
    make_desk: Callable[..., Desk], gone: str
) -> None:
    desk = make_desk(eventful())
    control = desk.controller
    control.runs.track_all()
    desk.jobs.run()
    offered = control.offers.due
    labels = list(control.objects)
    assert len(offered) == 2
    if gone == "undone":
        control.undo()
    else:
        for label in reversed(labels):
            control.delete(label)
    desk.jobs.run()
    for _ in labels:
        control.new_object("another cell")
        desk.click(60, 60)
    assert list(control.objects) == labels and not control.offers.due
    while len(desk.work.history) > 1:
        control.undo()
        desk.jobs.run()
    assert control.offers.due == (offered if gone == "deleted" else [])


def test_a_refusal_that_is_taken_back_is_offered_again_and_an_acceptance_is_not(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(eventful())
    control = desk.controller
    control.runs.track_all()
    desk.jobs.run()
    _, second = control.offers.due
    control.offers.accept()
    control.offers.refuse()
    desk.jobs.run()
    assert control.offers.due == []
    control.undo()
    desk.jobs.run()
    assert control.offers.due == [second]


def test_what_is_there_goes_on_and_only_what_is_new_is_new(cells: Desk) -> None:
    cells.click(30, 35)
    cells.controller.rename(1, "mine")
    cells.track_all(stop=3)
    truth = dividing_cells()[1]
    assert list(cells.controller.objects.values()) == ["mine", "object 2"]
    for label in (1, 2):
        mask = cells.space.store.get((3,), label)
        assert mask is not None
        assert mask.iou_with(ObjectMask.from_array(truth[3] == label)) > 0.8
    assert not cells.failures


def test_a_cell_that_takes_the_number_of_a_removed_object_keeps_its_masks(cells: Desk) -> None:
    cells.click(30, 35)
    cells.controller.delete(1)
    cells.track_all(stop=3)
    assert {*cells.controller.objects} == {1, 2}
    assert all(cells.space.store.get((3,), label) for label in (1, 2))


def test_an_object_that_takes_the_number_of_a_cell_removed_during_the_run_keeps_its_masks(
    cells: Desk,
) -> None:
    def meanwhile(desk: Desk) -> None:
        desk.controller.delete(2)
        desk.controller.new_object("mine")
        desk.paint((0, 15, 100), 2)

    during(cells, 2, meanwhile)
    assert cells.controller.objects[2] == "mine" and len(cells.controller.objects) == 3
    assert cells.space.store.frames_of(2) == [(0,)]


def test_a_click_ahead_of_the_run_keeps_its_mask(cells: Desk) -> None:
    def meanwhile(desk: Desk) -> None:
        desk.space.go_to((6,))
        desk.controller.select(1)
        desk.click(60, 101)

    during(cells, 2, meanwhile)
    mask = cells.space.store.get((6,), 1)
    assert mask is not None and mask.to_array()[60, 101]
    assert len(cells.space.store.frames_of(1)) == FRAMES


def two_alike() -> np.ndarray:
    movie = np.full((FRAMES, SIDE, SIDE), 40, np.uint8)
    movie[:, disc((SIDE, SIDE), (35, 30), 11) | disc((SIDE, SIDE), (90, 90), 11)] = 160
    return movie


@pytest.mark.parametrize("at", [5, 1])
def test_later_frames_follow_a_click_during_the_run_or_can_be_tracked_on_from_it(
    make_desk: Callable[..., Desk], at: int
) -> None:
    desk = make_desk(two_alike())
    desk.controller.new_object()
    desk.click(30, 35)

    def meanwhile(desk: Desk) -> None:
        if desk.space.boxes.data:
            return
        desk.space.go_to((at,))
        desk.controller.select(1)
        desk.box(79, 79, 102, 102)

    during(desk, 4 if at == 1 else 2, meanwhile)
    if at == 1:
        assert desk.controller.runs.corrections == {1: 1}
        desk.controller.runs.track_on()
        desk.jobs.run()
    after = desk.space.store.get((6,), 1)
    assert after is not None and after.to_array()[90, 90]
    assert desk.controller.runs.corrections == {}


def test_a_click_behind_the_run_that_was_moved_is_a_correction_too(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(two_alike())
    desk.controller.new_object()
    desk.click(30, 35)

    def meanwhile(desk: Desk) -> None:
        if desk.space.points.data[0][1] == 30:
            desk.space.points.data = [[0, 90, 90]]
            desk.sync()

    during(desk, 4, meanwhile)
    first = desk.space.store.get((0,), 1)
    assert first is not None and first.to_array()[90, 90]
    assert desk.controller.runs.corrections == {1: 0}
    desk.controller.runs.track_on()
    desk.jobs.run()
    last = desk.space.store.get((FRAMES - 1,), 1)
    assert last is not None and last.to_array()[90, 90]


def test_a_box_behind_the_run_that_was_taken_away_is_followed_no_more(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(two_alike())
    desk.controller.new_object()
    desk.click(30, 35)
    desk.space.go_to((2,))
    desk.box(79, 79, 102, 102)

    def meanwhile(desk: Desk) -> None:
        desk.space.boxes.selected_data = {*range(len(desk.space.boxes.data))}
        desk.space.boxes.remove_selected()
        desk.sync()

    during(desk, 4, meanwhile)
    assert desk.controller.runs.corrections == {1: 0}
    desk.controller.runs.track_on()
    desk.jobs.run()
    last = desk.space.store.get((FRAMES - 1,), 1)
    assert last is not None and last.to_array()[35, 30]


def test_nothing_is_known_of_a_mother_that_was_removed_before_her_division_came(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(eventful())
    during(desk, 1, lambda desk: desk.controller.delete(1))
    assert 1 not in desk.session.lives and desk.space.lineage.mothers == {}
    assert [offer.labels for offer in desk.controller.offers.due] == [(3,), (4,), (5,)]
    assert {offer.kind for offer in desk.controller.offers.due} == {"born"}


def test_a_division_that_is_refused_during_the_run_gives_the_mother_what_comes(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(eventful())

    def refuse(desk: Desk) -> None:
        while desk.controller.offers.due[0].kind != "divided":
            desk.controller.offers.accept()
        desk.controller.offers.refuse()

    during(desk, 5, refuse)
    assert len(desk.space.store.frames_of(1)) == 7
    assert len(desk.controller.objects) == 4


def during(desk: Desk, done: int, act: Callable[[Desk], object]) -> None:
    """Track all cells, and do something when some frames are done."""
    desk.controller.progressed.connect(
        lambda progress: progress is not None and progress.done == done and act(desk)
    )
    desk.track_all()
    assert not desk.failures


def test_a_mother_is_gone_where_an_earlier_run_had_followed_her_past_her_division(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(eventful())
    desk.click(40, 42)
    desk.track()
    before = everything(desk)["masks"]
    desk.controller.runs.track_all()
    desk.jobs.run()
    assert desk.session.lives[1].last == 2
    assert desk.space.store.frames_of(1) == [(0,), (1,), (2,)]
    desk.controller.undo()
    desk.jobs.run()
    assert everything(desk)["masks"] == before


def test_no_mother_is_back_beside_her_daughters_when_a_click_during_the_run_is_undone(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(eventful())
    desk.click(40, 42)
    desk.track()
    before = everything(desk)
    desk.controller.runs.track_all()
    desk.space.points.add([0, 40, 34])
    desk.jobs.run()
    assert desk.space.store.frames_of(1)[-1] == (2,)
    desk.undo()
    assert desk.space.store.frames_of(1)[-1] == (2,)
    desk.undo()
    assert everything(desk) == before


def test_a_second_run_makes_no_cell_twice(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(eventful())
    control, made = desk.controller, []
    for _ in range(2):
        desk.track_all()
        assert {offer.kind for offer in control.offers.due} == {"born", "divided"}
        lives, mothers = dict(desk.session.lives), dict(desk.space.lineage.mothers)
        made.append((dict(control.objects), lives, mothers, control.offers.due))
    assert made[0] == made[1]


def test_a_division_that_is_refused_leaves_the_mother_and_a_newcomer(desk: Desk) -> None:
    desk.click(*LEFT)
    space, control = desk.space, desk.controller
    for label, box in ((2, (30, 30, 45, 45)), (3, (60, 60, 70, 70))):
        space.names[label] = f"object {label}"
        space.lineage.add(1, label)
        desk.session.lives[label] = Life(3, None)
        for frame in (3, 4):
            mask = ObjectMask.from_box(box, space.store.frame_size)
            space.store.put((frame,), label, mask)
    desk.session.lives[1] = Life(None, 2)
    desk.work.offers.append(Offer("divided", 3, (2, 3), "two parts lasted", 1))
    assert "object 1 divided into object 2 and object 3" in control.offers.text(
        control.offers.due[0]
    )
    control.offers.refuse()
    desk.jobs.run()
    assert list(control.objects) == [1, 3] and space.lineage.mothers == {}
    assert desk.area(4, 1) == 225 and desk.session.lives[1] == Life(None, None)
    assert desk.session.lives[3] == Life(3, None)


def test_what_a_person_drew_and_painted_of_the_larger_daughter_is_the_mothers_when_refused(
    desk: Desk,
) -> None:
    desk.click(*LEFT)
    desk.track()
    desk.space.go_to((3,))
    desk.controller.divisions.divide()
    desk.jobs.run()
    desk.click(40, 37)
    desk.space.go_to((5,))
    desk.paint((5, 40, 35), 2)
    painted = desk.space.store.get((5,), 2)
    desk.work.offers.append(Offer("divided", 3, (2, 3), "two parts lasted", 1))
    before = everything(desk)
    desk.controller.offers.refuse()
    desk.jobs.run()
    desk.track()
    assert desk.space.store.get((5,), 1) == painted
    assert list(desk.space.points.features["object"]) == [1, 1]
    desk.undo()
    desk.undo()
    assert everything(desk) == before


def test_a_cell_that_is_clicked_on_beside_its_proposal_is_made_once(cells: Desk) -> None:
    cells.controller.proposals.propose()
    cells.controller.new_object()
    cells.space.labels.brush_size = 20
    cells.paint((0, 30, 35), 1)  # before they are shown
    proposals = cells.controller.proposals
    assert len(proposals.masks) == 1
    cells.controller.new_object()
    cells.click(90, 40)  # while they are
    proposals.accept()
    cells.jobs.run()
    assert list(cells.controller.objects) == [1, 2]


def test_what_was_found_in_an_image_is_not_offered_on_another(cells: Desk) -> None:
    other = cells.viewer.add_image(np.zeros((64, 64), np.uint8), name="other")
    control = cells.controller
    control.proposals.propose()
    control.use([other])
    cells.click(20, 20)
    assert not control.proposals.masks
    control.use([cells.viewer.layers["movie"]])
    control.runs.track_all()
    control.use([other])
    cells.jobs.run()
    assert not control.offers.due
    assert list(control.objects) == [1]
    control.use([cells.viewer.layers["movie"]])
    control.results.measure()
    control.use([other])
    cells.jobs.run()
    assert not control.results.measures
    assert not cells.failures


def outcome(desk: Desk) -> dict[str, Any]:
    """Masks, objects and decisions, with their reasons."""
    seen = everything(desk)
    state = seen["state"]
    return {
        "masks": seen["masks"],
        "objects": (state.names, state.lives, state.mothers),
        "offers": desk.work.offers,
    }


def test_what_a_later_run_found_is_joined_to_what_the_first_frames_show(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(eventful())
    desk.viewer.dims.set_point(0, 4)
    desk.track_all()
    later = dict(desk.controller.objects)
    assert len(later) == 4
    desk.space.go_to((0,))
    desk.track_all()
    names, lives = desk.controller.objects, desk.session.lives
    assert len(names) == 5 and later.items() <= names.items()  # and the mother
    (mother,) = names.keys() - later.keys()
    stays = [label for label in later if desk.space.store.frames_of(label)[0] == (0,)]
    assert len(stays) == 1 and lives.get(stays[0]) is None
    assert lives[mother] == Life(None, 2)
    assert sorted(desk.space.lineage.mothers.values()) == [mother, mother]
    assert {offer.kind for offer in desk.controller.offers.due} == {"born", "divided"}
    made = outcome(desk)
    desk.undo()
    assert dict(desk.controller.objects) == later
    desk.redo()
    assert outcome(desk)["masks"] == made["masks"]


def run_again(desk: Desk, meanwhile: Callable[[Desk, int], object]) -> int:
    """Find cells from frame 4 on, then from frame 0; return the label of one that is joined.

    Meanwhile something is done, when the second run has found it.
    """
    desk.viewer.dims.set_point(0, 4)
    desk.track_all()
    later = dict(desk.controller.objects)
    desk.space.go_to((0,))
    found: list[int] = []

    def act(progress: Any) -> None:
        if not found and progress is not None and progress.done:
            found.extend(label for label in desk.controller.objects if label not in later)
            meanwhile(desk, found[-1])

    desk.controller.progressed.connect(act)
    desk.track_all()
    return found[-1]


def remove_all_but(desk: Desk, label: int) -> None:
    for other in [other for other in desk.controller.objects if other != label]:
        desk.controller.delete(other)


@pytest.mark.parametrize(
    "meanwhile", [lambda desk, label: desk.controller.delete(label), remove_all_but]
)
def test_what_is_removed_during_a_run_is_not_joined(
    make_desk: Callable[..., Desk], meanwhile: Callable[[Desk, int], None]
) -> None:
    desk = make_desk(eventful())
    run_again(desk, meanwhile)
    shown = {label for masks in desk.space.store.snapshot().values() for label in masks}
    assert shown <= desk.controller.objects.keys()
    assert not desk.failures


def test_who_is_selected_is_selected_still_when_it_goes_on_as_another(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(eventful())
    gone = run_again(desk, lambda desk, label: desk.controller.select(label))
    assert gone not in desk.controller.objects
    assert desk.space.store.get((0,), desk.controller.selected or 0) is not None


def test_what_is_painted_during_a_run_stays_that_object(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(eventful())

    def paint(desk: Desk, label: int) -> None:
        mask = desk.space.store.get((0,), label)
        assert mask is not None and mask.box is not None
        desk.space.labels.paint((0, mask.box[1], mask.box[0]), label)

    label = run_again(desk, paint)
    assert label in desk.controller.objects
    assert len(desk.space.store.frames_of(label)) > 1


KILLED = """
import os, sys
from napari.components import ViewerModel
from napari.plugins import _initialize_plugins
from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.tracking import run
from sam2_plugins.napari_plugin.controllers import AtOnce, Controller
_initialize_plugins()
run.BLOCK = 2
viewer = ViewerModel()
viewer.open(sys.argv[1], plugin="napari", layer_type="image")
viewer.dims.set_point(0, 0)
viewer.layers[0].contrast_limits = (20, 210)
control = Controller(viewer, AtOnce(), lambda: cached_model("nano", device="cpu"))
control.use([viewer.layers[0]])
control.new_object("mine")
control.work.workspace.points.add([0, 70, 108])
def die(progress):
    if progress is not None and progress.done == 4:
        os._exit(9)
control.progressed.connect(die)
control.runs.track_all()
"""


def test_a_run_that_is_killed_goes_on_to_the_same_cells_and_decisions(
    make_desk: Callable[..., Desk], open_movie: Open, tmp_path: Path
) -> None:
    whole = make_desk(eventful(), contrast_limits=(20, 210))
    whole.controller.new_object("mine")
    whole.click(70, 108)
    whole.controller.runs.track_all()
    whole.jobs.run()
    movie = tmp_path / "cells.tif"
    tifffile.imwrite(movie, eventful())
    run = subprocess.run([sys.executable, "-c", KILLED, str(movie)], timeout=240, check=False)
    assert run.returncode == 9
    again = open_movie(movie)
    assert again.viewer.layers[0].contrast_limits == [20, 210]
    broken = again.controller.runs.broken_off
    assert broken is not None and 0 <= broken.taken < 4
    assert "it can go on" in again.told[-1]
    again.viewer.dims.set_point(0, 6)
    again.controller.runs.track_all()
    again.jobs.run()
    assert outcome(again) == outcome(whole)
    assert again.controller.runs.broken_off is None
    again.controller.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.sam2", "cells.tif"]


def test_a_run_that_was_saved_has_the_very_prompts_with_which_it_began(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(rods(5))
    (x, y) = CLICKS[1]
    desk.click(y, x)
    desk.track()
    desk.viewer.dims.set_point(0, 2)
    desk.click(y, x + 9)
    line = desk.controller.line
    assert line is not None
    run = all_cells(desk.work, line, 0, 4, Choices())
    again = AllCells.of(json.loads(json.dumps(run.begun())), beside=Path("cells.sam2"))
    assert len(run.prompts) == 2
    assert [(p, p.beside) for p in again.prompts] == [(p, p.beside) for p in run.prompts]


def cancelled(open_movie: Open, movie: Path, frames: int = 7) -> Desk:
    """A run over all cells of a file, cancelled on its third frame."""
    tifffile.imwrite(movie, eventful()[:frames], photometric="minisblack")
    desk = open_movie(movie)
    runs = desk.controller.runs
    runs.progressed.connect(lambda progress: progress and progress.done == 3 and runs.cancel())
    desk.track_all()
    return desk


def test_a_cancelled_run_goes_on_unless_something_was_changed(
    open_movie: Open, tmp_path: Path
) -> None:
    movie = tmp_path / "cells.tif"
    desk = cancelled(open_movie, movie)
    broken = desk.controller.runs.broken_off
    assert broken is not None and broken.taken == 2
    desk.controller.close()
    desk = open_movie(movie)
    first, runs = everything(desk)["masks"], desk.controller.runs
    assert runs.broken_off is not None
    desk.controller.delete(1)
    assert runs.broken_off is None
    desk.viewer.dims.set_point(0, 2)
    runs.track_all()
    desk.jobs.run()
    assert {entry: first[entry] for entry in first if entry[1] != 1} == {
        entry: mask for entry, mask in everything(desk)["masks"].items() if entry in first
    }
    assert not desk.failures


def test_a_run_that_is_cancelled_on_its_last_frame_is_over(
    open_movie: Open, tmp_path: Path
) -> None:
    desk = cancelled(open_movie, tmp_path / "cells.tif", frames=3)
    assert desk.controller.runs.broken_off is None
    desk.controller.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.sam2", "cells.tif"]


def test_a_copy_of_a_project_goes_on_with_its_own_journal(open_movie: Open, tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    cancelled(open_movie, original / "cells.tif").controller.close()
    shutil.copytree(original, copy)
    desk = open_movie(copy / "cells.tif")
    run = desk.controller.runs.broken_off
    assert run is not None and run.journal is not None and run.journal.parent == copy
    desk.track_all()
    desk.controller.close()
    assert open_movie(original / "cells.tif").controller.runs.broken_off is not None


@pytest.mark.parametrize("saved_as", [True, False])
def test_no_two_projects_write_into_one_journal(
    open_movie: Open, tmp_path: Path, saved_as: bool
) -> None:
    movie, copy = tmp_path / "cells.tif", tmp_path / "copy.sam2"
    desk = cancelled(open_movie, movie)
    if saved_as:
        desk.controller.projects.save_as(copy)
    desk.controller.close()
    if not saved_as:
        shutil.copyfile(tmp_path / "cells.sam2", copy)
    desks = [open_movie(movie), open_movie(movie)]
    desks[1].controller.projects.open(copy)
    runs = [one.controller.runs.broken_off for one in desks]
    assert len({run.journal for run in runs if run is not None}) == 2
    for one in desks:
        one.track_all()
        assert one.failures == []
    assert outcome(desks[0]) == outcome(desks[1])


def test_a_run_waits_for_one_before_it_that_still_writes_the_same_journal(
    make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    desk = make_desk(eventful()[:3])
    line, view = Line(0, (0,)), desk.controller.dock.view()
    journal = tmp_path / "run.jsonl"
    work = desk.controller.begin()
    run = replace(all_cells(work, line, 0, 2, Choices()), journal=journal)
    request = Request(view, line, "forward", 0, 2)
    one = follow_all(work.session, request, run)
    next(one)
    second = Thread(target=lambda: list(follow_all(work.session, request, run)))
    second.start()
    written = journal.read_bytes()
    second.join(0.5)
    assert journal.read_bytes() == written
    one.close()
    second.join(60)
    assert not second.is_alive() and journal.read_bytes() != written


def test_a_run_goes_on_after_a_change_that_was_taken_back_in_another_napari_too(
    open_movie: Open, tmp_path: Path
) -> None:
    movie = tmp_path / "cells.tif"
    desk = cancelled(open_movie, movie)
    desk.controller.delete(1)
    desk.undo()
    assert desk.controller.runs.broken_off is not None
    desk.controller.close()
    assert open_movie(movie).controller.runs.broken_off is not None


def test_a_run_without_a_journal_is_not_said_to_go_on_after_it_was_read_again(
    tmp_path: Path,
) -> None:
    run = AllCells(Line(0, ()), 0, 9, Choices(), (), {}, None, 4)
    assert AllCells.of(json.loads(json.dumps(run.begun())), tmp_path / "work.json").journal is None
