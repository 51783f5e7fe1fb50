"""FiftyOne's label documents: read as plain mappings, and made from masks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import fiftyone as fo
import numpy as np
from bson import ObjectId as BsonId
from PIL import Image

from sam2_plugins.core import files
from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.doubt import Doubt
from sam2_plugins.fiftyone_plugin.exports import evaluation_names, mend_writers
from sam2_plugins.fiftyone_plugin.labels import detection_mask, detection_values
from sam2_plugins.fiftyone_plugin.marks import DOUBT, DOUBT_REASONS, MARK, Mark, name_digest
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

SCORE = "object_score"
"""Attribute with the logit of the object being there."""

PARENT, EVENT, EVENT_REASON = "parent", "event", "event_reason"
"""Attributes with the index of a daughter's mother, and of the frame on which an object was born
or ended, or on which daughters are seen first, with what it is and why."""

ATTRIBUTES: dict[str, Any] = {
    **{DOUBT: 0.5, DOUBT_REASONS: "", SCORE: 0.5, MARK: "", "keyframe": True},
    "instance": fo.Instance(),
}
OF_LINEAGE = {PARENT: 1, EVENT: "", EVENT_REASON: ""}
OF_LOST = {"index": 1, "instance": fo.Instance(), SCORE: 0.5, MARK: ""}
"""What machine-made labels get, with a value of the type of each: masks, those of a run for all
objects besides, and labels of what was not found."""

OUTDATED = "outdated"
"""Tag of machine-made labels that follow from earlier prompts or settings."""

_JUDGED = {"confidence", "score", SCORE, MARK, DOUBT, DOUBT_REASONS}
"""Attributes that are added to machine-made masks."""

_OWN = {"id", "tags", "attributes", "label", "index", "instance", "mask", "mask_path", "logits"}
_OWN |= {"bounding_box", "keyframe", *_JUDGED}
"""Attributes of every machine-made label."""

_ENOUGH_OVERLAP = 0.5
"""IoU from which on a new mask shows what an earlier one showed."""

Given: TypeAlias = "tuple[ObjectMask, dict[str, Any]]"
"""A machine-made mask, with what people gave to its label."""


mend_writers()


def labels_of(value: Any) -> list[Any]:
    """Return the labels that a field's value holds, or those of what was not found."""
    if value is None:
        return []
    name = {**PROMPT_TYPES, fo.Classifications: "classifications"}.get(type(value))
    return [value] if name is None else list(value[name])


def plain(label: Any) -> dict[str, Any]:
    """Return a label as a mapping: `_cls`, its fields, `instance` as text, `mask` as an array."""
    values = {name: label[name] for name in label.field_names}
    values["_cls"] = type(label).__name__
    values["instance"] = instance_of(label)
    if hasattr(label, "get_mask"):
        path = label["mask_path"]
        if path and not Path(path).exists():
            raise PromptError(f"its mask {path} is not there. Put the file back, or draw it again.")
        values["mask"] = label.get_mask()  # in the database, or on the disk
    return values


@dataclass(frozen=True)
class MadeLabel:
    """A machine-made label that nobody corrected.

    Attributes
    ----------
    mask
        None if it cannot be read any more, or is of a movie of another size: it is as good as
        outdated.
    """

    mark: Mark
    mask: ObjectMask | None
    instance: str | None
    label: str | None
    index: int | None


def read_made(label: Any, frame_size: tuple[int, int]) -> MadeLabel | None:
    """Read a label that a machine made; None if it is a person's."""
    mark = Mark.parse(label[MARK]) if MARK in label.field_names else None
    if mark is None:
        return None
    try:
        values = plain(label)
        away = values["_cls"] == "Classification"
        mask = ObjectMask.empty(frame_size) if away else detection_mask(values, frame_size)
    except Exception:  # the mask's file is missing or no image; readers raise many kinds of errors
        return MadeLabel(mark, None, *_names(label))
    if mask is None:
        return None
    if not mark.shows(mask):
        is_of_other_size = not away and _was_made_elsewhere(values, mark, mask)
        return MadeLabel(mark, None, *_names(label)) if is_of_other_size else None
    iou = None if away else values.get("confidence")  # there, how sure the object is away
    known = [math.nan if value is None else float(value) for value in (iou, object_score(values))]
    return MadeLabel(mark, ObjectMask(mask.crop, mask.offset, frame_size, *known), *_names(label))


def _was_made_elsewhere(values: Mapping[str, Any], mark: Mark, mask: ObjectMask) -> bool:
    """Whether a mask is as it was made, but for a movie of another size under the same name.

    What the pixels of a mask are of its box tells the size. A box that a person has drawn wider
    is not taken for this: the place of a mask in the other frame has to be another, and fit.
    """
    (rows, columns), (*_, width, height) = np.shape(values["mask"]), values["bounding_box"]
    if min(width, height) <= 0:
        return False
    before = detection_mask(values, (round(rows / height), round(columns / width)))
    return before is not None and before.offset != mask.offset and mark.shows(before)


