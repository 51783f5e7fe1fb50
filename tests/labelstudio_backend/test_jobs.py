"""Several annotators, corrections that come fast, and jobs that are stopped."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import threading

import numpy as np
import pytest

from sam2_plugins.core.operating_system import used_megabytes
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.formats.video_rectangle import keyframe_dict, read_region
from sam2_plugins.labelstudio_backend.jobs import AT_ONCE, Author, Jobs
from sam2_plugins.labelstudio_backend.keyframes import is_ours
from sam2_plugins.labelstudio_backend.tracking import BATCH
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.conftest import FRAMES
from tests.labelstudio_backend.test_engine import boxes_agree, wait_for

ABOUT = {"project": "1", "task": 1, "objects": ["a"]}


def box_at(discs, *frames: int) -> dict:
    """Return a person's box on these frames, all of one region."""
    region = tasks.video_box(discs[1], 1)
    keys = [keyframe_dict(f + 1, tasks.percent(discs[1][f], 1), True, 25) for f in frames]
    return {**region, "value": {**region["value"], "sequence": keys}}


@pytest.mark.parametrize("second", [8, 4], ids=["on other frames", "on the same frames"])
def test_two_annotators_of_one_prediction_both_get_their_whole_track(
    settings, files, discs, second
):
    """The first has been answered with what there was when the second begins."""
    shared = box_at(discs, 0)
    task = tasks.video_task(files, predictions=[{"model_version": "other", "result": [shared]}])
    one = {**task, "drafts": [{"user": "ann@example.com", "result": []}]}
    two = {**task, "drafts": [{"user": "ben@example.com", "result": []}]}
    hurried = Engine(dataclasses.replace(settings, answer_within=0.01))
    with hurried.work.tracks.lane.turn(0):  # both have begun before either goes on
        hurried.predict([one], tasks.VIDEO, {"result": [box_at(discs, 0, 4)]})
        moved = box_at(discs, 0, second)
        moved["value"]["sequence"][1]["x"] += 1
        hurried.predict([two], tasks.VIDEO, {"result": [moved]})
    wait_for(lambda: all(job.state == "done" for job in hurried.work.jobs.all()))
    for job in hurried.work.jobs.all():
        assert len(job.tracked.masks.frames_of("a")) == FRAMES
    patient = Engine(settings)
    (answer,) = patient.predict([one], tasks.VIDEO, {"result": [box_at(discs, 0, 4)]})
    assert boxes_agree(answer["result"][0], discs[1], 1)
    own = [k.frame for k in read_region(answer["result"][0]).keyframes if not is_ours(k)]
    assert own == [1, 5]
    hurried.close()
    patient.close()


def steps_until(stop: threading.Event, frames: int = 1000):
    def steps(tracked):
        tracked.total = frames
        for frame in range(frames):
            tracked.add(frame, {})
            yield
            if stop.wait(0.005):
                return

    return steps


ANN, BEN = Author("ann@example.com"), Author("ben@example.com")
UNKNOWN = Author()


@pytest.fixture
def jobs():
    end = threading.Event()
    made = Jobs()
    made.begin = lambda key, author, **about: made.join(
        key, {**ABOUT, **about}, steps_until(end), author
    )
    made.finish = end.set
    yield made
    end.set()
    made.close()


def test_a_correction_stops_what_nobody_waits_for(jobs):
    first = jobs.begin("1", ANN)
    jobs.begin("2", ANN)
    assert first.ended.wait(60)
    assert first.state == "cancelled"


def test_an_annotators_track_waits_for_none_of_a_batch(settings, files, discs):
    engine = Engine(settings)
    box = tasks.video_box(discs[1], 1)
    batch = [{**tasks.annotated(tasks.video_task(files), box), "id": n} for n in range(2, 8)]
    batches = [threading.Thread(target=engine.predict, args=([t], tasks.VIDEO)) for t in batch]
    tracking = threading.Thread(
        target=engine.predict, args=([tasks.video_task(files)], tasks.VIDEO, {"result": [box]})
    )
    lane = engine.work.tracks.lane
    with lane.turn():
        for thread in batches:
            thread.start()
        wait_for(lambda: len(lane._waiting) == AT_ONCE[BATCH])
        tracking.start()
        wait_for(lambda: len(lane._waiting) == AT_ONCE[BATCH] + 1)
    tracking.join()
    done = {job.about["task"]: job.tracked.done for job in engine.work.jobs.all()}
    assert done[1] == FRAMES
    assert all(done[n] < FRAMES for n in range(2, 8))
    for thread in batches:
        thread.join()
    engine.close()


@pytest.mark.skipif(sys.platform != "linux", reason="others give memory back by themselves")
def test_memory_between_what_is_kept_of_tracks_goes_back_to_the_system(jobs):
    kept, before = [], used_megabytes()

    def steps(tracked):
        blocks = [np.ones(10_000) for _ in range(4000)]
        kept.extend(blocks[::40])
        yield

    jobs.join("1", ABOUT, steps, ANN).wait(60)
    wait_for(lambda: used_megabytes() < before + 100)
    assert len(kept) == 100


def test_an_annotator_is_known_before_the_first_draft_by_what_only_that_editor_has(jobs):
    first = jobs.begin("1", Author(own=frozenset("a")))
    jobs.begin("2", Author("ann@example.com", frozenset("a")))
    assert first.ended.wait(60)
    assert first.state == "cancelled"


