"""A track that takes longer than Label Studio waits: answered, gone on with, stored, taken up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import httpx
import pytest

from sam2_plugins.labelstudio_backend.formats.video_rectangle import interpolate, read_region
from sam2_plugins.labelstudio_backend.settings import Settings
from sam2_plugins.labelstudio_backend.tracking import CLICK
from tests.hosts.labelstudio import movies
from tests.hosts.labelstudio.test_video import (
    COUNT,
    RATE,
    Project,
    box_on,
    disc_box,
    overlap,
    wait_for,
)
from tests.labelstudio_backend.web import Backend, close_in_mid_track


@pytest.fixture
def hurried(settings: Settings, tmp_path: Path) -> Settings:
    return dataclasses.replace(settings, answer_within=0.2, cache=str(tmp_path / "cache"))


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "discs.mp4"
    return movies.write_movie(path, movies.discs(COUNT), movies.every(1000 / RATE, COUNT))


def jobs(backend: Backend) -> list[dict[str, Any]]:
    return list(httpx.get(f"{backend.url}/jobs").json()["jobs"])


def whole(predictions: list[dict[str, Any]]) -> bool:
    (stored,) = (one for one in predictions if one["result"])
    keys = read_region(stored["result"][0]).keyframes
    shown = [interpolate(keys, frame) or (0, 0, 1, 1) for frame in range(1, COUNT + 1)]
    return all(overlap(box, disc_box(at)) > 0.7 for at, box in enumerate(shown))


def stopped_in_mid_track(api: Any, settings: Settings, movie: Path) -> Project:
    """Begin a track, and stop its backend before it is done."""
    with Backend(settings) as backend:
        project, work = Project(api, backend, movie), backend.engine.work
        with work.tracks.lane.turn(CLICK):  # the track begins when all is ready to stop it
            project.ask([box_on(1)])
        (job,) = work.jobs.all()
        wait_for(lambda: job.tracked.done > 3)
        close_in_mid_track(work)
    assert job.state == "left" and job.tracked.done < job.tracked.total
    return project


def test_the_whole_track_is_stored_when_it_is_done(api, hurried, movie):
    with Backend(hurried) as backend:
        project = Project(api, backend, movie)
        (early,) = project.ask([box_on(1)])["data"]["result"]
        assert early["id"] == "a"
        stored = wait_for(lambda: [p for p in project.predictions() if p["result"]])
        assert whole(stored)
        (job,) = jobs(backend)
        assert (job["state"], job["done"]) == ("done", job["total"])


def test_health_is_answered_while_a_track_runs(api, hurried, movie):
    with Backend(hurried) as backend:
        project = Project(api, backend, movie)
        with backend.engine.work.tracks.lane.turn(CLICK):  # it does not end before we look
            project.ask([box_on(1)])
        answered = 0
        while jobs(backend)[0]["state"] == "running":
            assert httpx.get(f"{backend.url}/health", timeout=60).is_success
            answered += 1
        assert answered > 0


def test_a_restarted_backend_goes_on_and_stores_the_result(api, hurried, movie):
    project = stopped_in_mid_track(api, hurried, movie)
    with Backend(hurried) as restarted:
        assert whole(wait_for(lambda: [p for p in project.predictions() if p["result"]]))
        assert [job["state"] for job in jobs(restarted)] == ["done"]
    assert not list((hurried.folder / "pending").iterdir())


def test_the_job_of_a_deleted_task_is_not_taken_up_again(api, hurried, movie):
    project = stopped_in_mid_track(api, hurried, movie)
    assert len(list((hurried.folder / "pending").iterdir())) == 1
    api.request("DELETE", f"/api/tasks/{project.task}/")
    with Backend(hurried) as restarted:
        wait_for(lambda: not list((hurried.folder / "pending").iterdir()))
        assert jobs(restarted) == []


def test_two_annotators_of_one_prediction_get_their_tracks_and_each_stops_only_the_own(
    api, second_annotator, hurried, movie
):
    with Backend(hurried) as backend:
        project = Project(api, backend, movie)
        prediction = {"task": project.task, "result": [box_on(1)], "model_version": "detector"}
        api.request("POST", "/api/predictions/", prediction)

        def with_box_on(frame: int, shift: float = 0) -> list[dict[str, Any]]:
            region, other = box_on(1), box_on(frame)
            key = {**other["value"]["sequence"][0]}
            region["value"]["sequence"].append({**key, "x": key["x"] + shift})
            return [region]

        with backend.engine.work.tracks.lane.turn(CLICK):  # no track ends before all have begun
            project.draw(with_box_on(10))
            project.draw(with_box_on(10, shift=1), second_annotator)
            project.draw(with_box_on(12))
        wait_for(lambda: all(job["state"] != "running" for job in jobs(backend)))
        last, of_the_second, first = jobs(backend)
        assert [job["state"] for job in (first, of_the_second, last)] == [
            "cancelled",
            "done",
            "done",
        ]
        (whole_track,) = project.draw(with_box_on(10, shift=1), second_annotator)["data"]["result"]
        assert "Tracked." in whole_track["meta"]["text"][0]