def object_score(values: Mapping[str, Any]) -> float | None:
    """Return the object score of a label; version 0.1.0 called it `score`, as COCO calls others."""
    return values.get(SCORE, values.get("score"))


def make_detection(
    who: TrackedLabel,
    mask: ObjectMask,
    cause: str,
    keyframe: bool,
    mask_path: Path | None = None,
    doubt: Doubt | None = None,
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
    if doubt is not None:
        values |= {DOUBT: doubt.value, DOUBT_REASONS: ", ".join(doubt.reasons) or None}
    return fo.Detection(
        **values,
        **_identity(who),
        keyframe=keyframe,
        confidence=without_nan(mask.iou),
        **{SCORE: without_nan(mask.score), MARK: str(Mark.of(cause, mask, who.label))},
    )


def make_lost(who: TrackedLabel, mask: ObjectMask, cause: str) -> fo.Classification:
    """Make the label of an object that was tracked to a frame and is not there.

    Its confidence is how sure the model is of that.
    """
    there = without_nan(mask.score)
    return fo.Classification(
        **_identity(who),
        confidence=None if there is None else 1 / (1 + math.exp(min(there, 50))),
        **{SCORE: there, MARK: str(Mark.of(cause, mask, who.label))},
    )


def given_by_people(label: Any) -> dict[str, Any]:
    """Return what people gave to a machine-made label beside its index: tags, class, attributes."""
    mark = Mark.parse(label[MARK])
    names = {*label.field_names} - _OWN - evaluation_names(label.field_names)
    given = {name: label[name] for name in names if label[name] is not None}
    if tags := [tag for tag in label.tags if tag != OUTDATED]:
        given["tags"] = tags
    if isinstance(label, fo.Detection) and label.attributes:  # of an earlier FiftyOne
        given["attributes"] = label.attributes
    if mark is not None and mark.named_by_person(label.label):
        given["label"] = label.label
    return given


def keep_additions(fresh: Any, before: Any) -> None:
    """Copy what people gave to a label that is replaced: tags, attributes, class and index.

    An index of the machine's is that of the new label, see `rename`.
    """
    for name, value in given_by_people(before).items():
        if name != "attributes" or isinstance(fresh, fo.Detection):
            fresh[name] = value
    index = value_of(before, "index")
    fresh["index"] = fresh["index"] if index is None else index


def inherit(fresh: Any, mask: ObjectMask, others: Iterable[Given]) -> None:
    """Copy what people gave to labels of earlier runs that show the same, by their overlap."""
    for other, given in others:
        if mask.visible and mask.iou_with(other) >= _ENOUGH_OVERLAP:
            for name in given.keys() - OF_LINEAGE.keys():
                fresh[name] = given[name]


def rename(label: Any, who: TrackedLabel, index: int | None) -> bool:
    """Give a machine-made label the names of its object; return whether anything changed.

    A class or an index that a person gave this label stays.

    Parameters
    ----------
    index
        Of its track: a label with another one has it from a person.
    """
    mark = Mark.parse(label[MARK])
    wanted: dict[str, Any] = {}
    if value_of(label, "index") in (index, None):
        wanted["index"] = who.index
    if mark is not None and not mark.named_by_person(label.label):
        wanted |= {"label": who.label, MARK: str(replace(mark, name=name_digest(who.label)))}
    changed = {name: value for name, value in wanted.items() if value_of(label, name) != value}
    if instance_of(label) != who.instance:
        changed["instance"] = fo.Instance(id=who.instance)
    for name, value in changed.items():
        label[name] = value
    return bool(changed)


def confirm(label: Any) -> bool:
    """Turn a corrected label into a person's: a keyframe without the model's scores.

    Return whether anything changed.
    """
    if value_of(label, MARK) is None:
        return False
    for name in _JUDGED & {*label.field_names}:
        label[name] = None
    if isinstance(label, fo.Detection):
        label["keyframe"] = True
    return True


def set_outdated(label: Any, outdated: bool) -> bool:
    """Tag a label, or take the tag away; return whether anything changed."""
    if (OUTDATED in label.tags) == outdated:
        return False
    rest = [tag for tag in label.tags if tag != OUTDATED]
    label.tags = [*rest, OUTDATED] if outdated else rest
    return True


def instance_of(label: Any) -> str | None:
    """Return the id of a label's instance; one is made of what another tool wrote there."""
    instance = value_of(label, "instance")
    if instance is None:
        return None
    text = str(getattr(instance, "id", instance))
    return text if BsonId.is_valid(text) else files.digest_of(text, 24)


def value_of(label: Any, name: str) -> Any:
    """Return an attribute of a label; None if it has none of that name."""
    return label[name] if name in label.field_names else None


def _names(label: Any) -> tuple[str | None, str | None, int | None]:
    return instance_of(label), label.label, value_of(label, "index")


def _identity(who: TrackedLabel) -> dict[str, Any]:
    instance = fo.Instance(id=str(BsonId(who.instance)))
    return {"label": who.label, "index": who.index, "instance": instance}


def without_nan(value: float) -> float | None:
    """Documents have no nan: values that no model estimated are None."""
    return None if math.isnan(value) else float(value)
