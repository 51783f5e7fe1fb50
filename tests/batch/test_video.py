from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import tifffile
from filelock import FileLock

from sam2_plugins.batch import Progress
from sam2_plugins.batch.folder import VideoFolder
from sam2_plugins.batch.run import VideoTask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Direction
from tests.batch.conftest import BOX, SETTINGS, MakeJob, last

pytestmark = pytest.mark.slow


def test_a_result_appears_complete_with_its_record(job: MakeJob, tmp_path: Path) -> None:
    events = list(VideoTask(job(), SETTINGS, tmp_path).run())
    *progress, report = events
    assert [e.done for e in progress if isinstance(e, Progress)] == list(range(1, 31))
    assert VideoFolder(tmp_path, "movie").record() == report
    made = {path.name for path in (tmp_path / "movie").iterdir()}
    assert made == {"labels.tif", "status.json", "masks.jsonl"}
    assert tifffile.imread(tmp_path / "movie/labels.tif").shape == (30, 96, 128)
    assert not VideoFolder(tmp_path, "movie").work.exists()


@pytest.mark.parametrize(("direction", "prompted"), [("forward", (0, 5)), ("backward", (5, 0))])
def test_an_object_behind_the_last_frame_is_told_to_be_in_no_result(
    job: MakeJob, tmp_path: Path, direction: Direction, prompted: tuple[int, int]
) -> None:
    near, far = (Prompt.of(frame, obj, box=BOX) for frame, obj in zip(prompted, "ab", strict=True))
    movie = replace(job(frames=6), prompts=(near, far), direction=direction, stop=3)
    (note,) = last(VideoTask(movie, SETTINGS, tmp_path).run()).notes
    assert note.startswith(f"Object 'b' is first prompted on frame {prompted[1]}")


def test_a_changed_prompt_makes_a_new_result(job: MakeJob, tmp_path: Path) -> None:
    begun = VideoTask(job(), SETTINGS, tmp_path).run()
    list(islice(begun, 12))
    begun.close()
    other = job(box=(75, 50, 95, 70))
    assert last(VideoTask(other, SETTINGS, tmp_path).run()).computed == 30
    back = last(VideoTask(job(), SETTINGS, tmp_path).run())
    assert back.computed == 30
    assert tifffile.imread(tmp_path / "movie/labels.tif")[0, 40, 40] == 1


def test_the_device_and_the_threads_do_not_make_a_new_result(job: MakeJob, tmp_path: Path) -> None:
    last(VideoTask(job(), SETTINGS, tmp_path).run())
    elsewhere = replace(SETTINGS, device="auto", threads=None)
    assert last(VideoTask(job(), elsewhere, tmp_path).run()).computed == 0
    assert last(VideoTask(job(), replace(SETTINGS, image_size=96), tmp_path).run()).computed == 30


def test_a_video_that_cannot_be_read_says_so_in_its_record(job: MakeJob, tmp_path: Path) -> None:
    broken = job()
    Path(broken.source).write_bytes(b"no movie")
    report = last(VideoTask(broken, SETTINGS, tmp_path).run())
    assert report.state == "failed"
    assert "movie.tif" in report.error
    assert not (tmp_path / "movie").exists()


def test_what_nobody_foresaw_is_reported_too(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("of the model")

    monkeypatch.setattr("sam2_plugins.core.tracking.options.TrackingOptions.tracker", explode)
    report = last(VideoTask(job(), SETTINGS, tmp_path).run())
    assert (report.state, report.error) == ("failed", "ZeroDivisionError: of the model")


def test_a_video_that_another_process_is_tracking_is_left_alone(
    job: MakeJob, tmp_path: Path
) -> None:
    folder = VideoFolder(tmp_path, "movie")
    folder.work.mkdir()
    with FileLock(folder.work / ".lock"):
        report = last(VideoTask(job(), SETTINGS, tmp_path).run())
    assert report.state == "failed"
    assert "Another process" in report.error
    assert last(VideoTask(job(), SETTINGS, tmp_path).run()).state == "done"
