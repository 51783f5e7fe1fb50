"""Masks on images and stacks of frames: what a person clicked, drew or painted, and the answer."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sam2_plugins.core.files import digest_of
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import NEGATIVE, POSITIVE, Prompt
from sam2_plugins.core.tracking.query import unmet_sentence
from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo
from sam2_plugins.labelstudio_backend.formats import geometry
from sam2_plugins.labelstudio_backend.formats.area import mask_of, value_of
from sam2_plugins.labelstudio_backend.formats.geometry import Box, FrameSize
from sam2_plugins.labelstudio_backend.label_config import Control, Media
from sam2_plugins.labelstudio_backend.regions import (
    NOTE,
    id_of,
    note_of,
    region_of,
    set_by_person,
    tracks_of,
    with_note,
)
from sam2_plugins.labelstudio_backend.request import TaskRequest
from sam2_plugins.labelstudio_backend.tracking import BATCH, CLICK, Tracked
from sam2_plugins.labelstudio_backend.work import Answered, Filled, Results, Work

_DRAWN = (
    "rle", "imageDataURL", "points", "vertices", "closed",
    "x", "y", "width", "height", "radiusX", "radiusY", "rotation",
)  # fmt: skip


@dataclass(frozen=True)
class Hint:
    """One region that a person made, in pixels.

    Attributes
    ----------
    page
        Of a stack, from 0 on.
    labels, track
        Its labels; the object that it belongs to, if that is known.
    turned
        Degrees by which the person had turned the picture. Places are those of the picture as it
        is, whatever that was (seen in Label Studio 1.23's editor).
    kept
        What a person set by the region, which its answer keeps.
    """

    page: int
    labels: tuple[str, ...] = ()
    track: str | None = None
    region: str = ""
    clicks: tuple[tuple[float, float], ...] = ()
    positive: bool = True
    box: Box | None = None
    mask: ObjectMask | None = None
    turned: int = 0
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Target:
    """One object to segment, with all hints at it."""

    id: str
    labels: tuple[str, ...]
    hints: list[Hint] = field(default_factory=list)

    @property
    def turned(self) -> int:
        """Degrees by which the picture was turned at last."""
        return self.hints[-1].turned if self.hints else 0

    @property
    def regions(self) -> dict[str, int]:
        """The person's regions that it comes from, and the page of each."""
        return {hint.region: hint.page for hint in self.hints}

    def kept(self, page: int) -> dict[str, Any]:
        """Return what a person set by its regions of a page."""
        return {k: v for one in self.hints if one.page == page for k, v in one.kept.items()}

    def prompts(self) -> list[Prompt]:
        """Return the prompts, page by page: painted masks first, which clicks then refine."""
        prompts = []
        for page in sorted({one.page for one in self.hints}):
            here = [one for one in self.hints if one.page == page]
            masks = [one.mask.to_array() for one in here if one.mask is not None]
            if masks:
                prompts.append(Prompt.of(page, self.id, mask=np.logical_or.reduce(masks)))
            clicks = [(click, one.positive) for one in here for click in one.clicks]
            boxes = [one.box for one in here if one.box is not None]
            if clicks or boxes:
                xy = [click for click, _ in clicks] or None
                labels = [POSITIVE if good else NEGATIVE for _, good in clicks] or None
                box = boxes[-1] if boxes else None
                prompts.append(Prompt.of(page, self.id, xy, labels, box))
        return prompts


def fill(request: TaskRequest, media: Media, work: Work) -> Filled:
    """Return masks of what a person clicked, drew or painted on a picture."""
    movie, options = work.open(request, media), request.settings.tracking
    left: dict[str, str] = {}
    urgency = CLICK if request.interactive else BATCH
    results: Results = []
    answered: dict[str, tuple[str, ...]] = {}
    ious = []
    with work.tracks.picture(movie, options, urgency) as tracker:
        hints = read_hints(request.results, media, tracker.frame_size, left)
        objects = _placed(targets(hints, request.interactive), media, left)
        tracker.reset()
        for prompt in (prompt for target, _ in objects for prompt in target.prompts()):
            tracker.add(prompt)
        for target, control in objects:
            mask = tracker.mask(0, target.id)
            assert mask is not None
            written = write_mask(mask, control, target, None, kept=target.kept(0))
            clicks = tracker.unmet_clicks(0, target.id)
            if clicks:
                written = with_note(written, " ".join(map(unmet_sentence, clicks)))
            results += written
            ious += [mask.iou] if written else []
            for region in target.regions if written else ():
                answered[region] = (*answered.get(region, ()), target.id)
    if request.interactive:  # what was drawn goes when the answer is accepted
        answered = {**_emptied(hints, left), **answered}
    if not results:
        raise NothingToDo("The model finds no object there: try another click, or a box.")
    return Filled(results, answered, ious, left=left)


def fill_stack(request: TaskRequest, media: Media, work: Work) -> Filled:
    """Return masks on all pages of a stack of what a person clicked, drew or painted on some."""
    movie = work.open(request, media)
    facts = work.facts_of(movie)
    left: dict[str, str] = {}
    hints = read_hints(request.results, media, facts.size, left, len(facts.times))
    placed = _placed(targets(hints, request.interactive), media, left)
    objects = {target.id: target for target, _ in placed}
    controls = {target.id: control for target, control in placed}
    places: dict[tuple[str, int], Mapping[str, Any]] = {}  # what is on each page already
    labels: dict[str, tuple[str, ...]] = {}
    tracks = tracks_of(request.results)
    for result in request.results:
        track = tracks.get(id_of(result), "")
        if track in objects and result.get("from_name") == controls[track].name:
            places.setdefault((track, int(result.get("item_index") or 0)), result)
            now, note = _labels_of(result, request.results, controls[track]), note_of(result)
            if "labels" in note and [*now] != note["labels"]:  # by a person, on this page alone
                labels[id_of(result)] = now

    def write(found: Tracked) -> tuple[Results, Answered]:
        results: Results = []
        answered: dict[str, tuple[str, ...]] = {}
        for obj in found.masks.objects:
            target = objects[obj]
            pages: dict[int, str] = {}
            for page, mask in found.masks.of_object(obj).items():
                place = places.get((obj, page), {})
                kept = {**set_by_person(place), **target.kept(page)}
                id_ = id_of(place)
                written = write_mask(mask, controls[obj], target, page, id_, kept, labels.get(id_))
                results += written
                if written:
                    pages[page] = id_of(written[0])
            for region, page in target.regions.items():
                here = (pages[page],) if page in pages else ()
                answered[region] = (*answered.get(region, ()), *here)
        made = {id_of(one) for one in results}
        before = {id_of(place) for place in places.values()}
        return results, {**{one: (one,) if one in made else () for one in before}, **answered}

    prompts = {obj: target.prompts() for obj, target in objects.items()}
    made = replace(work.follow(request, movie, prompts, write, "click again"), left=left)
    if not request.interactive:
        return made
    answered = {**_emptied(hints, left), **made.answered}
    results = made.results if made.is_whole else with_note(made.results, made.note)
    return replace(made, results=results, answered=answered)


def _placed(
    objects: Sequence[Target], media: Media, left: dict[str, str]
) -> list[tuple[Target, Control]]:
    """Return objects with the controls that take their masks; the regions of others are `left`."""
    placed = []
    for target in objects:
        try:
            placed.append((target, media.output(*target.labels)))
        except NothingToDo as error:
            left |= dict.fromkeys(target.regions, str(error))
            reason = error
    if not placed:
        raise reason
    return placed


def _emptied(hints: Sequence[Hint], left: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {hint.region: () for hint in hints if hint.region not in left}


def read_hints(
    results: Sequence[Mapping[str, Any]],
    media: Media,
    size: FrameSize,
    left: dict[str, str],
    pages: int = 1,
) -> list[Hint]:
    """Return a person's regions of a picture; masks that this backend made are left out.

    Parameters
    ----------
    left
        Gets the regions that are damaged, or on a page that there is not, with the reasons.

    Raises
    ------
    FormatError
        If all are.
    NothingToDo
        If this backend made all of them.
    """
    controls = {control.name: control for control in media.controls}
    tracks = tracks_of(results)
    found = []
    for result in results:
        control = controls.get(str(result.get("from_name")))
        kind = str(result.get("type")).lower()
        note = note_of(result)
        # A result in a control's name may have labels alone, instead of a shape.
        is_shape = control and (
            kind == control.type or kind.removesuffix("labels") == control.shape
        )
        if control is not None and is_shape and not _is_as_made(result, note):
            try:
                hint = _read(result, control, size, pages)
            except FormatError as error:
                left[id_of(result)] = str(error)
                continue
            labels, kept = _labels_of(result, results, control), set_by_person(result)
            track = tracks.get(id_of(result))
            found.append(replace(hint, labels=labels, track=track, kept=kept))
    if left and not found:
        raise FormatError(next(iter(left.values())))
    if not found and any(is_ours(result) for result in results):
        raise NothingToDo("All masks here are the model's own: correct one, or add another.")
    return found


def targets(hints: Sequence[Hint], interactive: bool) -> list[Target]:
    """Sort hints by objects.

    While a person clicks, all of a label is about one object, unless there are several boxes on a
    page: then each is an object, with the clicks inside it. In a saved annotation, every box,
    every click and every mask is an object.
    """
    good = [one for one in hints if one.positive]
    if not good:
        raise NothingToDo("There is no click, box or mask on an object: add one first.")
    anchors = [one for one in good if one.box is not None or (one.mask and not interactive)]
    pages = [one.page for one in anchors]
    if interactive and len(pages) == len(set(pages)):
        return [Target(_name_of(good[0]), good[0].labels, list(hints))]
    found: dict[str, Target] = {}
    for anchor in anchors:
        name = anchor.track or _name_of(anchor)
        found.setdefault(name, Target(name, anchor.labels)).hints.append(anchor)
    boxed = list(found.values())
    for click in (one for one in hints if one.clicks):
        around = [target for target in boxed if _contains(target, click)]
        for target in around:
            target.hints.append(click)
        if not around and click.positive:
            alone = Target(_name_of(click), click.labels, [click])
            found[alone.id] = alone
    return list(found.values())


def write_mask(
    mask: ObjectMask,
    control: Control,
    target: Target,
    page: int | None,
    region: str = "",
    kept: Mapping[str, Any] | None = None,
    labels: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Return a mask as the results of a region; none if the object is not there.

    Parameters
    ----------
    page
        Of a stack; None for a single image.
    region
        Id of the region that it takes the place of; by default, it is a new one.
    kept, labels
        What a person set by it; by default, the labels of the object.
    """
    if not mask.visible:
        return []
    height, width = mask.frame_size
    value = value_of(mask, control.shape)
    beside: dict[str, list[str]] = {}
    for label in target.labels if labels is None else labels:
        beside.setdefault(control.beside.get(label, ""), []).append(label)
    if "" in beside:
        value["labels" if control.type == control.shape else control.type] = beside.pop("")
    about: dict[str, Any] = {
        **(kept or {}),
        "id": region or (target.id if page is None else uuid.uuid4().hex[:10]),
        "to_name": control.to_name,
        "origin": "prediction",
        "original_width": width,
        "original_height": height,
        "image_rotation": target.turned,
    }
    if page is not None:
        about["item_index"] = page
    note = {"track": target.id, "page": page or 0, "made": digest(value)}
    note["labels"] = list(target.labels)
    score = round(float(mask.iou), 4) if mask.iou is not None and mask.iou == mask.iou else None
    shape = {"from_name": control.name, "type": control.type, "value": value, "score": score}
    written = [{**about, **shape, "meta": {**about.get("meta", {}), NOTE: note}}]
    for name, own in beside.items():
        apart = {"from_name": name, "type": "labels", "value": {**value, "labels": own}}
        written.append({**about, **apart})
    return written


def is_ours(result: Mapping[str, Any]) -> bool:
    """Whether this backend made a region that nobody has changed since."""
    return _is_as_made(result, note_of(result))


def _is_as_made(result: Mapping[str, Any], note: Mapping[str, Any]) -> bool:
    made, value = note.get("made"), result.get("value")
    return made is not None and isinstance(value, Mapping) and made == digest(value)


def digest(value: Mapping[str, Any]) -> str:
    """Return a digest of a region's drawn part, all but its labels: an edited one has another.

    Numbers are rounded: the editor keeps places in other units, and does not give them back to
    the last digit.
    """
    drawn = {key: _rounded(value[key]) for key in _DRAWN if key in value}
    text = json.dumps(drawn, sort_keys=True, default=str)
    return digest_of(text, 16)


def _rounded(part: Any) -> Any:
    if isinstance(part, float):
        return round(part, 3) + 0.0
    if isinstance(part, int) and not isinstance(part, bool):
        return float(part) if abs(part) < 1 << 53 else str(part)
    if isinstance(part, list):  # of thousands of bytes, in a brush mask
        plain = all(type(one) is int and abs(one) < 1 << 53 for one in part)
        return list(map(float, part)) if plain else [_rounded(one) for one in part]
    return part


def _labels_of(
    result: Mapping[str, Any], results: Sequence[Mapping[str, Any]], control: Control
) -> tuple[str, ...]:
    """Return a region's labels, which may stand in results of their own with the same id."""
    region = region_of(results, id_of(result)) if control.beside else []
    found: dict[str, None] = {}
    for one in [result, *(r for r in region if r.get("from_name") in control.beside.values())]:
        value = one.get("value")
        if isinstance(value, Mapping):
            labels = value.get(str(one.get("type")).lower()) or value.get("labels")
            found |= dict.fromkeys(map(str, labels if isinstance(labels, list) else ()))
    return tuple(found)


def _read(result: Mapping[str, Any], control: Control, size: FrameSize, pages: int) -> Hint:
    value = result.get("value")
    if not isinstance(value, Mapping):
        raise FormatError("A region has no value.")
    page = result.get("item_index") or 0
    if not isinstance(page, int) or not 0 <= page < max(pages, 1):
        raise FormatError(f"A region's item_index is {page!r}; there are {pages} pages, from 0 on.")
    turned = geometry.number(result, "image_rotation") if result.get("image_rotation") else 0
    about: dict[str, Any] = {"page": page, "region": id_of(result), "turned": round(turned) % 360}
    if control.shape == "keypoint":
        positive = result.get("is_positive", value.get("positive", True)) is not False
        clicks = _inside((geometry.point(value, size),), size)
        return Hint(**about, clicks=clicks, positive=positive)
    if control.shape in ("rectangle", "ellipse"):
        read = geometry.to_pixels if control.shape == "rectangle" else geometry.box_of_ellipse
        box = read(value, size)
        if not geometry.meets(box, size):
            raise FormatError(
                f"A {control.tag} region is empty or outside of the picture. Move it onto the "
                "object, or delete it."
            )
        return Hint(**about, box=box)
    if control.shape == "vector" and not value.get("closed"):
        return Hint(**about, clicks=_inside(geometry.vertices(value, size), size))
    mask = _painted(result, value, size)
    if mask is None:
        raise FormatError(f"A {control.tag} region has no shape. Erase it and draw it again.")
    return Hint(**about, mask=mask)


def _inside(
    clicks: tuple[tuple[float, float], ...], size: FrameSize
) -> tuple[tuple[float, float], ...]:
    """Return the clicks on a picture."""
    height, width = size
    found = tuple((x, y) for x, y in clicks if -0.5 <= x <= width and -0.5 <= y <= height)
    if not found:
        raise FormatError("A click is outside of the picture. Put it on the object, or delete it.")
    return found


def _painted(
    result: Mapping[str, Any], value: Mapping[str, Any], size: FrameSize
) -> ObjectMask | None:
    """Read the mask of a region; pixels that were painted on another picture are refused.

    Those of a brush fit a picture of the same number of pixels, such as one that was turned.
    """
    given = result.get("original_height"), result.get("original_width")
    height, width = (side if isinstance(side, int) else 0 for side in given)
    sized = bool(height and width) and (height, width) != size
    other = FormatError(
        f"It was painted on a picture of {width}×{height} pixels, and this one has "
        f"{size[1]}×{size[0]}. Paint it again, or put the earlier picture back."
    )
    try:
        mask = mask_of(value, size)
    except FormatError as error:
        raise (other if sized else error) from error
    if sized and "rle" in value and height * width == math.prod(size):
        raise other
    return mask


def _contains(target: Target, click: Hint) -> bool:
    boxes = [one.box for one in target.hints if one.box is not None and one.page == click.page]
    x, y = click.clicks[0]
    return any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes)


def _name_of(hint: Hint) -> str:
    """Name an object by the first hint at it: the same prompts give the same name."""
    mask = hint.mask.to_rle() if hint.mask is not None else None
    label = hint.labels[0] if hint.labels else None
    first = repr((hint.page, label, hint.clicks, hint.box, mask))
    return digest_of(first, 10)
