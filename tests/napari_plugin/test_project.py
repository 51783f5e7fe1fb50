"""Work that survives a crash, a closed dock, a removed layer; the file it is saved in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile

from sam2_plugins.core import files
from sam2_plugins.core.errors import ExportError, Sam2PluginsError
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.models.project_file import read_project
from tests.cli.conftest import moving_discs
from tests.core.tracking.test_neighbours import CLICKS, rods
from tests.napari_plugin.conftest import LEFT, RIGHT, Desk, Open
from tests.napari_plugin.test_aim import click
from tests.napari_plugin.test_history import everything


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "discs.tif"
    tifffile.imwrite(path, moving_discs(8)[0])
    return path


def work_on(desk: Desk) -> dict[str, Any]:
    """Click, track, correct, paint, divide."""
    desk.controller.exclude(False)
    desk.click(*LEFT)
    desk.track()
    desk.paint((2, 80, 20), 1)
    desk.space.go_to((5,))
    desk.controller.divisions.divide()
    desk.click(40, 35)
    desk.box(50, 80, 70, 100)
    desk.controller.rename(2, "daughter")
    desk.controller.memory = "samurai"
    return everything(desk)


def without_history_of_strokes(seen: dict[str, Any]) -> dict[str, Any]:
    """A painted mask need not know any more what it took the place of."""
    state = seen["state"]
    kept = {**vars(state), "painted": {at: one.mask for at, one in state.painted.items()}}
    kept.pop("selected")
    return {**kept, "masks": seen["masks"]}


def test_all_is_back_in_another_session(open_movie: Open, movie: Path) -> None:
    first = open_movie(movie)
    made = work_on(first)
    first.controller.close()
    again = open_movie(movie)
    assert without_history_of_strokes(everything(again)) == without_history_of_strokes(made)
    assert again.controller.memory == "samurai"
    again.jobs.run()
    assert again.session._tracking == {}  # the model computes nothing for it
    assert any("3 objects are back" in told for told in again.told)


def test_a_reopened_session_goes_on_where_the_other_ended(open_movie: Open, movie: Path) -> None:
    first = open_movie(movie)
    first.click(*LEFT)
    first.track("forward", 0, 4)
    kept = [first.space.store.get((t,), 1) for t in range(5)]
    first.controller.close()
    again = open_movie(movie)
    again.track()
    assert [again.space.store.get((t,), 1) for t in range(5)] == kept
    assert len(again.space.store.frames_of(1)) == 8
    assert again.failures == []


def test_a_correction_that_was_not_tracked_on_still_counts_after_reopening(
    open_movie: Open, movie: Path
) -> None:
    first = open_movie(movie)
    first.click(*LEFT)
    first.track()
    first.space.go_to((4,))
    first.click(60, 89)
    first.controller.close()
    again = open_movie(movie)
    before = again.space.store.get((6,), 1)
    again.track()
    assert again.space.store.get((6,), 1) != before


def test_a_painted_mask_that_clicks_have_corrected_is_back_as_it_was_painted(
    open_movie: Open, movie: Path
) -> None:
    first = open_movie(movie)
    first.controller.new_object()
    first.space.labels.paint((0, 40, 40), 1)
    first.controller.prompting.sync()
    first.jobs.run()
    first.click(60, 85)
    painted = first.session.painted[(0,), 1].mask
    assert painted != first.space.store.get((0,), 1)
    made = without_history_of_strokes(everything(first))
    first.controller.close()
    assert without_history_of_strokes(everything(open_movie(movie))) == made


def test_a_tracked_object_is_not_changed_after_reopening_by_a_later_click_beside_it(
    open_movie: Open, tmp_path: Path
) -> None:
    path = tmp_path / "rods.tif"
    tifffile.imwrite(path, rods(3), photometric="minisblack")
    first = open_movie(path)
    first.click(*CLICKS[1][::-1])
    first.track()
    first.controller.new_object()
    first.click(*CLICKS[2][::-1])
    masks = everything(first)["masks"]
    beside = first.session.prompts.beside
    assert any(any(places) for places in beside.values())  # the second leaves the first out
    first.controller.close()
    again = open_movie(path)
    assert again.session.prompts.beside == beside
    again.track()
    found = everything(again)["masks"]
    assert {entry: found[entry] for entry in masks} == masks


def test_who_removes_an_object_hears_who_left_its_place_out(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(rods(1)[0])
    for obj in CLICKS:
        desk.controller.new_object()
        desk.click(*CLICKS[obj][::-1])
    desk.controller.delete(2)
    assert desk.told[-1].endswith("object 1 left its place out: click there to add it.")


def test_what_a_kill_leaves_is_read(open_movie: Open, movie: Path, tmp_path: Path) -> None:
    script = """
