"""Masks on images and stacks of frames: what a person clicked, drew or painted, and the answer."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import NEGATIVE, POSITIVE, Prompt
from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo
from sam2_plugins.labelstudio_backend.formats import bitmask, brush, geometry
from sam2_plugins.labelstudio_backend.formats.geometry import Box, FrameSize
from sam2_plugins.labelstudio_backend.label_config import Control, LabelConfig, Media

NOTE = "sam2"
POLYGON_TOLERANCE = 0.7
"""Pixels by which a polygon may leave the mask: fewer points, and easier to correct by hand."""


@dataclass(frozen=True)
class Said:
    """One region that a person made, in pixels.

    Attributes
    ----------
    page
        Of a stack, from 0 on.
    label, track
        Its label; the object that it belongs to, if that is known.
    turned
        Degrees by which the person had turned the picture. Places are those of the picture as it
        is, whatever that was (seen in Label Studio 1.23's editor).
    """

    page: int
    label: str | None
    track: str | None = None
    click: tuple[float, float] | None = None
    positive: bool = True
    box: Box | None = None
    mask: ObjectMask | None = None
    turned: int = 0


@dataclass
class Target:
    """One object that is to be segmented: everything that was said of it."""

    id: str
    label: str | None
    said: list[Said] = field(default_factory=list)

    @property
    def turned(self) -> int:
        """Degrees by which the picture was turned at last."""
        return self.said[-1].turned if self.said else 0

    def prompts(self) -> list[Prompt]:
        """Return the prompts, page by page: painted masks first, which clicks then refine."""
        prompts = []
        for page in sorted({one.page for one in self.said}):
            here = [one for one in self.said if one.page == page]
            masks = [one.mask.to_array() for one in here if one.mask is not None]
            if masks:
                prompts.append(Prompt.of(page, self.id, mask=np.logical_or.reduce(masks)))
            clicks = [(one.click, one.positive) for one in here if one.click is not None]
            boxes = [one.box for one in here if one.box is not None]
            if clicks or boxes:
                xy = [click for click, _ in clicks] or None
                labels = [POSITIVE if good else NEGATIVE for _, good in clicks] or None
                box = boxes[-1] if boxes else None
                prompts.append(Prompt.of(page, self.id, xy, labels, box))
        return prompts


def read_said(
    results: Iterable[Mapping[str, Any]], media: Media, config: LabelConfig, size: FrameSize
) -> list[Said]:
    """Return what a person said of a picture; masks that this backend made are left out.

    Raises
    ------
    FormatError
        If a region is damaged.
    """
    controls = {control.name: control for control in config.controls_of(media)}
    found = []
    for result in results:
        control = controls.get(str(result.get("from_name")))
        if control is not None and not is_ours(result):
            found.append(_read(result, control, size))
    return found


def targets(said: Sequence[Said], interactive: bool) -> list[Target]:
    """Sort what was said by objects.

    While a person clicks, all of a label is about one object, unless there are several boxes on a
    page: then each is an object, with the clicks inside it. In a saved annotation, every box,
    every click and every mask is an object.

    Raises
    ------
    NothingToDo
        If nothing says where an object is.
    """
    hints = [one for one in said if one.positive]
    if not hints:
        raise NothingToDo("There is no click, box or mask on an object: add one first.")
    anchors = [one for one in hints if one.box is not None or (one.mask and not interactive)]
    pages = [one.page for one in anchors]
    if interactive and len(pages) == len(set(pages)):
        return [Target(_name_of(hints[0]), hints[0].label, list(said))]
    found: dict[str, Target] = {}
    for anchor in anchors:
        name = anchor.track or _name_of(anchor)
        found.setdefault(name, Target(name, anchor.label)).said.append(anchor)
    boxed = list(found.values())
    for click in (one for one in said if one.click is not None):
        around = [target for target in boxed if _contains(target, click)]
        for target in around:
            target.said.append(click)
        if not around and click.positive:
            alone = Target(_name_of(click), click.label, [click])
            found[alone.id] = alone
    return list(found.values())


def write_mask(
    mask: ObjectMask,
    control: Control,
    target: Target,
    page: int | None,
) -> dict[str, Any] | None:
    """Return a mask as a result for a control; None if the object is not there.

    Parameters
    ----------
    page
        Of a stack; None for a single image.
    """
    if not mask.visible:
        return None
    height, width = mask.frame_size
    value = _value(mask, control)
    if target.label is not None:
        value[control.type if control.labels else "labels"] = [target.label]
    result: dict[str, Any] = {
        "id": _new_id() if page is not None else target.id,
        "from_name": control.name,
        "to_name": control.to_name,
        "type": control.type,
        "origin": "prediction",
        "original_width": width,
        "original_height": height,
        "image_rotation": target.turned,
        "value": value,
        "score": round(float(mask.iou), 4) if mask.iou == mask.iou else None,
    }
    if page is not None:
        result["item_index"] = page
        result["meta"] = {NOTE: {"track": target.id, "page": page, "made": _digest(value)}}
    return result


def is_ours(result: Mapping[str, Any]) -> bool:
    """Whether this backend made a region of a stack and no one has touched it since."""
    note = _note(result)
    value = result.get("value")
    return isinstance(value, Mapping) and note.get("made") == _digest(value)


def track_of(result: Mapping[str, Any]) -> str | None:
    """Return the object of a region of a stack, if this backend made the region."""
    track = _note(result).get("track")
    return track if isinstance(track, str) else None


def _read(result: Mapping[str, Any], control: Control, size: FrameSize) -> Said:
    value = result.get("value")
    if not isinstance(value, Mapping):
        raise FormatError("A region has no value.")
    page = result.get("item_index") or 0
    if not isinstance(page, int) or page < 0:
        raise FormatError(f"A region's item_index is {page!r} instead of a page.")
    labels = value.get(control.type) or value.get("labels") or [None]
    label = labels[0] if isinstance(labels, list) else None
    about: dict[str, Any] = {
        "page": page,
        "label": None if label is None else str(label),
        "track": track_of(result),
        "turned": _turn(result),
    }
    if control.shape == "keypoint":
        positive = result.get("is_positive", value.get("positive", True)) is not False
        return Said(**about, click=geometry.point(value, size), positive=positive)
    if control.shape == "rectangle":
        return Said(**about, box=geometry.to_pixels(value, size))
    return Said(**about, mask=_read_mask(value, control, size))


def _turn(result: Mapping[str, Any]) -> int:
    if result.get("image_rotation") is None:
        return 0
    return round(geometry.number(result, "image_rotation")) % 360


def _read_mask(value: Mapping[str, Any], control: Control, size: FrameSize) -> ObjectMask:
    if control.shape == "polygon":
        return geometry.mask_of_polygon(value.get("points"), size)
    if control.shape == "bitmask":
        return ObjectMask.from_array(bitmask.decode(str(value.get("imageDataURL", "")), *size))
    return ObjectMask.from_array(brush.decode(value.get("rle") or [], *size))


def _value(mask: ObjectMask, control: Control) -> dict[str, Any]:
    if control.shape == "brush":
        return {"format": "rle", "rle": brush.encode(mask.to_array())}
    if control.shape == "bitmask":
        return {"imageDataURL": bitmask.encode(mask.to_array())}
    if control.shape == "polygon":
        return {"points": geometry.polygon(mask, POLYGON_TOLERANCE), "closed": True}
    return geometry.to_percent(mask.box or (0, 0, 0, 0), mask.frame_size)


def _contains(target: Target, click: Said) -> bool:
    boxes = [one.box for one in target.said if one.box is not None and one.page == click.page]
    x, y = click.click or (0.0, 0.0)
    return any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes)


def _note(result: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = result.get("meta")
    note = meta.get(NOTE) if isinstance(meta, Mapping) else None
    return note if isinstance(note, Mapping) else {}


def _digest(value: Mapping[str, Any]) -> str:
    """Return what tells a region's drawn part from an edited one."""
    drawn = {key: value.get(key) for key in ("rle", "imageDataURL", "points", "x", "y", "width")}
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:16]


def _name_of(said: Said) -> str:
    """Name an object by what was said of it first: who asks again gets the same name."""
    mask = said.mask.to_rle() if said.mask is not None else None
    said_first = repr((said.page, said.label, said.click, said.box, mask))
    return hashlib.sha256(said_first.encode()).hexdigest()[:10]


def _new_id() -> str:
    return uuid.uuid4().hex[:10]
