"""Masks on images and on stacks of frames, clicked in the real editor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_plugins.core.frames import open_frames
from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.formats import brush
from sam2_plugins.labelstudio_backend.frame_stack import local_files_url, write_stack
from tests.hosts.labelstudio import movies
from tests.hosts.labelstudio.editor import Editor

PAGES = 6


def disc(frame: int) -> np.ndarray:
    cx, cy = movies.disc_at(frame)
    y, x = np.mgrid[: movies.HEIGHT, : movies.WIDTH]
    return (x - cx) ** 2 + (y - cy) ** 2 < 20**2


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def painted(result: dict) -> np.ndarray:
    size = result["original_height"], result["original_width"]
    return brush.decode(result["value"]["rle"], *size)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "discs.png"
    Image.fromarray(movies.discs(1)[0]).save(path)
    return path


@pytest.fixture
def open_image(api, backend, browser, image) -> Iterator[Callable[[str], Editor]]:
    opened: list[Editor] = []

    def open_(config: str) -> Editor:
        project = projects.create_project(api, "image", config)
        projects.upload(api, project, image)
        projects.connect(api, project, backend.url)
        (task,) = projects.tasks(api, project)
        editor = browser.open_task(project, task["id"])
        opened.append(editor)
        editor.wait_for_image()
        editor.annotate_automatically()
        return editor

    yield open_
    for editor in opened:
        editor.close()


def click_disc(editor: Editor, **how: bool) -> None:
    cx, cy = movies.disc_at(0)
    editor.click_image((cx + 0.5) / movies.WIDTH, (cy + 0.5) / movies.HEIGHT, **how)


def test_a_smart_click_becomes_a_mask_that_can_be_accepted(open_image):
    editor = open_image(projects.image_config(["Cell", "Other"]))
    editor.choose_smart_tool("Cell")
    click_disc(editor)
    assert editor.suggestions() == 1
    editor.accept_suggestions()
    (mask,) = [r for r in editor.results() if r["type"] == "brushlabels"]
    assert mask["value"]["brushlabels"] == ["Cell"]
    assert iou(painted(mask), disc(0)) > 0.85
    assert not editor.errors


def test_a_negative_click_takes_away(open_image):
    editor = open_image(projects.image_config(["Cell"]))
    editor.choose_smart_tool("Cell")
    click_disc(editor)
    editor.choose_label("Cell")
    editor.click_image(0.75, 0.8, negative=True)
    sent = [r for r in editor.last_context if r["type"] == "keypointlabels"]
    assert [r["is_positive"] for r in sent] == [True, False]
    editor.accept_suggestions()
    (mask,) = [r for r in editor.results() if r["type"] == "brushlabels"]
    assert iou(painted(mask), disc(0)) > 0.85


TURNS = {0: lambda x, y: (x, y), 90: lambda x, y: (1 - y, x), -90: lambda x, y: (y, 1 - x)}
"""Where a point of the picture is shown when the picture is turned."""


@pytest.mark.parametrize("turn", TURNS)
def test_on_a_turned_picture_a_click_hits_what_is_seen_there(open_image, turn):
    config = projects.image_config(["Cell"]).replace("<Image ", '<Image rotateControl="true" ')
    editor = open_image(config)
    editor.turn_image(turn)
    editor.choose_smart_tool("Cell")
    cx, cy = movies.disc_at(0)
    editor.click_image(*TURNS[turn]((cx + 0.5) / movies.WIDTH, (cy + 0.5) / movies.HEIGHT))
    editor.accept_suggestions()
    (mask,) = [r for r in editor.results() if r["type"] == "brushlabels"]
    assert mask["image_rotation"] == turn % 360
    assert iou(painted(mask), disc(0)) > 0.85


@pytest.mark.parametrize("turn", TURNS)
def test_a_smart_rectangle_becomes_a_mask_on_a_turned_picture_too(open_image, turn):
    editor = open_image("""<View><Image name="image" value="$image" rotateControl="true"/>
      <RectangleLabels name="box" toName="image" smart="true" smartOnly="true">
      <Label value="Cell"/></RectangleLabels>
      <BrushLabels name="mask" toName="image"><Label value="Cell"/></BrushLabels></View>""")
    editor.turn_image(turn)
    editor.choose_smart_tool("Cell", "RectangleTool")
    cx, cy = movies.disc_at(0)
    corners = [((cx + d) / movies.WIDTH, (cy + d) / movies.HEIGHT) for d in (-22, 22)]
    editor.drag_on_image(*(TURNS[turn](*corner) for corner in corners))
    assert [r["type"] for r in editor.last_context] == ["rectanglelabels"]
    editor.accept_suggestions()
    (mask,) = [r for r in editor.results() if r["type"] == "brushlabels"]
    assert iou(painted(mask), disc(0)) > 0.85


@pytest.mark.parametrize("shape", ["BitmaskLabels", "PolygonLabels", "RectangleLabels"])
def test_the_config_decides_what_comes_out(open_image, shape):
    config = f"""<View><Image name="image" value="$image"/>
      <KeyPointLabels name="click" toName="image" smart="true" smartOnly="true">
      <Label value="Cell"/></KeyPointLabels>
      <{shape} name="mask" toName="image"><Label value="Cell"/></{shape}></View>"""
    editor = open_image(config)
    editor.choose_smart_tool("Cell")
    click_disc(editor)
    editor.accept_suggestions()
    found = [r for r in editor.results() if r["type"] == shape.lower()]
    assert len(found) == 1
    assert not editor.errors


def test_a_label_that_has_no_place_is_told_in_the_details_of_the_click(open_image):
    editor = open_image("""<View><Image name="image" value="$image"/>
      <KeyPointLabels name="click" toName="image" smart="true">
      <Label value="Cell"/><Label value="Other"/></KeyPointLabels>
      <BrushLabels name="mask" toName="image"><Label value="Cell"/></BrushLabels></View>""")
    editor.choose_smart_tool("Other")
    click_disc(editor)
    editor.accept_suggestions()
    editor.page.locator(".lsf-outliner-item").get_by_text("Other").first.click()
    editor.page.get_by_text("The label 'Other' is not in BrushLabels").first.wait_for()
    assert [r["type"] for r in editor.results()] == ["keypointlabels"]


@pytest.fixture
def stack(api, backend, label_studio, tmp_path) -> tuple[int, int]:
    folder = label_studio.media / tmp_path.name
    with open_frames(np.stack(movies.discs(PAGES)), axes="TYX") as frames:
        url = local_files_url(folder, label_studio.media)
        for _ in write_stack(frames, folder, url=url, labels=["Cell"]):
            pass
    project = projects.create_project(api, "stack", projects.stack_config(["Cell"]))
    projects.serve_folder(api, project, folder)
    projects.upload(api, project, folder / "tasks.json")
    projects.connect(api, project, backend.url)
    (task,) = projects.tasks(api, project)
    return project, int(task["id"])


def test_one_click_on_a_page_gives_masks_on_all_pages(browser, stack):
    editor = browser.open_task(*stack)
    editor.wait_for_image()
    editor.annotate_automatically()
    editor.show_page(3)
    editor.choose_smart_tool("Cell")
    cx, cy = movies.disc_at(3)
    editor.click_image((cx + 0.5) / movies.WIDTH, (cy + 0.5) / movies.HEIGHT)
    assert editor.suggestions() == PAGES
    editor.accept_suggestions()
    masks = {r["item_index"]: r for r in editor.results() if r["type"] == "brushlabels"}
    assert sorted(masks) == list(range(PAGES))
    for page, result in masks.items():
        assert iou(painted(result), disc(page)) > 0.85
    assert len({r["meta"]["sam2"]["track"] for r in masks.values()}) == 1
    assert not editor.errors
    editor.close()
