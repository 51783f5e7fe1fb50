"""One run into a folder: what is made again, what is kept, and what is never touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sam2_plugins.batch import Job, Report, Settings, run_batch
from sam2_plugins.batch.folder import ResultFolder, VideoFolder
from sam2_plugins.batch.tracking import check, track_into
from sam2_plugins.core.checkpoints import load_model, save_model
from sam2_plugins.core.errors import ExportError, PromptError, TrackingError
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.lineage import AllObjects
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.schedule import Direction
from tests.batch.conftest import SETTINGS, MakeJob, last

FRAMES = 6
TABLE = replace(SETTINGS, formats=("csv",))


def no_model(_: TrackingOptions) -> None:
    raise AssertionError("no model was needed")


@pytest.fixture
def movie(job: MakeJob) -> Job:
    return job(frames=FRAMES)


@pytest.fixture
def folder(tmp_path: Path) -> ResultFolder:
    return ResultFolder(tmp_path / "out")


def track(
    folder: ResultFolder,
    job: Job,
    settings: Settings = SETTINGS,
    **how: object,
) -> Report:
    return last(track_into(folder, job, settings, **how))  # type: ignore[arg-type]


def names(folder: ResultFolder) -> set[str]:
    return {path.name for path in folder.path.iterdir()}


def test_the_same_run_again_needs_no_model_and_touches_nothing(
    movie: Job, folder: ResultFolder
) -> None:
    first = track(folder, movie)
    before = {path: path.stat().st_mtime_ns for path in folder.path.iterdir()}
    again = track(folder, movie, load=no_model)
    assert (first.computed, again.computed, again.frames) == (FRAMES, 0, FRAMES)
    assert {path: path.stat().st_mtime_ns for path in folder.path.iterdir()} == before


def test_a_further_format_is_written_from_the_masks_that_are_there(
    movie: Job, folder: ResultFolder
) -> None:
    track(folder, movie)
    before = (folder.path / "labels.tif").stat().st_mtime_ns
    report = track(folder, movie, TABLE, load=no_model)
    assert (report.computed, report.frames) == (0, FRAMES)
    assert names(folder) == {"labels.tif", "tracks.csv", "masks.jsonl", "status.json"}
    assert (folder.path / "labels.tif").stat().st_mtime_ns == before
    track(ResultFolder(folder.path.with_name("anew")), movie, TABLE)
    table, anew = (
        (folder.path.with_name(name) / "tracks.csv").read_text() for name in ("out", "anew")
    )
    assert table == anew


def test_a_result_that_was_deleted_is_made_again(movie: Job, folder: ResultFolder) -> None:
    track(folder, movie)
    labels = folder.path / "labels.tif"
    before = tifffile.imread(labels)
    labels.unlink()
    track(folder, movie, load=no_model)
    np.testing.assert_array_equal(tifffile.imread(labels), before)


def test_a_result_that_a_person_corrected_stays(movie: Job, folder: ResultFolder) -> None:
    track(folder, movie)
    labels = folder.path / "labels.tif"
    labels.write_bytes(b"corrected by hand")
    for settings in (SETTINGS, TABLE, TABLE):
        (note,) = track(folder, movie, settings, load=no_model).notes
        assert "labels.tif was changed since it was made, and stays so" in note
    assert labels.read_bytes() == b"corrected by hand"
    with pytest.raises(ExportError, match=r"labels\.tif was changed since it was made"):
        track(folder, replace(movie, stop=3), replaces=True)
    assert labels.read_bytes() == b"corrected by hand"


@pytest.mark.parametrize("change", ["movie", "prompts", "model", "options"])
def test_results_of_other_inputs_are_refused_by_name(
    movie: Job, folder: ResultFolder, change: str, tmp_path: Path
) -> None:
    track(folder, movie)
    settings, job = SETTINGS, movie
    if change == "movie":
        frames = tifffile.imread(movie.source)
        frames[3] += 1  # the same path, size and time of writing
        state = os.stat(movie.source)
        tifffile.imwrite(movie.source, frames, metadata={"axes": "TYX"})
        os.utime(movie.source, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif change == "prompts":
        job = replace(movie, prompts=(*movie.prompts, replace(movie.prompts[0], obj=2)))
    elif change == "model":
        model = load_model("nano", "cpu")
        next(model.parameters()).data.add_(0.01)
        weights = save_model(model, tmp_path / "own.safetensors")
        settings = replace(SETTINGS, model=str(weights))
    else:
        settings = replace(SETTINGS, image_size=96)
    with pytest.raises(ExportError, match=f"other {change}|another {change}"):
        track(folder, job, settings)
    report = track(folder, job, settings, replaces=True)
    assert report.computed == FRAMES


def test_a_copy_of_the_movie_under_another_name_is_the_same_movie(
    movie: Job, folder: ResultFolder
) -> None:
    track(folder, movie)
    moved = Path(movie.source).rename(Path(movie.source).with_name("moved.tif"))
    assert track(folder, replace(movie, source=str(moved)), load=no_model).computed == 0


def test_results_outlive_their_movie(movie: Job, folder: ResultFolder) -> None:
    track(folder, movie)
    Path(movie.source).unlink()
    assert track(folder, movie, load=no_model).frames == FRAMES


def test_a_folder_never_shows_two_runs(movie: Job, folder: ResultFolder) -> None:
    track(folder, movie, replace(SETTINGS, formats=("tiff", "csv")))
    track(folder, replace(movie, stop=2), TABLE, replaces=True)
    assert len(tifffile.imread(folder.path / "labels.tif")) == 3


def test_a_file_that_was_there_is_not_replaced(movie: Job, folder: ResultFolder) -> None:
    folder.path.mkdir()
    for name in ("labels.tif", "status.json", "masks.jsonl"):
        path = folder.path / name
        path.write_text("mine")
        with pytest.raises(ExportError, match=f"{name} was not made here"):
            track(folder, movie)
        assert path.read_text() == "mine"
        assert names(folder) == {name}
        path.unlink()


def test_what_is_in_the_way_is_replaced_where_that_is_wished(
    movie: Job, folder: ResultFolder, tmp_path: Path
) -> None:
    target = tmp_path / "target.tif"
    target.write_text("mine")
    folder.path.mkdir()
    (folder.path / "labels.tif").symlink_to(target)
    with pytest.raises(ExportError, match=r"labels\.tif was not made here"):
        track(folder, movie)
    track(folder, movie, replaces=True, force=True)
    assert target.read_text() == "mine", "the link is replaced, not what it points to"
    assert len(tifffile.imread(folder.path / "labels.tif")) == FRAMES


def test_notes_beside_the_results_stay_whatever_is_made(movie: Job, folder: ResultFolder) -> None:
    settings = replace(SETTINGS, formats=("ctc",))
    track(folder, movie, settings)
    (folder.path / "notes.txt").write_text("mine")
    (folder.path / "ctc/notes.txt").write_text("mine")
    track(folder, replace(movie, stop=2), settings, replaces=True, force=True)
    assert (folder.path / "notes.txt").read_text() == "mine"
    assert (folder.path / "ctc/notes.txt").read_text() == "mine"
    assert len(list((folder.path / "ctc").glob("mask*.tif"))) == 3


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        ({"start": 500}, TrackingError),
        ({"start": 4, "stop": 2}, TrackingError),
        ({"prompts": ()}, Exception),
        ({"reading": {"z": 99}}, Exception),
        ({"made_on": ({"name": "other.tif"},)}, PromptError),
        ({"made_on": ({"height": 7},)}, PromptError),
        ({"made_on": ({"frames": 7},)}, PromptError),
    ],
)
def test_a_mistake_leaves_nothing_behind(
    movie: Job, folder: ResultFolder, mistake: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        track(folder, replace(movie, **mistake), load=no_model)  # type: ignore[arg-type]
    assert not folder.path.exists()


def test_a_mistake_that_the_model_finds_leaves_nothing_behind_either(
    movie: Job, folder: ResultFolder
) -> None:
    with pytest.raises(Exception, match="33"):
        track(folder, movie, replace(SETTINGS, image_size=33))
    assert not folder.path.exists()


def test_a_failed_further_format_leaves_the_results_as_they_were(
    movie: Job, folder: ResultFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(folder, movie)
    before = folder.record()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("sam2_plugins.batch.tracking.read_journal", fail)
    with pytest.raises(ZeroDivisionError):
        track(folder, movie, TABLE)
    assert names(folder) == {"labels.tif", "masks.jsonl", "status.json"}
    assert folder.record() == before


@pytest.mark.parametrize(("changed", "told"), [(False, 0), (True, 1)])
def test_a_movie_that_changes_while_it_is_tracked_is_told(
    movie: Job, folder: ResultFolder, changed: bool, told: int
) -> None:
    path = Path(movie.source)
    content = path.read_bytes()
    events = track_into(folder, movie, SETTINGS)
    next(events)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ changed]))
    notes = last(events).notes
    assert sum("was changed while it was tracked" in note for note in notes) == told


def test_a_movie_that_is_gone_while_it_is_tracked_is_no_other(
    movie: Job, folder: ResultFolder
) -> None:
    events = track_into(folder, movie, SETTINGS)
    next(events)
    Path(movie.source).rename(folder.path.with_name("elsewhere"))
    assert last(events).notes == ()


def test_a_run_that_was_stopped_goes_on_and_its_files_are_whole(
    movie: Job, folder: ResultFolder
) -> None:
    whole = ResultFolder(folder.path.with_name("whole"))
    track(whole, movie)
    with closing(track_into(folder, movie, SETTINGS)) as events:
        list(islice(events, 3))
    assert len(tifffile.imread(folder.path / "labels.tif")) == 3
    report = track(folder, movie)
    assert (report.computed, report.frames, report.spans) == (FRAMES - 3, FRAMES, ((0, 5),))
    labels = [tifffile.imread(one.path / "labels.tif") for one in (folder, whole)]
    np.testing.assert_array_equal(labels[0][:3], labels[1][:3])


def test_what_a_killed_run_left_is_not_thrown_away(movie: Job, folder: ResultFolder) -> None:
    killed = track_into(folder, movie, SETTINGS)
    list(islice(killed, 3))
    left = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    killed.close()
    for name, content in left.items():  # as they were before anybody could clean up
        (folder.path / name).write_bytes(content)
    other = replace(movie, stop=2)
    with pytest.raises(ExportError, match="other options"):
        track(folder, other)
    assert track(folder, other, replaces=True).frames == 3


def test_what_a_killed_run_began_without_a_frame_is_in_nobodys_way(
    movie: Job, folder: ResultFolder
) -> None:
    killed = track_into(folder, movie, SETTINGS)
    next(killed)
    status = (folder.path / "status.json").read_bytes()
    killed.close()
    (folder.path / "status.json").write_bytes(status)
    (folder.path / "masks.jsonl").write_bytes(b"")
    assert track(folder, replace(movie, stop=2)).frames == 3


def test_one_writer_that_fails_costs_only_its_own_file(
    movie: Job, folder: ResultFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    settings = replace(SETTINGS, formats=("tiff", "csv"))
    with monkeypatch.context() as patch:
        patch.setattr("sam2_plugins.core.export.table.CsvWriter.write", fail)
        report = track(folder, movie, settings)
    assert report.state == "failed"
    assert "tracks.csv cannot be written: ZeroDivisionError" in report.error
    assert report.files == ("labels.tif",)
    assert track(folder, movie, settings, load=no_model).state == "done"
    assert names(folder) == {"labels.tif", "tracks.csv", "masks.jsonl", "status.json"}


def test_what_a_format_leaves_out_is_told_and_stays_in_the_record(
    movie: Job, folder: ResultFolder
) -> None:
    nothing = ObjectMask.empty((96, 128))
    unseen = replace(movie, prompts=(Prompt.of(0, 1, mask=nothing),))
    told = track(folder, unseen, replace(SETTINGS, formats=("geff",))).notes
    assert told == ("tracks.geff is not written: no object is seen on any frame.",)
    assert track(folder, unseen, TABLE, load=no_model).notes == told


def test_a_birth_of_what_has_no_prompt_is_told_and_stops_nothing(
    movie: Job, folder: ResultFolder
) -> None:
    prompt = movie.prompts[0]
    found = replace(movie, lives={prompt.obj: (0, None), "found": (2, None)})
    report = track(folder, found)
    assert (report.state, report.frames) == ("done", FRAMES)
    (note,) = report.notes
    assert "not tracked: 'found'." in note


@pytest.mark.parametrize(
    ("frames", "how", "fits"),
    [
        ((0, 0), {}, True),
        ((3, 3), {}, True),
        ((0,), {"start": 3}, True),
        ((0,), {"everything": AllObjects()}, True),
        ((0, 3), {}, False),
        ((3,), {"everything": AllObjects()}, False),
        ((3,), {"start": 1}, False),
        ((3,), {"direction": "both"}, False),
    ],
)
def test_what_a_stream_had_to_go_back_for_is_told_before_any_work(
    frames: tuple[int, ...], how: dict[str, Any], fits: bool
) -> None:
    prompts = [Prompt.of(frame, obj, box=(4, 4, 9, 9)) for obj, frame in enumerate(frames)]
    job = Job("stream", "-", tuple(prompts), **how)
    told = nullcontext() if fits else pytest.raises(TrackingError, match="goes forward only")
    with open_frames(np.zeros((20, 30), np.uint8) for _ in range(9)) as stream, told:
        check(job, stream)


class TestBatch:
    """A batch makes its results aside, so that one is complete or not there."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[VideoFolder]:
        folder = VideoFolder(tmp_path / "out", "movie")
        yield folder
        assert not folder.work.exists()

    def test_a_folder_of_somebody_else_is_not_mixed_with(
        self, movie: Job, folder: VideoFolder
    ) -> None:
        folder.path.mkdir(parents=True)
        (folder.path / "000.png").write_text("mine")
        with pytest.raises(ExportError, match=r"000\.png was not made here"):
            track(folder, movie)
        assert names(folder) == {"000.png"}

    def test_notes_in_a_folder_of_ours_stay(self, movie: Job, folder: VideoFolder) -> None:
        track(folder, movie)
        (folder.path / "notes.txt").write_text("mine")
        track(folder, movie, TABLE)
        track(folder, replace(movie, stop=2), replaces=True)
        assert (folder.path / "notes.txt").read_text() == "mine"
        assert len(tifffile.imread(folder.path / "labels.tif")) == 3

    def test_nothing_is_written_through_a_link(
        self, movie: Job, folder: VideoFolder, tmp_path: Path
    ) -> None:
        (tmp_path / "mine").mkdir()
        folder.path.parent.mkdir()
        folder.path.symlink_to(tmp_path / "mine")
        with pytest.raises(ExportError, match="is a link"):
            track(folder, movie)
        assert not list((tmp_path / "mine").iterdir())

    def test_results_survive_until_new_ones_are_complete(
        self, movie: Job, folder: VideoFolder
    ) -> None:
        track(folder, movie)
        other = replace(movie, stop=4)
        with closing(track_into(folder, other, SETTINGS, replaces=True)) as events:
            list(islice(events, 2))
        assert len(tifffile.imread(folder.path / "labels.tif")) == FRAMES
        assert track(folder, other, replaces=True).computed == 3


