"""Boxes on video, drawn, tracked, corrected and pre-annotated in the real Label Studio."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.formats.video_rectangle import interpolate, read_region
from sam2_plugins.labelstudio_backend.keyframes import is_ours
from tests.hosts.labelstudio import movies
from tests.hosts.labelstudio.editor import Browser, Editor
from tests.labelstudio_backend.web import Backend

COUNT, RATE = 36, 25
CONFIG = projects.video_config(["Cell", "Other"], RATE)
GONE = range(20, 26)


class Project:
    """A project with one video of discs."""

    def __init__(
        self, api: LabelStudio, backend: Backend, path: Path, config: str = CONFIG
    ) -> None:
        self.api = api
        self.engine = backend.engine
        self.id = projects.create_project(api, path.stem, config)
        projects.upload(api, self.id, path)
        (self.task,) = (int(task["id"]) for task in projects.tasks(api, self.id))
        self.ml = projects.connect(api, self.id, backend.url)

    def retrieve(self) -> list[dict[str, Any]]:
        """Press "Retrieve predictions"; return those of the task."""
        chosen = {"selectedItems": {"all": True, "excluded": []}}
        action = f"/api/dm/actions/?id=retrieve_tasks_predictions&project={self.id}"
        self.api.request("POST", action, chosen, timeout=150)
        # On a busy machine, it is stored afterwards.
        wait_for(lambda: self.engine.facts()["to_be_stored"] == 0)
        return self.predictions()

    def predictions(self) -> list[dict[str, Any]]:
        return list(self.api.request("GET", f"/api/predictions/?task={self.task}"))

    def annotate(self, results: list[dict[str, Any]]) -> int:
        path = f"/api/tasks/{self.task}/annotations/"
        return int(self.api.request("POST", path, {"result": results})["id"])

    def correct(self, annotation: int, results: list[dict[str, Any]]) -> None:
        self.api.request("PATCH", f"/api/annotations/{annotation}/", {"result": results})

    def draw(self, results: list[dict[str, Any]], api: LabelStudio | None = None) -> dict[str, Any]:
        """Save a draft, and then do what `ask` does, as another user perhaps."""
        (api or self.api).request("POST", f"/api/tasks/{self.task}/drafts", {"result": results})
        return self.ask(results, api)

    def ask(self, results: list[dict[str, Any]], api: LabelStudio | None = None) -> dict[str, Any]:
        """Do what the editor does when a label is clicked."""
        body = {"task": self.task, "context": {"result": results}}
        path = f"/api/ml/{self.ml}/interactive-annotating"
        return dict((api or self.api).request("POST", path, body, timeout=150))


@pytest.fixture
def project(api: LabelStudio, backend: Backend, tmp_path: Path) -> Project:
    path = tmp_path / "discs.mp4"
    movies.write_movie(path, movies.discs(COUNT, GONE), movies.every(1000 / RATE, COUNT))
    return Project(api, backend, path)


@pytest.fixture
def editor(browser: Browser, project: Project) -> Iterator[Editor]:
    opened = browser.open_task(project.id, project.task)
    opened.wait_for_video()
    opened.annotate_automatically()
    yield opened
    opened.close()


def prompt(editor: Editor, frame: int) -> None:
    """Draw a box around the large disc, select it, and press its label's key."""
    editor.show_frame(frame)
    x, y, width, height = disc_box(frame - 1)
    editor.draw_box((x / 100, y / 100, (x + width) / 100, (y + height) / 100))
    editor.click_video((x + width / 2) / 100, (y + height / 2) / 100)
    editor.press_label(1)


def disc_box(frame: int) -> tuple[float, float, float, float]:
    """Return x, y, width, height of the large disc in percent."""
    cx, cy = movies.disc_at(frame)
    return (cx - 20) / 3.2, (cy - 20) / 2.4, 40 / 3.2, 40 / 2.4


def box_on(frame: int, region: str = "a", label: str = "Cell") -> dict[str, Any]:
    """Return a person's box on the large disc, on a frame of Label Studio."""
    x, y, width, height = disc_box(frame - 1)
    keyframe = {"frame": frame, "enabled": True, "rotation": 0, "x": x, "y": y}
    value = {
        "framesCount": COUNT,
        "duration": COUNT / RATE,
        "labels": [label],
        "sequence": [{**keyframe, "width": width, "height": height, "time": frame / RATE}],
    }
    about = {"id": region, "from_name": "box", "to_name": "video", "type": "videorectangle"}
    return {**about, "value": value}


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 240
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def overlap(one: Any, other: Any) -> float:
    """Return the IoU of two boxes x, y, width, height."""
    sides = []
    for i in (0, 1):
        low, high = max(one[i], other[i]), min(one[i] + one[i + 2], other[i] + other[i + 2])
        sides.append(max(0.0, high - low))
    shared = sides[0] * sides[1]
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def test_a_box_drawn_on_one_frame_follows_its_object_where_the_browser_shows_it(editor):
    prompt(editor, 10)
    (result,) = editor.results()
    assert result["value"]["labels"] == ["Cell"]
    assert len(result["value"]["sequence"]) < COUNT / 2
    for frame in (1, 5, 10, 15, 20, 30, 36):
        editor.show_frame(frame)
        shown = editor.box_shown(result["id"])
        assert shown is not None
        assert overlap(shown, disc_box(frame - 1)) > 0.8
    for frame in (22, 25):
        editor.show_frame(frame)
        assert editor.box_shown(result["id"]) is None
    assert not editor.errors


