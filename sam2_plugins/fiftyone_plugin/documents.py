"""FiftyOne's label documents: as plain mappings, and made of masks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from bson import ObjectId as BsonId
from PIL import Image

from sam2_plugins.core import files
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin.labels import detection_mask, detection_values
from sam2_plugins.fiftyone_plugin.marks import MARK, Mark
from sam2_plugins.fiftyone_plugin.objects import TrackedLabel

PROMPT_TYPES = {
    fo.Detections: "detections",
    fo.Keypoints: "keypoints",
    fo.Polylines: "polylines",
    fo.Detection: None,
    fo.Keypoint: None,
    fo.Polyline: None,
    fo.Segmentation: None,
}
"""Label types that are prompts; for lists, the name of the list."""


def single_labels(value: Any) -> Iterator[Any]:
    """Yield the labels that a field's value holds; nothing for None."""
    if value is None:
        return
    name = PROMPT_TYPES.get(type(value))
    yield from [value] if name is None else value[name]


def plain(label: Any) -> dict[str, Any]:
    """Return a label as a mapping: `_cls`, its fields, `instance` as text, `mask` as an array."""
    values = {name: label[name] for name in label.field_names}
    values["_cls"] = type(label).__name__
    instance = values.get("instance")
    values["instance"] = None if instance is None else str(instance.id)
    if hasattr(label, "get_mask"):
        values["mask"] = label.get_mask()  # in the database, or on the disk
    return values


def current_mark(label: Any, frame_size: tuple[int, int]) -> tuple[Mark, ObjectMask] | None:
    """Return the mark and the mask of a label that a machine made; None if it is a person's."""
    mark = Mark.parse(label[MARK]) if MARK in label.field_names else None
    if mark is None:
        return None
    values = plain(label)
    mask = (
        ObjectMask.empty(frame_size)
        if values["_cls"] == "Classification"
        else detection_mask(values, frame_size)
    )
    if mask is None or Mark.of(mark.cause, mask) != mark:
        return None
    iou, score = (values.get(name) for name in ("confidence", "score"))
    if values["_cls"] == "Classification":
        iou = None  # there, it is how sure the model is that the object is away
    said = [math.nan if value is None else float(value) for value in (iou, score)]
    return mark, ObjectMask(mask.crop, mask.offset, frame_size, *said)


def make_detection(
    who: TrackedLabel, mask: ObjectMask, cause: str, keyframe: bool, mask_path: Path | None = None
) -> fo.Detection:
    """Make the label of an object that is seen on a frame.

    Parameters
    ----------
    mask_path
        Where to keep the mask as a PNG of 0 and 255; in the database if None.
    """
    values = detection_values(mask)
    if mask_path is not None:
        with files.replacing(mask_path) as temporary:
            Image.fromarray(values.pop("mask").astype(np.uint8) * 255).save(temporary)
        values["mask_path"] = str(mask_path)
    return fo.Detection(
        **values,
        **_identity(who),
        keyframe=keyframe,
        confidence=_known(mask.iou),
        score=_known(mask.score),
        **{MARK: str(Mark.of(cause, mask))},
    )


def make_lost(who: TrackedLabel, mask: ObjectMask, cause: str) -> fo.Classification:
    """Make the label that says that an object was looked for on a frame and is not there.

    Its confidence is how sure the model is of that.
    """
    there = _known(mask.score)
    return fo.Classification(
        **_identity(who),
        confidence=None if there is None else 1 / (1 + math.exp(min(there, 50))),
        score=there,
        **{MARK: str(Mark.of(cause, mask))},
    )


def _identity(who: TrackedLabel) -> dict[str, Any]:
    instance = fo.Instance(id=str(BsonId(who.instance)))
    return {"label": who.label, "index": who.index, "instance": instance}


def _known(value: float) -> float | None:
    """A document has no nan: what no model said is None."""
    return None if math.isnan(value) else float(value)