@pytest.mark.parametrize(
    ("one", "other"), [(ANN, BEN), (UNKNOWN, BEN), (ANN, UNKNOWN), (UNKNOWN, UNKNOWN)]
)
def test_another_annotator_stops_nothing(jobs, one, other):
    first = jobs.begin("1", one)
    jobs.begin("2", other)
    assert not first.stop.wait(0.05)


def test_a_job_of_two_annotators_goes_on_until_both_have_corrected_it(jobs):
    first = jobs.begin("1", ANN)
    assert jobs.begin("1", BEN) is first
    jobs.begin("2", ANN)
    assert not first.stop.wait(0.05)
    jobs.begin("3", BEN)
    assert first.stop.wait(60)


def test_what_an_annotator_waits_for_goes_on(jobs):
    first = jobs.begin("1", ANN)
    waiting = threading.Thread(target=first.wait, args=(60,))
    waiting.start()
    wait_for(lambda: first._waiting == 1)
    jobs.begin("2", ANN)
    assert not first.stop.wait(0.05)
    jobs.finish()
    waiting.join()
    wait_for(lambda: first.state == "done")


def test_jobs_of_other_tasks_and_objects_are_left_alone(jobs):
    first = jobs.begin("1", ANN)
    jobs.begin("2", ANN, task=2)
    jobs.begin("3", ANN, objects=["b"])
    assert not first.stop.wait(0.05)


def test_what_was_stopped_is_begun_again_by_a_person_only(jobs):
    first = jobs.begin("1", ANN)
    jobs.cancel(first.id)
    assert first.ended.wait(60)
    assert jobs.join("1", ABOUT, steps_until(threading.Event()), ANN, anew=False) is first
    again = jobs.begin("1", ANN)
    assert (first.state, again.state) == ("cancelled", "running")


def test_ended_jobs_stay_listed_when_their_masks_are_gone(jobs):
    jobs.finish()
    for number in range(20):
        jobs.begin(str(number), ANN, task=number).wait(60)
    first, *_, last = reversed(jobs.facts())
    assert (len(jobs.all()), first["task"], last["task"]) == (9, 0, 19)
    assert {job["state"] for job in jobs.facts()} == {"done"}


def test_a_stopped_track_says_so_instead_of_passing_for_whole(settings, files, discs):
    engine = Engine(settings)
    context = {"result": [tasks.video_box(discs[1], 1)]}
    answers = []
    thread = threading.Thread(
        target=lambda: answers.extend(
            engine.predict([tasks.video_task(files)], tasks.VIDEO, context)
        )
    )
    with engine.work.tracks.lane.turn(0):
        thread.start()
        wait_for(lambda: len(engine.work.jobs.all()) == 1)
        engine.work.jobs.cancel(engine.work.jobs.all()[0].id)
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


def test_not_all_jobs_track_at_once(jobs):
    made = [jobs.begin(str(n), ANN, task=n) for n in range(9)]
    wait_for(lambda: sum(job.tracked.done > 0 for job in made) == 4)
    assert not threading.Event().wait(0.05)
    assert sum(job.tracked.done > 0 for job in made) == 4
    jobs.finish()
    wait_for(lambda: all(job.state == "done" for job in made))


def test_old_tracks_make_room_for_new_ones(settings, files, discs):
    small = Engine(dataclasses.replace(settings, track_gigabytes=1e-9))
    for frame in (0, 3, 6):
        context = {"result": [box_at(discs, frame)]}
        small.predict([tasks.video_task(files)], tasks.VIDEO, context)
    wait_for(lambda: len(list((settings.folder / "tracks").iterdir())) <= 1)
    assert len(small.work.jobs.all()[0].tracked.masks.frames_of("a")) == FRAMES


def test_a_request_for_a_track_that_is_there_opens_no_file(engine, files, discs, monkeypatch):
    opened, open_ = [], engine.work.media.open
    monkeypatch.setattr(engine.work.media, "open", lambda path: opened.append(path) or open_(path))
    for _ in range(2):
        engine.predict(
            [tasks.video_task(files)], tasks.VIDEO, {"result": [tasks.video_box(discs[1], 1)]}
        )
    assert opened == [files / "discs.mp4"]


def test_a_video_that_is_replaced_before_its_track_begins_is_not_tracked_as_the_old_one(
    settings, files, discs, tmp_path, monkeypatch
):
    """Its size and times are known from an earlier request: the job alone opens it."""
    video = tmp_path / "discs.mp4"
    shutil.copy(files / "discs.mp4", video)
    engine = Engine(dataclasses.replace(settings, roots=(str(tmp_path),)))
    engine.predict([tasks.video_task(tmp_path)], tasks.VIDEO, {"result": [box_at(discs, 0)]})
    open_ = engine.work.media.open

    def replaced_first(path):
        video.write_bytes(video.read_bytes() + b"more")
        return open_(path)

    monkeypatch.setattr(engine.work.media, "open", replaced_first)
    drawn = {"result": [box_at(discs, 4)]}
    (answer,) = engine.predict([tasks.video_task(tmp_path)], tasks.VIDEO, drawn)
    engine.close()
    assert "discs.mp4 was replaced just now" in answer["result"][0]["meta"]["text"][0]
