"""Setting a project up through the API: labelling config, files, tasks, backend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.errors import ServerError
from sam2_plugins.labelstudio_backend.label_config import TRACK_CONTROL

TRACK_LABEL, TRACK_KEY = "Track", "t"
VIDEO_GUIDE = (
    "Switch Auto-Annotation on, below. Choose a label, draw a box, click it, press Track (t). "
    "Where the track is wrong, move the box and press Track again."
)
COLOURS = ("#ff5470", "#1e88e5", "#ffb300", "#43a047", "#8e24aa")


def video_config(labels: Sequence[str], rate: float | str = 24) -> str:
    """Return a labelling config for boxes on video."""
    return f"""<View>
  <Header size="6" value="{VIDEO_GUIDE}"/>
  <View style="display: flex; flex-wrap: wrap; gap: 0 2em">
    <Labels name="label" toName="video">{_labels(labels)}</Labels>
    {track_button("video")}
  </View>
  <Video name="video" value="$video" framerate="{rate}"/>
  <VideoRectangle name="box" toName="video" smart="true"/>
</View>"""


def track_button(video: str) -> str:
    """Return the tag of the button that has the selected boxes of a video tracked.

    Label Studio's editor calls a backend when the label of a selected box changes, and at no other
    time: not when a box is drawn or moved. The label of this control changes with every press; its
    name stands in no annotation, for the editor keeps only the first label of a box.
    """
    return (
        f'<Labels name="{TRACK_CONTROL}" toName={quoteattr(video)}>'
        f'<Label value="{TRACK_LABEL}" hotkey="{TRACK_KEY}" background="#333333"/></Labels>'
    )


def stack_config(labels: Sequence[str]) -> str:
    """Return a labelling config for masks on a stack of frames."""
    return _image_config(labels, 'valueList="$frames"')


def image_config(labels: Sequence[str]) -> str:
    """Return a labelling config for masks on single images."""
    return _image_config(labels, 'value="$image"')


def create_project(server: LabelStudio, title: str, config: str) -> int:
    """Make a project, and return its id."""
    made = server.request("POST", "/api/projects/", {"title": title, "label_config": config})
    return int(made["id"])


def upload(server: LabelStudio, project: int, path: Path) -> None:
    """Upload a file: a video or image becomes a task, a JSON file many."""
    with path.open("rb") as file:
        server.request("POST", f"/api/projects/{project}/import", files={"file": (path.name, file)})


def import_tasks(server: LabelStudio, project: int, tasks: Sequence[dict[str, Any]]) -> None:
    """Add tasks to a project."""
    server.request("POST", f"/api/projects/{project}/import", list(tasks))


def tasks(server: LabelStudio, project: int) -> list[dict[str, Any]]:
    """Return the tasks of a project, oldest first."""
    answer = server.request("GET", f"/api/tasks/?project={project}&fields=all&page_size=1000")
    return sorted(answer["tasks"], key=lambda task: int(task["id"]))


def serve_folder(server: LabelStudio, project: int, folder: Path) -> None:
    """Let a project show files of a folder below Label Studio's document root."""
    storage = {"project": project, "path": str(folder), "use_blob_urls": True, "title": folder.name}
    server.request("POST", "/api/storages/localfiles/", storage)


def connect(server: LabelStudio, project: int, url: str) -> int:
    """Connect a backend to a project for suggestions while annotating, and return its id.

    Raises
    ------
    ServerError
        If Label Studio does not reach it.
    """
    backend = {"project": project, "url": url, "title": "SAM 2", "is_interactive": True}
    made = server.request("POST", "/api/ml/", backend)
    if made.get("state") != "CO":
        raise ServerError(
            f"Label Studio does not reach the backend at {url}: {json.dumps(made)[:300]}"
        )
    return int(made["id"])


def _image_config(labels: Sequence[str], source: str) -> str:
    found, smart = _labels(labels), 'toName="image" smart="true" smartOnly="true"'
    return f"""<View>
  <Image name="image" {source} zoom="true"/>
  <View style="display: grid; grid-template-columns: 9em auto; align-items: center">
    <Header size="5" value="SAM 2: click"/>
    <KeyPointLabels name="click" {smart}>{found}</KeyPointLabels>
    <Header size="5" value="SAM 2: box"/>
    <RectangleLabels name="area" {smart}>{found}</RectangleLabels>
    <Header size="5" value="Paint"/>
    <BrushLabels name="mask" toName="image">{found}</BrushLabels>
  </View>
</View>"""


def _labels(labels: Sequence[str]) -> str:
    return "".join(
        f"<Label value={quoteattr(label)} background={quoteattr(COLOURS[i % len(COLOURS)])}/>"
        for i, label in enumerate(labels)
    )
