"""The Label Studio backend gives the masks of the core: boxes on a video, clicks on an image."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.export import read_export
from sam2_plugins.labelstudio_backend.formats import brush
from sam2_plugins.labelstudio_backend.formats.video_rectangle import keyframe_dict
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.labelstudio_backend import tasks
from tests.support import agreement
from tests.support.agreement import BOXES, FRAMES, HEIGHT, WIDTH, assert_alike

NAMES = {1: "a", 2: "b"}


def region(obj: int) -> dict[str, Any]:
    sequence = []
    for prompt in BOXES.prompts:
        if prompt.obj == obj and prompt.box:
            x0, y0, x1, y1 = prompt.box
            box = (100 * x0 / WIDTH, 100 * y0 / HEIGHT)
            size = (100 * (x1 - x0) / WIDTH, 100 * (y1 - y0) / HEIGHT)
            sequence.append(keyframe_dict(prompt.frame + 1, (*box, *size), True, agreement.RATE))
    value = {"framesCount": FRAMES, "duration": FRAMES / agreement.RATE, "labels": ["Cell"]}
    about = {"id": NAMES[obj], "from_name": "box", "to_name": "video", "type": "videorectangle"}
    return {**about, "value": {**value, "sequence": sequence}}


def backend(folder: Path) -> Engine:
    return Engine(
        dataclasses.replace(
            Settings(cache=str(folder / "cache"), roots=(str(folder),)),
            model="nano",
            device="cpu",
            masks="all",
        )
    )


def test_boxes_on_a_video_agree_with_the_core(tmp_path: Path) -> None:
    movie = agreement.write_movie(tmp_path / "cells.mp4")
    engine, task = backend(tmp_path), {"id": 1, "data": {"video": str(movie)}}
    (answer,) = engine.predict([task], tasks.VIDEO, {"result": [region(1), region(2)]})
    engine.close()
    export = tmp_path / "export.json"
    export.write_text(json.dumps([tasks.annotated(task, *answer["result"])]))
    (read,) = read_export(export)
    found = {
        (obj, frame): mask
        for obj, name in NAMES.items()
        for frame, mask in read.masks.of_object(name).items()
    }
    assert_alike(found, agreement.core_masks(movie, BOXES), empty=False)


def test_clicks_on_an_image_agree_with_the_core(tmp_path: Path) -> None:
    with open_frames(agreement.write_movie(tmp_path / "cells.mp4")) as frames:
        pixels = frames[0].image
    Image.fromarray(pixels).save(tmp_path / "cells.png")
    engine, clicks = backend(tmp_path), [(72, 76, True), (200, 60, False)]
    results = [
        {
            **tasks.click(0, 0, on),
            "id": f"click{x}",
            "original_width": WIDTH,
            "original_height": HEIGHT,
            "value": {
                "x": 100 * (x + 0.5) / WIDTH,
                "y": 100 * (y + 0.5) / HEIGHT,
                "width": 0.3,
                "keypointlabels": ["Cell"],
                "labels": ["Cell"],
            },
        }
        for x, y, on in clicks
    ]
    task = {"id": 2, "data": {"image": str(tmp_path / "cells.png")}}
    (answer,) = engine.predict([task], tasks.IMAGE, {"result": results})
    engine.close()
    (mask,) = (r["value"]["rle"] for r in answer["result"] if "rle" in r.get("value", {}))
    segmenter = ImageSegmenter(cached_model("nano", "cpu"))
    segmenter.set_image(pixels)
    wanted = segmenter.predict(
        points=[(x, y) for x, y, _ in clicks], labels=[int(on) for *_, on in clicks]
    )[0]
    assert np.array_equal(brush.decode(mask, HEIGHT, WIDTH), wanted.to_array())
