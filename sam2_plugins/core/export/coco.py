"""COCO annotations of a movie: an image per frame, a run-length encoded mask per object.

The layout is plain COCO instances (https://cocodataset.org/#format-data), so every COCO reader
opens it, with what TAO and CocoVID add for movies: `videos`, and `video_id`, `frame_index` and
`track_id` where they apply. Ids count from 1; `frame_index` counts from 0. `iou` and `object_score`
are the model's predictions, and are left out where it made none. `tracks` gives each `track_id` the
caller's id of the object as its `name`, or what a person called it.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from sam2_plugins import __version__
from sam2_plugins.core.export.registry import UNPAIRED, Masks, Subject, export_format
from sam2_plugins.core.files import naming
from sam2_plugins.core.masks import ObjectId, ObjectMask


@export_format("coco", "coco.json", "COCO annotations (JSON)")
class CocoWriter:
    """Writes annotations as they come, into a .part file that closing completes and renames."""

    def __init__(self, path: Path, of: Subject) -> None:
        self.path = Path(path)
        self.frame_size = of.size
        self._part = self.path.with_name(f"{self.path.name}.part")
        self._numbering = of.numbering
        self._names = of.names
        self._name = Path(of.frames.name).name
        self._frames: list[tuple[int, float]] = []
        self._tracks: dict[int, ObjectId] = {}
        self._annotations = 0
        with naming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("w", encoding="utf-8", errors=UNPAIRED, newline="\n")
            self._file.write('{\n"annotations": [')

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Append the annotations of a frame; an object that is not in it has none."""
        self._frames.append((frame, time))
        with naming(self.path):
            for obj, mask in masks.items():
                if mask.visible:
                    self._append(frame, obj, mask)
            self._file.flush()

    def close(self) -> None:
        """Write what belongs to the movie as a whole."""
        if self._file.closed:
            return
        with naming(self.path):
            self._file.write("\n],\n")
            sections = (f'"{key}": {_json(value)}' for key, value in self._sections().items())
            self._file.write(",\n".join(sections) + "\n}\n")
            self._file.close()
            os.replace(self._part, self.path)

    def _append(self, frame: int, obj: ObjectId, mask: ObjectMask) -> None:
        assert mask.box is not None
        label = self._numbering.label(obj)
        self._tracks[label] = obj
        x0, y0, x1, y1 = mask.box
        predictions = {"iou": mask.iou, "object_score": mask.score}
        annotation = {
            "id": self._annotations + 1,
            "image_id": frame + 1,
            "video_id": 1,
            "track_id": label,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": mask.area,
            "segmentation": mask.to_rle(),
            **{key: round(x, 6) for key, x in predictions.items() if math.isfinite(x)},
        }
        self._file.write(("," if self._annotations else "") + "\n" + _json(annotation))
        self._annotations += 1

    def _sections(self) -> dict[str, Any]:
        height, width = self.frame_size
        size = {"width": width, "height": height}
        return {
            "images": [
                {
                    "id": frame + 1,
                    "video_id": 1,
                    "frame_index": frame,
                    "file_name": f"{self._name}/{frame:05d}",
                    "time": round(time, 6) if math.isfinite(time) else None,
                    **size,
                }
                for frame, time in self._frames
            ],
            "videos": [{"id": 1, "name": self._name, **size}],
            "tracks": [
                {"id": label, "video_id": 1, "category_id": 1, "name": self._names.get(obj, obj)}
                for label, obj in sorted(self._tracks.items())
            ],
            "categories": [{"id": 1, "name": "object"}],
            "info": {"description": self._name, "contributor": f"sam2_plugins {__version__}"},
        }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
