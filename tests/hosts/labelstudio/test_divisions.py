"""Divisions that the backend finds, as relations in the real editor."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.export import read_export
from sam2_plugins.labelstudio_backend.local_server import LocalServer
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.hosts.labelstudio import movies
from tests.hosts.labelstudio.editor import Editor
from tests.hosts.labelstudio.test_video import wait_for
from tests.labelstudio_backend.web import Backend
from tests.support.movies import dividing

COUNT, AT = 10, 5


@pytest.fixture(scope="module")
def finding(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    cache = str(tmp_path_factory.mktemp("finding"))
    with Backend(dataclasses.replace(settings, everything="Cell", cache=cache)) as backend:
        yield backend


def prelabelled(server: LocalServer, backend: Backend, kind: str, folder: Path) -> tuple[int, int]:
    """Return a project and its task, for which everything is found."""
    images, api = dividing(COUNT, AT), server.api
    if kind == "video":
        path = movies.write_movie(folder / "d.mp4", images, movies.every(100, COUNT))
        project = projects.create_project(api, "divisions", projects.video_config(["Cell"], 10))
        projects.upload(api, project, path)
    else:
        media = server.media / "dividing"
        media.mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(media / f"{number}.png")
        project = projects.create_project(api, "divisions", projects.stack_config(["Cell"]))
        projects.serve_folder(api, project, media)
        pages = [f"/data/local-files/?d=dividing/{number}.png" for number in range(COUNT)]
        projects.import_tasks(api, project, [{"data": {"frames": pages}}])
    (task,) = (int(task["id"]) for task in projects.tasks(api, project))
    projects.connect(api, project, backend.url)
    chosen = {"selectedItems": {"all": True, "excluded": []}}
    action = f"/api/dm/actions/?id=retrieve_tasks_predictions&project={project}"
    api.request("POST", action, chosen, timeout=150)
    predictions = f"/api/predictions/?task={task}"
    wait_for(lambda: any(one["result"] for one in api.request("GET", predictions)))
    return project, task


def relations_shown(editor: Editor) -> list[dict[str, str]]:
    """What the editor lists under *Relations*."""
    return editor.page.evaluate(
        """Htx.annotationStore.selected.relationStore.relations.map(one => ({
             mother: one.node1.cleanId, daughter: one.node2.cleanId, direction: one.direction}))"""
    )


@pytest.mark.parametrize("kind", ["video", "stack"])
def test_a_division_is_a_relation_in_the_editor_and_in_what_is_submitted(
    label_studio, finding, browser, tmp_path, kind
):
    project, task = prelabelled(label_studio, finding, kind, tmp_path)
    editor = browser.open_task(project, task)
    (editor.wait_for_video if kind == "video" else editor.wait_for_image)()
    shown = relations_shown(editor)
    assert [one["direction"] for one in shown] == ["right", "right"]
    assert len({one["mother"] for one in shown}) == 1
    assert len({one["daughter"] for one in shown}) == 2
    editor.page.get_by_text("Relations", exact=True).first.click()
    editor.page.get_by_text("Relations (2)").first.wait_for()
    assert not editor.errors
    editor.page.get_by_role("button", name="Submit").first.click()
    path = f"/api/tasks/{task}/"
    wait_for(lambda: label_studio.api.request("GET", path)["annotations"])
    editor.close()
    export = tmp_path / "export.json"
    export.write_text(json.dumps([label_studio.api.request("GET", path)]))
    (read,) = read_export(export)
    (mother,) = set(read.parents.values())
    assert len(read.parents) == 2
    begins = [read.masks.frames_of(one)[0] for one in read.parents]
    assert read.masks.frames_of(mother)[-1] < min(begins)
