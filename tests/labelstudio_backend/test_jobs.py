"""Several annotators, corrections that come fast, and jobs that are stopped."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.formats.video_rectangle import keyframe_dict, read_region
from sam2_plugins.labelstudio_backend.jobs import Jobs
from sam2_plugins.labelstudio_backend.keyframes import is_ours
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.conftest import FRAMES
from tests.labelstudio_backend.test_engine import boxes_agree, wait_for

ABOUT = {"project": "1", "task": 1, "objects": ["a"]}


def box_at(discs, *frames: int) -> dict:
    """Return a person's box on these frames, all of one region."""
    region = tasks.video_box(discs[1], 1)
    keys = [keyframe_dict(f + 1, tasks.percent(discs[1][f], 1), True, 25) for f in frames]
    return {**region, "value": {**region["value"], "sequence": keys}}


def test_two_annotators_of_one_prediction_both_get_their_whole_track(engine, files, discs):
    answers = {}

    def work(name: str, *frames: int) -> None:
        context = {"result": [box_at(discs, *frames)]}
        (answers[name],) = engine.predict([tasks.video_task(files)], tasks.VIDEO, context)

    threads = [
        threading.Thread(target=work, args=("one", 0, 4)),
        threading.Thread(target=work, args=("two", 0, 8)),
    ]
    with engine._tracks.lane.turn(0):  # both have begun before either goes on
        for thread in threads:
            thread.start()
        wait_for(lambda: len(engine.jobs.all()) == 2)
    for thread in threads:
        thread.join()
    for name, frame in (("one", 5), ("two", 9)):
        (region,) = answers[name]["result"]
        assert boxes_agree(region, discs[1], 1)
        own = [k.frame for k in read_region(region).keyframes if not is_ours(k)]
        assert own == [1, frame]


def steps_until(stop: threading.Event, frames: int = 1000):
    def steps(tracked):
        tracked.total = frames
        for frame in range(frames):
            tracked.add(frame, {})
            yield
            if stop.wait(0.005):
                return

    return steps


def prompted(*frames: int) -> dict[str, frozenset[int]]:
    return {"a": frozenset(frames)}


def test_a_correction_stops_what_nobody_waits_for():
    jobs, end = Jobs(), threading.Event()
    first = jobs.join("1", ABOUT, steps_until(end), prompted(0))
    jobs.join("2", ABOUT, steps_until(end), prompted(0, 9))
    assert first.ended.wait(5)
    assert first.state == "cancelled"
    end.set()
    jobs.close()


@pytest.mark.parametrize("frames", [(9,), (0, 9)])
def test_what_an_annotator_waits_for_goes_on(frames):
    jobs, end = Jobs(), threading.Event()
    first = jobs.join("1", ABOUT, steps_until(end), prompted(0, 4))
    waiting = threading.Thread(target=first.wait, args=(5,))
    waiting.start()
    wait_for(lambda: first._waiting == 1)
    jobs.join("2", ABOUT, steps_until(end), prompted(*frames))
    jobs.join("3", ABOUT, steps_until(end), prompted(0, 4, *frames))
    assert not first.stop.wait(0.05)
    end.set()
    waiting.join()
    wait_for(lambda: first.state == "done")
    jobs.close()


def test_jobs_of_other_tasks_and_objects_are_left_alone():
    jobs, end = Jobs(), threading.Event()
    first = jobs.join("1", ABOUT, steps_until(end), prompted(0))
    jobs.join("2", {**ABOUT, "task": 2}, steps_until(end), prompted(0, 1))
    jobs.join("3", ABOUT, steps_until(end), {"b": frozenset({0})})
    assert not first.stop.is_set()
    end.set()
    jobs.close()


def test_a_stopped_track_says_so_instead_of_passing_for_whole(settings, files, discs):
    engine = Engine(settings)
    context = {"result": [tasks.video_box(discs[1], 1)]}
    answers = []
    thread = threading.Thread(
        target=lambda: answers.extend(
            engine.predict([tasks.video_task(files)], tasks.VIDEO, context)
        )
    )
    with engine._tracks.lane.turn(0):
        thread.start()
        wait_for(lambda: len(engine.jobs.all()) == 1)
        engine.jobs.cancel(engine.jobs.all()[0].id)
    thread.join()
    (region,) = answers[0]["result"]
    assert "it was stopped" in region["meta"]["text"][0]
    assert region["value"]["labels"] == ["Cell"]
    (whole,) = engine.predict([tasks.video_task(files)], tasks.VIDEO, context)
    assert boxes_agree(whole["result"][0], discs[1], 1)


def test_tracks_of_one_movie_encode_each_frame_once(settings, files, discs, monkeypatch):
    from sam2_plugins.core.model import Sam2Model

    encoded, encode = [], Sam2Model.encode_image
    monkeypatch.setattr(
        Sam2Model, "encode_image", lambda self, image: encoded.append(1) or encode(self, image)
    )
    engine = Engine(dataclasses.replace(settings, window="none"))
    for label in (1, 2):
        context = {"result": [tasks.video_box(discs[1], label, region=str(label))]}
        (answer,) = engine.predict([tasks.video_task(files)], tasks.VIDEO, context)
        assert boxes_agree(answer["result"][0], discs[1], label)
        assert FRAMES <= len(encoded) < 2 * FRAMES
    engine.close()


def test_not_all_jobs_track_at_once():
    jobs, end = Jobs(), threading.Event()
    made = [
        jobs.join(str(n), {**ABOUT, "task": n}, steps_until(end), prompted(0)) for n in range(9)
    ]
    wait_for(lambda: sum(job.tracked.done > 0 for job in made) == 4)
    assert not threading.Event().wait(0.05)
    assert sum(job.tracked.done > 0 for job in made) == 4
    end.set()
    wait_for(lambda: all(job.state == "done" for job in made))
    jobs.close()


def test_old_tracks_make_room_for_new_ones(settings, files, discs):
    small = Engine(dataclasses.replace(settings, track_gigabytes=1e-9))
    for frame in (0, 3, 6):
        context = {"result": [box_at(discs, frame)]}
        small.predict([tasks.video_task(files)], tasks.VIDEO, context)
    wait_for(lambda: len(list((settings.folder / "tracks").iterdir())) <= 1)
    assert len(small.jobs.all()[0].tracked.snapshot()["a"]) == FRAMES