def test_notes_survive_the_editor_and_only_a_persons_box_stays_a_persons(project, browser):
    """The provenance of keyframes: prediction, annotation, and back."""
    answer = project.ask([box_on(1)])["data"]["result"]
    project.annotate(answer)
    with_annotation = browser.open_task(project.id, project.task)
    with_annotation.wait_for_video()
    with_annotation.wait_for_regions(1)
    (result,) = with_annotation.results()
    with_annotation.close()
    region = read_region(result)
    assert [k.frame for k in region.keyframes if not is_ours(k)] == [1]
    again = project.ask([result])["data"]["result"]
    assert again[0]["value"]["sequence"] == answer[0]["value"]["sequence"]


def test_saved_boxes_are_tracked_when_predictions_are_retrieved(api, backend, project, tmp_path):
    path = tmp_path / "batch.mp4"
    movies.write_movie(path, movies.discs(COUNT), movies.every(1000 / RATE, COUNT))
    batch = Project(api, backend, path)
    (empty,) = batch.retrieve()
    assert empty["result"] == []
    assert "no box" in empty["model_version"]
    batch.annotate([box_on(5)])
    predictions = batch.retrieve()
    full = [one for one in predictions if one["result"]]
    assert [one["model_version"] for one in full] == ["SAM 2 nano"]
    keyframes = read_region(full[0]["result"][0]).keyframes
    for frame in (1, 12, 24, COUNT):
        assert overlap(interpolate(keyframes, frame), disc_box(frame - 1)) > 0.8
    assert len(batch.retrieve()) == len(predictions)


def test_every_object_is_there_where_nobody_has_drawn_one_if_that_is_wanted(
    api, settings, tmp_path
):
    path, count = tmp_path / "bare.mp4", 6
    movies.write_movie(path, movies.discs(count), movies.every(1000 / RATE, count))
    wanting = dataclasses.replace(settings, everything="Cell", cache=str(tmp_path / "cache"))
    with Backend(wanting) as backend:
        bare = Project(api, backend, path)
        (found,) = bare.retrieve()
    regions = [read_region(result) for result in found["result"]]
    assert [region.labels for region in regions] == [("Cell",)] * 2
    for frame in (1, 3, count):
        shown = [interpolate(region.keyframes, frame) for region in regions]
        assert max(overlap(box, disc_box(frame - 1)) for box in shown if box) > 0.8


def test_several_objects_keep_their_ids_and_labels(project):
    answer = project.ask([box_on(1, "one"), box_on(12, "two", "Other")])["data"]["result"]
    assert {r["id"]: r["value"]["labels"] for r in answer} == {"one": ["Cell"], "two": ["Other"]}


def test_the_annotator_reads_what_is_wrong_in_the_details_of_the_box(
    api, settings, browser, tmp_path
):
    path = tmp_path / "discs.mp4"
    movies.write_movie(path, movies.discs(COUNT), movies.every(1000 / RATE, COUNT))
    small = dataclasses.replace(settings, max_gigabytes=1e-6, cache=str(tmp_path / "cache"))
    with Backend(small) as backend:
        project = Project(api, backend, path)
        editor = browser.open_task(project.id, project.task)
        editor.wait_for_video()
        editor.annotate_automatically()
        prompt(editor, 1)
        editor.page.get_by_text("is larger than").first.wait_for()
        assert len(editor.results()[0]["value"]["sequence"]) == 1
        editor.screenshot(tmp_path / "told.png")
        editor.close()


def test_the_annotator_reads_how_far_a_track_has_come_when_it_takes_long(
    api, settings, browser, tmp_path
):
    path = tmp_path / "discs.mp4"
    movies.write_movie(path, movies.discs(COUNT), movies.every(1000 / RATE, COUNT))
    hurried = dataclasses.replace(settings, answer_within=0.2, cache=str(tmp_path / "cache"))
    with Backend(hurried) as backend:
        project = Project(api, backend, path)
        editor = browser.open_task(project.id, project.task)
        editor.wait_for_video()
        editor.annotate_automatically()
        prompt(editor, 1)
        told = editor.page.get_by_text("frames are tracked; the rest goes on").first
        told.wait_for()
        assert re.search(r"\d+ of \d+ frames", told.inner_text())
        editor.close()


def test_a_video_that_is_no_video_is_told_in_the_boxs_details(api, backend, browser, tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"this is no video" * 100)
    broken = Project(api, backend, path)
    answer = broken.ask([box_on(1)])["data"]["result"]
    assert answer[0]["value"]["sequence"] == box_on(1)["value"]["sequence"]
    assert "SAM 2:" in answer[0]["meta"]["text"][0]
    broken.annotate([box_on(1)])
    (told,) = broken.retrieve()
    assert told["result"] == []
    assert "broken" in told["model_version"]