import os, sys
from napari.components import ViewerModel
from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.controllers.jobs import AtOnce
from napari.plugins import _initialize_plugins
_initialize_plugins()
viewer = ViewerModel()
viewer.open(sys.argv[1], plugin="napari", layer_type="image")
viewer.dims.set_point(0, 0)
control = Controller(viewer, AtOnce(), lambda: cached_model("nano", device="cpu"))
control.use([viewer.layers[0]])
control.new_object()
control.work.workspace.points.add([0, 40, 40])
def die(progress):
    if progress is not None and progress.done == 5:
        import time; time.sleep(1)
        os._exit(9)
control.progressed.connect(die)
control.runs.start("forward")
"""
    run = subprocess.run([sys.executable, "-c", script, str(movie)], timeout=240, check=False)
    assert run.returncode == 9
    with movie.with_suffix(".sam2").open("ab") as file:
        file.write(b'{"at": [7], "la')
    desk = open_movie(movie)
    assert desk.space.store.frames_of(1) == [(n,) for n in range(6)]
    assert len(desk.space.points.data) == 1
    desk.track()
    assert len(desk.space.store.frames_of(1)) == 8
    assert desk.failures == []


def test_a_removed_layer_takes_nothing_along(desk: Desk) -> None:
    made = work_on(desk)
    for name in ("movie masks", "movie clicks"):
        desk.viewer.layers.remove(name)
        desk.controller.begin()
    assert desk.controller.objects == {1: "object 1", 2: "daughter", 3: "object 1.2"}
    masks = everything(desk)["masks"]
    assert masks == made["masks"]


def test_a_channel_does_not_get_the_contrast_of_one_that_is_gone(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(np.zeros((3, 2, 32, 32), np.uint8), channel_axis=0, name=["a", "b", "c"])
    layers = list(desk.viewer.layers)
    layers[1].contrast_limits = (10, 90)
    chosen = desk.controller.dock.choices
    desk.viewer.layers.remove("b")
    desk.controller.dock.choices = chosen
    assert desk.controller.images == (layers[0], layers[2])
    assert list(layers[2].contrast_limits) != [10, 90]


def test_a_channel_that_is_not_open_is_missed_aloud(open_movie: Open, movie: Path) -> None:
    first = open_movie(movie)
    green = first.viewer.add_image(moving_discs(8)[0], name="green")
    first.controller.use([first.viewer.layers[0], green])
    first.click(*LEFT)
    first.controller.close()
    assert "channels green: open" in open_movie(movie).told[-1]


def test_a_dock_that_is_opened_again_finds_the_work(desk: Desk, nano: Sam2Model) -> None:
    made = work_on(desk)
    desk.controller.close()
    names = [layer.name for layer in desk.viewer.layers]
    other = Controller(desk.viewer, desk.jobs, lambda: nano)
    other.use([desk.viewer.layers["movie"]])
    desk.controller = other
    desk.jobs.run()
    assert without_history_of_strokes(everything(desk)) == without_history_of_strokes(made)
    assert sorted(layer.name for layer in desk.viewer.layers) == sorted(names)


def test_a_click_that_the_model_had_not_answered_when_the_dock_was_closed_is_answered_then(
    desk: Desk, nano: Sam2Model
) -> None:
    desk.controller.new_object()
    desk.space.points.add([0, *LEFT])
    desk.controller.close()
    again = Desk(desk.viewer, Controller(desk.viewer, desk.jobs, lambda: nano), desk.jobs)
    again.controller.use([desk.viewer.layers["movie"]])
    again.sync()
    assert again.area(0, 1) > 0


def test_what_was_painted_while_the_dock_was_closed_is_kept(desk: Desk, nano: Sam2Model) -> None:
    desk.click(*LEFT)
    desk.track()
    desk.controller.close()
    desk.viewer.layers["movie masks"].fill((3, 40, 37), 0)
    desk.controller = Controller(desk.viewer, desk.jobs, lambda: nano)
    desk.controller.use([desk.viewer.layers["movie"]])
    desk.track()
    assert desk.area(3, 1) == 0 and desk.area(2, 1) > 0
    desk.undo()
    desk.undo()
    assert desk.area(3, 1) > 0


def test_a_project_is_saved_where_the_user_wants_it(
    open_movie: Open, movie: Path, tmp_path: Path
) -> None:
    desk = open_movie(movie)
    desk.controller.projects.places.beside = False
    desk.click(*LEFT)
    assert not movie.with_suffix(".sam2").exists()
    wanted = tmp_path / "elsewhere" / "mine.sam2"
    wanted.parent.mkdir()
    desk.controller.projects.save_as(wanted)
    desk.track()
    made = everything(desk)
    desk.controller.close()
    again = open_movie(movie)
    again.controller.projects.open(wanted)
    assert everything(again) == made


def test_work_on_an_image_in_no_file_is_kept_for_a_crash(
    make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    desk = make_desk(moving_discs(8)[0])
    desk.controller.projects.places.recovery = tmp_path
    desk.click(*LEFT)
    area = desk.area(0, 1)
    desk.controller.close()
    (path,) = tmp_path.glob("movie-*.sam2")
    again = make_desk(moving_discs(8)[0])
    again.controller.projects.places.recovery = tmp_path
    again.controller.projects.bring_back()
    assert str(path) in again.told[-1]
    again.controller.projects.open(path)
    assert again.area(0, 1) == area


def test_two_windows_on_a_movie_do_not_write_into_one_file(open_movie: Open, movie: Path) -> None:
    first = open_movie(movie)
    first.click(*LEFT)
    second = open_movie(movie)
    assert second.controller.objects == {}
    second.click(60, 85)
    for desk in (first, second):
        desk.controller.close()
    boxes = [
        read_project(movie.with_name(name)).masks[0,][1].box
        for name in ("discs.sam2", "discs-2.sam2")
    ]
    assert boxes[0] != boxes[1]


def test_each_window_finds_its_own_file_again(open_movie: Open, movie: Path) -> None:
    for _ in range(2):
        first, second = open_movie(movie), open_movie(movie)
        if first.controller.work is None:
            first.click(*LEFT)
            second.click(*RIGHT)
        found = [everything(desk) for desk in (first, second)]
        for desk in (first, second):
            desk.controller.close()
    names = ("discs.sam2", "discs-2.sam2")
    saved = [read_project(movie.with_name(name)) for name in names]
    assert [set(one.masks[0,]) for one in saved] == [{1}, {1}]
    assert [one.masks[0,][1] for one in saved] == [one["masks"][(0,), 1] for one in found]


def test_a_movie_that_is_opened_twice_has_a_file_for_each_layer(
    open_movie: Open, movie: Path
) -> None:
    desk = open_movie(movie)
    desk.click(*LEFT)
    before = movie.with_suffix(".sam2").read_bytes()
    (layer,) = desk.viewer.open(movie, plugin="napari", layer_type="image")
    desk.controller.use([layer])
    assert desk.controller.objects == {}
    assert "on another layer" in desk.told[-1]
    desk.click(*RIGHT)
    assert desk.work.project is not None and desk.work.project.path.name == "discs-2.sam2"
    assert movie.with_suffix(".sam2").read_bytes().startswith(before)


def test_a_project_that_is_open_on_another_layer_is_neither_replaced_nor_opened(
    open_movie: Open, movie: Path
) -> None:
    desk = open_movie(movie)
    desk.click(*LEFT)
    made, path = everything(desk), movie.with_suffix(".sam2")
    other = movie.with_name("other.tif")
    tifffile.imwrite(other, moving_discs(8)[0])
    (layer,) = desk.viewer.open(other, plugin="napari", layer_type="image")
    desk.controller.use([layer])
    desk.click(*RIGHT)
    for act in (desk.controller.projects.save_as, desk.controller.projects.open):
        with pytest.raises(Sam2PluginsError, match="open on another layer"):
            act(path)
    desk.controller.close()
    assert everything(open_movie(movie)) == made


def test_a_file_has_one_lock_by_whatever_path(open_movie: Open, movie: Path) -> None:
    first = open_movie(movie)
    first.click(*LEFT)
    link = movie.parent / "link"
    link.symlink_to(movie.parent)
    second = open_movie(link / movie.name)
    second.click(*RIGHT)
    assert second.work.project is not None and second.work.project.path.name == "discs-2.sam2"


@pytest.mark.parametrize("renamed", ["before the first click", "later"])
def test_the_work_on_a_layer_that_was_renamed_is_back(
    open_movie: Open, movie: Path, nano: Sam2Model, renamed: str
) -> None:
    desk = open_movie(movie)
    image = desk.viewer.layers[0]
    if renamed == "later":
        desk.click(*LEFT)
    image.name = "nuclei"
    desk.click(*LEFT)
    desk.viewer.layers.remove(desk.space.labels)  # by mistake
    desk.click(44, 44)
    desk.controller.close()
    desk.controller = Controller(desk.viewer, desk.jobs, lambda: nano)
    desk.controller.use([image])  # the dock was closed by mistake
    desk.controller.new_object()
    desk.click(*RIGHT)
    made = everything(desk)
    desk.controller.close()
    assert [path.name for path in movie.parent.glob("*.sam2")] == ["discs.sam2"]
    assert everything(open_movie(movie)) == made


def test_a_project_that_was_opened_for_a_renamed_movie_is_found_by_itself_then(
    open_movie: Open, movie: Path
) -> None:
    first = open_movie(movie)
    first.click(*LEFT)
    first.controller.close()
    project = movie.rename(movie.with_name("day 1.tif")).with_name("discs.sam2")
    second = open_movie(movie.with_name("day 1.tif"))
    second.controller.projects.open(project)
    made = everything(second)
    remembered = second.controller.projects.places.chosen
    second.controller.close()
    third = open_movie(movie.with_name("day 1.tif"))
    third.controller.projects.places.chosen = remembered
    third.controller.projects.bring_back()
    assert everything(third) == made


def test_a_project_that_is_open_elsewhere_is_refused_and_the_work_stays(
    open_movie: Open, movie: Path
) -> None:
    first, second = open_movie(movie), open_movie(movie)
    first.click(*LEFT)
    second.controller.projects.places.beside = False  # so that nothing is saved in a file
    second.click(60, 85)
    made = everything(second)
    with pytest.raises(Sam2PluginsError, match="close it there"):
        second.controller.projects.open(movie.with_suffix(".sam2"))
    assert second.controller.work is not None and everything(second) == made


def test_a_project_of_another_image_is_refused(
    open_movie: Open, movie: Path, tmp_path: Path
) -> None:
    desk = open_movie(movie)
    desk.click(*LEFT)
    desk.controller.close()
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, np.zeros((3, 40, 50), np.uint8))
    small = open_movie(other)
    with pytest.raises(Sam2PluginsError, match="choose the right image"):
        small.controller.projects.open(movie.with_suffix(".sam2"))
    with pytest.raises(Sam2PluginsError, match="no project"):
        small.controller.projects.open(other)


def test_a_movie_that_became_longer_has_its_objects_still(open_movie: Open, movie: Path) -> None:
    tifffile.imwrite(movie, moving_discs(6)[0])
    first = open_movie(movie)
    first.click(*LEFT)
    first.track()
    first.controller.close()
    tifffile.imwrite(movie, moving_discs(8)[0])
    second = open_movie(movie)
    assert "had 6 frames" in second.told[-1]
    second.track()
    assert len(second.space.store.frames_of(1)) == 8
    made = everything(second)
    second.controller.close()
    assert everything(open_movie(movie)) == made


def test_work_on_a_movie_that_became_shorter_is_told_of_and_stays(
    open_movie: Open, movie: Path
) -> None:
    first = open_movie(movie)
    first.click(*LEFT)
    first.controller.close()
    place = movie.with_suffix(".sam2")
    saved = place.read_bytes()
    tifffile.imwrite(movie, moving_discs(5)[0])
    second = open_movie(movie)
    assert str(place) in second.told[-1] and "beside it" in second.told[-1]
    second.click(*LEFT)
    second.controller.close()
    assert place.read_bytes() == saved
    assert movie.with_name("discs-2.sam2").exists()


@pytest.mark.parametrize("older", [False, True])
def test_a_movie_that_was_overwritten_by_another_one_is_told_of(
    open_movie: Open, movie: Path, older: bool
) -> None:
    first = open_movie(movie)
    first.click(*LEFT)
    first.track()
    first.controller.close()
    second = open_movie(movie)
    assert "other pictures" not in second.told[-1]
    second.controller.close()
    if older:  # has no digest
        place = movie.with_suffix(".sam2")
        header, rest = place.read_bytes().split(b"\n", 1)
        facts = json.loads(header)
        del facts["image"]["digest"]
        place.write_bytes(json.dumps(facts).encode() + b"\n" + rest)
    tifffile.imwrite(movie, moving_discs(8)[0][::-1])
    third = open_movie(movie)
    assert list(third.controller.objects) == [1]
    assert ("other pictures" in third.told[-1]) != older
    third.track()
    assert third.told[-1].startswith("Nothing had to be tracked" if older else "8 frames tracked.")
    third.controller.close()
    fourth = open_movie(movie)
    assert "other pictures" not in fourth.told[-1]  # than when it was tracked again


def test_the_window_reads_no_frame_to_recognise_a_movie(
    make_desk: Callable[..., Desk], tmp_path: Path
) -> None:
    readers: list[Thread] = []

    def load(block: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        readers.append(current_thread())
        return block

    lazy = da.from_array(moving_discs(8)[0], chunks=(1, 96, 128)).map_blocks(load, dtype="u1")
    desk = make_desk(lazy, contrast_limits=(0, 255))
    desk.controller.projects.places.recovery = tmp_path
    with dask.config.set(scheduler="synchronous"):
        desk.viewer.dims.set_point(0, 0)
        readers.clear()
        desk.controller.projects.begin()
        assert desk.work.project is not None
        desk.controller.close()
    assert len(readers) == 3 and main_thread() not in readers


def test_a_movie_with_the_longest_name_has_a_project(open_movie: Open, tmp_path: Path) -> None:
    movie = tmp_path / f"{'ä' * 125}.tif"
    tifffile.imwrite(movie, moving_discs(4)[0])
    first = open_movie(movie)
    first.click(*LEFT)
    first.controller.close()
    assert list(open_movie(movie).controller.objects) == [1]


def test_damaged_lines_are_left_out_and_told_of(open_movie: Open, movie: Path) -> None:
    desk = open_movie(movie)
    desk.click(*LEFT)
    desk.track()
    desk.controller.close()
    path = movie.with_suffix(".sam2")
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if '"at": [5]' in line)
    lines[at] = "\x00\x00"
    path.write_text("\n".join(lines) + "\n")
    again = open_movie(movie)
    assert "1 damaged line " in again.told[-1]
    assert len(again.space.store.frames_of(1)) == 7
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_project_file_that_is_removed_while_it_is_open_is_written_anew(
    open_movie: Open, movie: Path
) -> None:
    desk = open_movie(movie)
    desk.click(*LEFT)
    place = movie.with_suffix(".sam2")
    while not place.exists():
        time.sleep(0.01)
    place.unlink()
    desk.controller.layers.close(desk.space.image)
    assert "removed" in desk.failures[-1] and "is saved in" in desk.failures[-1]
    assert list(read_project(place).state.names) == [1]


def test_a_project_that_cannot_be_written_any_more_goes_on_elsewhere(
    open_movie: Open, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = open_movie(movie)
    desk.click(*LEFT)
    place = movie.with_suffix(".sam2")
    places = desk.controller.projects.places
    places.recovery = tmp_path / "recovery"
    assert desk.work.project is not None
    desk.work.project.close()
    desk.work.project.error = ExportError(f"{place} cannot be written: No space left on device.")
    replacing = files.replacing

    def full(path: Path) -> Any:
        if path.parent == movie.parent:
            raise ExportError(f"{path} cannot be written: No space left on device.")
        return replacing(path)

    monkeypatch.setattr(files, "replacing", full)
    desk.click(44, 44)
    (rescued,) = places.recovery.iterdir()
    assert str(rescued) in desk.failures[-1]
    desk.click(*RIGHT)
    made = everything(desk)
    desk.controller.close()
    assert len(read_project(rescued).state.marks.clicks) == 3
    assert places.chosen[str(movie)] == str(rescued)  # found with the movie
    again = open_movie(movie)
    again.controller.projects.open(rescued)
    assert everything(again) == made


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_to_is_told_of(open_movie: Open, movie: Path) -> None:
    movie.parent.chmod(0o500)
    try:
        desk = open_movie(movie)
        desk.click(*LEFT)
        desk.click(44, 44)
        assert any("Save project as" in text for text in desk.failures)
        assert desk.area(0, 1) > 300
    finally:
        movie.parent.chmod(0o700)


def fast(desk: Desk, *places: tuple[float, float], answered: int = 0) -> None:
    """Click faster than the model answers; the first clicks are answered."""
    if desk.controller.work is None:
        desk.controller.new_object()
    for n, at in enumerate(places):
        click(desk, *at, answered=n < answered)


@pytest.mark.parametrize("crash", [True, False])
def test_clicks_that_wait_for_the_model_are_answered_when_the_work_is_back(
    open_movie: Open, movie: Path, crash: bool
) -> None:
    first = open_movie(movie)
    fast(first, LEFT, RIGHT, (85, 20))
    if crash:
        assert first.work.project is not None
        first.work.project.close()  # what was put is on the disk; nothing is put afterwards
        first.controller.projects.places.release(first.work.project.path)
    else:
        first.controller.close()
    again = open_movie(movie)
    again.jobs.run()
    assert [list(again.controller.objects), again.failures] == [[1, 2, 3], []]
    assert again.area(0, 1) > 300 and again.area(0, 2) > 200
    assert len(again.space.points.data) == 3 and not again.work.waiting


def test_a_correction_without_an_answer_is_answered_when_the_work_is_back(
    open_movie: Open, movie: Path
) -> None:
    first = open_movie(movie)
    first.click(*LEFT)
    first.track()
    first.space.go_to((4,))
    first.space.points.add([4, 60, 89])
    before = first.space.store.get((4,), 1)
    first.controller.close()
    again = open_movie(movie)
    again.jobs.run()
    assert again.space.store.get((4,), 1) != before
    assert len(again.space.store.frames_of(1)) == 8


def test_what_waits_for_the_model_is_done_when_the_dock_is_closed(
    open_movie: Open, movie: Path
) -> None:
    first = open_movie(movie)
    fast(first, LEFT, RIGHT, (60, 89), answered=2)
    first.controller.delete(1)
    first.controller.rename(2, "cell")
    first.controller.close()
    again = open_movie(movie)
    again.jobs.run()
    assert again.controller.objects == {2: "cell"}


@pytest.mark.parametrize("waits", [True, False])
def test_a_click_on_a_plane_is_answered_though_another_one_is_shown_by_then(
    make_desk: Callable[..., Desk], waits: bool
) -> None:
    desk = make_desk(np.stack([moving_discs(4)[0]] * 2, axis=1))
    desk.controller.use(desk.controller.images, axis=0)
    fast(desk, LEFT, *[RIGHT] * waits)
    if not waits:  # it is drawn at once
        desk.controller.new_object()
        desk.space.points.add([0, 0, *RIGHT])
    desk.space.go_to((0, 1))
    desk.jobs.run()
    assert [desk.space.store.get((0, 0), label) is not None for label in (1, 2)] == [True, True]
    assert desk.work.due(0) == []


def test_a_click_on_another_plane_is_answered_though_the_one_before_is_refused(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(np.stack([moving_discs(4)[0]] * 2, axis=1))
    desk.controller.use(desk.controller.images, axis=0)
    desk.controller.new_object()
    desk.space.points.add([0, 0, 40, 500])
    desk.space.go_to((0, 1))
    desk.space.points.add([0, 1, *LEFT])
    desk.space.go_to((0, 0))
    desk.jobs.run()
    assert "outside" in desk.failures[-1]
    assert desk.space.store.get((0, 1), 1) is not None