@pytest.mark.parametrize(
    ("direction", "start", "stop", "begin"),
    [("forward", 3, None, 3), ("forward", 1, None, None), ("both", 3, 5, 3), ("both", 0, 4, None)],
)
def test_frames_that_lie_between_a_prompt_and_the_range_are_noted(
    movie: Job,
    folder: ResultFolder,
    direction: Direction,
    start: int,
    stop: int | None,
    begin: int | None,
) -> None:
    report = track(folder, replace(movie, direction=direction, start=start, stop=stop))
    told = [note for note in report.notes if "as if nothing had moved" in note]
    assert len(told) == (0 if begin is None else len({prompt.obj for prompt in movie.prompts}))
    assert all(
        "was last seen on frame 0" in one and f"begins with frame {begin}" in one for one in told
    )


def test_two_batches_in_one_folder_are_not_run_at_once(movie: Job, tmp_path: Path) -> None:
    with closing(run_batch([movie], SETTINGS, tmp_path / "out")) as events:
        next(events)
        with pytest.raises(ExportError, match=r"Another process is working on .*out"):
            next(run_batch([movie], SETTINGS, tmp_path / "out"))
    assert last(run_batch([movie], SETTINGS, tmp_path / "out")).state == "done"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["movie"]


def test_masks_that_were_cut_off_are_tracked_again(movie: Job, folder: ResultFolder) -> None:
    track(folder, movie)
    journal = folder.path / "masks.jsonl"
    journal.write_bytes(journal.read_bytes().split(b"\n")[0] + b"\n")
    report = track(folder, movie, replace(SETTINGS, formats=("tiff", "csv")))
    assert report.frames == FRAMES
    assert len((folder.path / "tracks.csv").read_text().splitlines()) == 1 + FRAMES


def test_a_run_whose_record_is_damaged_begins_anew(movie: Job, tmp_path: Path) -> None:
    folder = VideoFolder(tmp_path / "out", "movie")
    with closing(track_into(folder, movie, SETTINGS)) as events:
        list(islice(events, 2))
    (folder.work / "status.json").write_text("")
    assert track(folder, movie).computed == FRAMES


def test_what_a_person_has_where_results_are_made_stays(movie: Job, tmp_path: Path) -> None:
    work = tmp_path / "out" / ".movie.part"
    work.mkdir(parents=True)
    (work / "notes.txt").write_text("mine")
    folder = VideoFolder(tmp_path / "out", "movie")
    with pytest.raises(ExportError, match=r"\.movie\.part.notes\.txt was not made here"):
        track(folder, movie)
    (work / "notes.txt").unlink()
    events = []
    for event in track_into(folder, movie, SETTINGS):
        events.append(event)
        if work.exists():
            (work / "notes.txt").write_text("mine")
    assert last(events).state == "done"
    assert [path.name for path in work.iterdir()] == ["notes.txt"]
