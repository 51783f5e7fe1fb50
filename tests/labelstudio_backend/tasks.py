"""Requests as Label Studio sends them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.formats.video_rectangle import keyframe_dict
from tests.labelstudio_backend.conftest import FRAMES, HEIGHT, WIDTH

VIDEO = projects.video_config(["Cell", "Other"], 25)
IMAGE = projects.image_config(["Cell", "Other"])
STACK = projects.stack_config(["Cell", "Other"])


def video_task(files: Path, **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"video": str(files / "discs.mp4")}, **more}


def image_task(files: Path, page: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": 2, "data": {"image": str(files / f"page{page}.png")}, **more}


def stack_task(files: Path, **more: Any) -> dict[str, Any]:
    pages = [str(files / f"page{page}.png") for page in range(FRAMES)]
    return {"id": 3, "data": {"frames": pages}, **more}


def percent(labels: np.ndarray, label: int) -> tuple[float, float, float, float]:
    """Return x, y, width, height of an object."""
    ys, xs = np.nonzero(labels == label)
    width, height = np.ptp(xs) + 1, np.ptp(ys) + 1
    return (
        float(xs.min() * 100 / WIDTH),
        float(ys.min() * 100 / HEIGHT),
        float(width * 100 / WIDTH),
        float(height * 100 / HEIGHT),
    )


def video_box(
    labels: np.ndarray, label: int, frame: int = 0, region: str = "a", name: str = "Cell"
) -> dict[str, Any]:
    keyframe = keyframe_dict(frame + 1, percent(labels[frame], label), True, 25)
    value = {"framesCount": FRAMES, "duration": FRAMES / 25, "labels": [name]}
    about = {"id": region, "from_name": "box", "to_name": "video", "type": "videorectangle"}
    return {**about, "value": {**value, "sequence": [keyframe]}}


def click(x: float, y: float, positive: bool = True, page: int | None = None) -> dict[str, Any]:
    value = {"x": (x + 0.5) * 100 / WIDTH, "y": (y + 0.5) * 100 / HEIGHT, "width": 0.3}
    result = {
        "id": f"click-{x}-{y}",
        "from_name": "click",
        "to_name": "image",
        "type": "keypointlabels",
        "is_positive": positive,
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "value": {**value, "keypointlabels": ["Cell"], "labels": ["Cell"]},
    }
    return result if page is None else {**result, "item_index": page}


def area(labels: np.ndarray, label: int, name: str = "Cell") -> dict[str, Any]:
    x, y, width, height = percent(labels, label)
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
    about = {"id": f"area{label}", "from_name": "area", "to_name": "image"}
    return {**about, "type": "rectanglelabels", "value": {**value, "rectanglelabels": [name]}}


def annotated(task: dict[str, Any], *results: dict[str, Any]) -> dict[str, Any]:
    return {**task, "annotations": [{"id": 1, "updated_at": "2026", "result": list(results)}]}
