"""A correction, with the gestures that reach a backend in Label Studio's real editor."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.formats.video_rectangle import interpolate, read_region
from tests.hosts.labelstudio import movies
from tests.hosts.labelstudio.editor import Browser, Editor
from tests.hosts.labelstudio.test_video import (
    COUNT,
    RATE,
    Project,
    box_on,
    disc_box,
    overlap,
    wait_for,
)
from tests.labelstudio_backend.web import Backend

Open = Callable[..., Editor]

WITHOUT_BUTTON = """<View>
  <Labels name="label" toName="video"><Label value="Cell"/><Label value="Other"/></Labels>
  <Video name="video" value="$video" framerate="25"/>
  <VideoRectangle name="box" toName="video" smart="true"/>
</View>"""


def small_disc(frame: int) -> tuple[float, float, float, float]:
    """Return x, y, width, height of the small disc in percent, on a frame from 0 on."""
    return (250 - 2 * frame - 14) / 3.2, (190 - 14) / 2.4, 28 / 3.2, 28 / 2.4


def middle(box: tuple[float, float, float, float]) -> tuple[float, float]:
    x, y, width, height = box
    return (x + width / 2) / 100, (y + height / 2) / 100


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "discs.mp4"
    return movies.write_movie(path, movies.discs(COUNT), movies.every(1000 / RATE, COUNT))


@pytest.fixture
def open_project(api: Any, backend: Backend, browser: Browser, movie: Path) -> Iterator[Open]:
    opened: list[Editor] = []

    def open_one(
        config: str, backend: Backend = backend, reopened: Project | None = None
    ) -> Editor:
        project = reopened or Project(api, backend, movie, config)
        editor = browser.open_task(project.id, project.task)
        editor.wait_for_video()
        editor.annotate_automatically()
        editor.project = project
        opened.append(editor)
        return editor

    yield open_one
    for editor in opened:
        editor.close()


def draw(editor: Editor, frame: int, label: str | None = "Cell") -> None:
    """Choose a label, draw a box around the large disc, and click on it."""
    if label is not None:
        editor.choose_label(label)
    editor.show_frame(frame)
    x, y, width, height = disc_box(frame - 1)
    editor.draw_box((x / 100, y / 100, (x + width) / 100, (y + height) / 100))
    editor.select_box(*middle(disc_box(frame - 1)))


def move_to_the_small_disc(editor: Editor, frame: int) -> None:
    editor.show_frame(frame)
    editor.drag_on_video(middle(disc_box(frame - 1)), middle(small_disc(frame - 1)))


def shown(editor: Editor, frame: int) -> Any:
    (region,) = {result["id"] for result in editor.results() if "id" in result}
    editor.show_frame(frame)
    return editor.box_shown(region)


@pytest.mark.parametrize("labels", [["Cell"], ["Cell", "Other"]], ids=["one label", "two labels"])
def test_a_moved_box_is_tracked_again_whenever_track_is_pressed(open_project, labels):
    editor = open_project(projects.video_config(labels, RATE))
    draw(editor, 5)
    editor.press_label("t")
    assert overlap(shown(editor, 34), disc_box(33)) > 0.7
    move_to_the_small_disc(editor, 30)
    editor.press_label("t")
    for frame in (32, 36):
        assert overlap(shown(editor, frame), small_disc(frame - 1)) > 0.5, frame
    # What was right before the correction stays.
    assert overlap(shown(editor, 20), disc_box(19)) > 0.7
    assert overlap(shown(editor, 5), disc_box(4)) > 0.9
    editor.press_label("t")
    (result,) = editor.results()
    assert result["value"]["labels"] == ["Cell"]
    assert not editor.errors


def test_the_track_of_a_reopened_task_is_corrected_in_the_same_way(open_project):
    editor = open_project(projects.video_config(["Cell"], RATE))
    draw(editor, 5)
    editor.press_label("t")
    editor.wait_until_saved()
    again = open_project("", reopened=editor.project)
    again.show_frame(5)
    again.select_box(*middle(disc_box(4)))
    move_to_the_small_disc(again, 30)
    again.press_label("t")
    assert overlap(shown(again, 34), small_disc(33)) > 0.5


def test_a_box_may_get_its_label_after_it_was_tracked(open_project):
    editor = open_project(projects.video_config(["Cell", "Other"], RATE))
    draw(editor, 5, label=None)
    editor.press_label("t")
    assert overlap(shown(editor, 34), disc_box(33)) > 0.7
    editor.page.get_by_text("If it has no label yet").first.wait_for()
    editor.press_label(2)
    assert editor.results()[0]["value"]["labels"] == ["Other"]


def test_without_the_button_another_label_and_back_does_it_and_the_box_says_so(open_project):
    editor = open_project(WITHOUT_BUTTON)
    draw(editor, 5, label=None)
    editor.press_label(1)
    editor.page.get_by_text("give the box another label and then its own again").first.wait_for()
    move_to_the_small_disc(editor, 30)
    editor.press_label(2)
    editor.press_label(1)
    assert overlap(shown(editor, 34), small_disc(33)) > 0.5
    assert editor.results()[0]["value"]["labels"] == ["Cell"]


def test_what_hangs_on_a_box_is_still_there_after_it_was_tracked(open_project):
    attributes = (
        '<Choices name="state" toName="video" perRegion="true">'
        '<Choice value="occluded" hotkey="o"/></Choices>'
        '<Number name="count" toName="video" perRegion="true"/>'
        '<Relations><Relation value="follows"/></Relations></View>'
    )
    config = projects.video_config(["Cell"], RATE)
    editor = open_project(config[: config.rindex("</View>")] + attributes)
    draw(editor, 5)
    editor.page.keyboard.press("o")
    editor.page.keyboard.press("Escape")
    editor.choose_label("Cell")
    editor.draw_box((0.02, 0.02, 0.12, 0.12))
    editor.page.evaluate(
        """() => {
          const annotation = Htx.annotationStore.selected;
          annotation.relationStore.addRelation(...annotation.regions);
        }"""
    )
    before = [result["type"] for result in editor.results()]
    assert sorted(before) == ["choices", "relation", "videorectangle", "videorectangle"]
    editor.select_box(*middle(disc_box(4)))
    editor.press_label("t")
    assert [result["type"] for result in editor.results()] == before
    assert not editor.errors


def test_retrieve_predictions_after_a_correction_gives_the_new_track(api, backend, movie):
    project = Project(api, backend, movie)
    first = box_on(5)
    annotation = project.annotate([first])
    (before,) = project.retrieve()
    moved = {**first["value"]["sequence"][0], "frame": 30, "time": 30 / RATE}
    moved |= dict(zip(("x", "y", "width", "height"), small_disc(29), strict=True))
    sequence = [*before["result"][0]["value"]["sequence"], moved]
    by_frame = {keyframe["frame"]: keyframe for keyframe in sequence}
    value = {**before["result"][0]["value"], "sequence": list(by_frame.values())}
    project.correct(annotation, [{**before["result"][0], "value": value}])
    (after,) = project.retrieve()
    keyframes = read_region(after["result"][0]).keyframes
    assert overlap(interpolate(keyframes, 33), small_disc(32)) > 0.5
    assert after["model_version"] == before["model_version"]
    assert project.retrieve() == [after]


def test_a_prediction_of_what_is_in_the_annotation_stays(api, backend, movie):
    project = Project(api, backend, movie)
    annotation = project.annotate([box_on(5)])
    (before,) = project.retrieve()
    project.correct(annotation, before["result"])
    assert project.retrieve() == [before]


def test_track_shows_more_of_a_long_video_each_time_it_is_pressed(open_project, settings, tmp_path):
    hurried = dataclasses.replace(settings, answer_within=0.2, cache=str(tmp_path / "cache"))
    with Backend(hurried) as slow:
        editor = open_project(projects.video_config(["Cell"], RATE), slow)
        draw(editor, 5)
        editor.press_label("t")
        editor.page.get_by_text("press Track with the box selected").first.wait_for()
        for _ in range(100):
            if shown(editor, COUNT) is not None:
                break
            editor.page.wait_for_timeout(500)
            editor.press_label("t")
        assert overlap(shown(editor, COUNT), disc_box(COUNT - 1)) > 0.7


@pytest.mark.parametrize("how", ["delete", "delete all of the task", "empty"])
def test_the_track_of_a_deleted_annotation_or_of_its_deleted_boxes_goes(api, backend, movie, how):
    project = Project(api, backend, movie)
    annotation = project.annotate([box_on(5)])
    (before,) = project.retrieve()
    assert before["result"]
    if how == "delete":
        api.request("DELETE", f"/api/annotations/{annotation}/")
    elif how == "empty":
        project.correct(annotation, [])
    else:
        path = f"/api/dm/actions?id=delete_tasks_annotations&project={project.id}"
        api.request("POST", path, {"selectedItems": {"all": False, "included": [project.task]}})
    wait_for(lambda: not project.predictions())
    (after,) = project.retrieve()
    assert not after["result"] and "no box to track" in after["model_version"]


def test_a_track_at_a_frame_rate_that_the_config_has_no_more_is_made_anew(api, backend, movie):
    project = Project(api, backend, movie)
    project.annotate([box_on(5)])
    (before,) = project.retrieve()
    settings = f"/api/projects/{project.id}/"
    api.request("PATCH", settings, {"title": "Another title"})
    assert project.retrieve() == [before]
    api.request("PATCH", settings, {"label_config": projects.video_config(["Cell"], 2 * RATE)})
    (after,) = project.retrieve()
    assert after["result"][0]["value"]["framesCount"] == 2 * COUNT
    assert project.retrieve() == [after]


def test_the_track_of_a_control_that_was_renamed_goes_with_the_reason(api, backend, movie):
    project = Project(api, backend, movie)
    detected = {"task": project.task, "result": [box_on(5)], "model_version": "detector"}
    api.request("POST", "/api/predictions/", detected)
    project.retrieve()
    config = projects.video_config(["Cell"], RATE).replace('name="box"', 'name="boxes"')
    api.request("PATCH", f"/api/projects/{project.id}/", {"label_config": config})
    told = sorted(one["model_version"] for one in project.retrieve())
    assert told[0].startswith("SAM 2 nano: The regions are of box, which")
    assert told[1:] == ["detector"]
