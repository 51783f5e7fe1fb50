"""From Label Studio's JSON export to masks in the formats of the core."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import numpy as np

from sam2_plugins.core import files
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export import Blank, open_writers, parse_formats
from sam2_plugins.core.export import formats as registered
from sam2_plugins.core.masks import MaskTable, ObjectId, ObjectMask
from sam2_plugins.labelstudio_backend.errors import FormatError
from sam2_plugins.labelstudio_backend.formats.area import AREAS, mask_of
from sam2_plugins.labelstudio_backend.formats.geometry import FrameSize, upright
from sam2_plugins.labelstudio_backend.formats.video_rectangle import (
    Keyframe,
    VideoRegion,
    read_regions,
    turned_box,
)
from sam2_plugins.labelstudio_backend.keyframes import FRAMES, NOTE
from sam2_plugins.labelstudio_backend.label_config import SHAPES, VIDEO_SHAPE, is_shape
from sam2_plugins.labelstudio_backend.regions import (
    RELATION,
    id_of,
    named,
    objects_in,
    tracks_of,
)
from sam2_plugins.labelstudio_backend.timing import unpack_frames

OBJECTS_FILE, FRAMES_FILE = "objects.json", "frames.csv"

_LONGEST = 1 << 20
"""Pixels of a side; more are a mistake."""

SAME_BOX = 0.5
"""IoU of a stored mask with the shown box, from which on the mask is used for that box; half of it
for a turned box, since the upright one around it is up to twice as large."""


@dataclass
class ExportedTask:
    """The masks of one annotated task, or of one of several videos and pictures of it.

    Attributes
    ----------
    name
        For a folder: the task's id, and what it shows; of several, its name in the config.
    masks
        By frame (Label Studio's, counted from 0) and object.
    parents
        Daughter to mother: a relation leads from one object to another that begins when it is gone.
    moved
        How many masks are those of the nearest keyframe, moved into the box of their frame.
    left_out
        How many regions of an image have no mask, by their type: boxes and clicks.
    older
        How many other annotations the task has: only the latest is exported.
    shown
        Of a video: the frame of the file, from 0 on, that each frame of Label Studio shows; None
        where no region holds it.
    """

    name: str
    size: FrameSize
    masks: MaskTable[int, str] = field(default_factory=MaskTable)
    labels: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    moved: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    older: int = 0
    shown: list[int] | None = None
    is_video: bool = False

    def by_file(self) -> ExportedTask:
        """Return the masks by frame of the file instead of Label Studio's.

        Label Studio counts a frame twice, or not at all, where its frame rate is not the video's.

        Raises
        ------
        ExportError
            If no region holds which frames were shown.
        """
        if self.shown is None:
            raise ExportError(
                f"{self.name} does not hold which frames of the file were shown: have a box "
                "tracked once by this version of the backend, and export again."
            )
        first = {at: frame for frame, at in reversed(list(enumerate(self.shown)))}
        masks = ((at, self.masks.on_frame(f)) for at, f in sorted(first.items()))
        return replace(self, masks=MaskTable(masks), shown=None)

    @property
    def length(self) -> int:
        """Frames up to the last one with a mask."""
        return 1 + max(self.masks.frames, default=-1)


def read_export(
    path: Path, by_file: bool = False, left: list[str] | None = None
) -> Iterator[ExportedTask]:
    """Read a JSON export: the latest annotation of each task that has one.

    Several videos and pictures of a task come apart, and so do pictures of different sizes.

    Parameters
    ----------
    by_file
        Whether videos are wanted by frame of the file; see `ExportedTask.by_file`.
    left
        Gets the reasons of tasks that are left out; by default, the first is raised.

    Raises
    ------
    ExportError
        If it is no such export, or a task cannot be read.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ExportError(f"{path} is no export of Label Studio: choose the format JSON there.")
    if tasks and not any("annotations" in task for task in tasks):
        raise ExportError(
            f"{path} is an export without whole annotations, such as JSON-MIN: choose the format "
            "JSON in Label Studio."
        )
    for task in tasks:
        for name, results in _parts(task):
            try:
                made = _read(task, name, results)
                made = made.by_file() if made is not None and made.is_video and by_file else made
            except ExportError as error:
                if left is None:
                    raise
                left.append(str(error))
                continue
            if made is not None:
                yield made


def _parts(task: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield the results of each video or picture of a task, with a name for its masks."""
    latest = next(iter(_annotations(task)), {})
    results, name = named(objects_in(latest.get("result"))), _name(task)
    sizes: dict[str, dict[FrameSize | None, None]] = {}
    for result in results:
        kind, to_name = str(result.get("type")).removesuffix("labels"), str(result.get("to_name"))
        if is_shape(result):
            size = None if kind == VIDEO_SHAPE else _image_size([result])
            sizes.setdefault(to_name, {})[size] = None
    for to_name, found in sizes.items():
        known: list[FrameSize | None] = [size for size in found if size is not None] or [None]
        for size in known:
            parts = [name, *([to_name] if len(sizes) > 1 else [])]
            parts += [f"{size[1]}x{size[0]}"] if size is not None and len(known) > 1 else []
            own = [
                result
                for result in results
                if result.get("type") == RELATION
                or (str(result.get("to_name")) == to_name and _image_size([result]) in (None, size))
            ]
            yield re.sub(r"[^\w.-]+", "_", "-".join(parts)), own


def _read(
    task: Mapping[str, Any], name: str, results: list[Mapping[str, Any]]
) -> ExportedTask | None:
    try:
        regions = read_regions(results)
        size = _video_size(regions) if regions else _image_size(results)
        if size is None:
            if any(_has_area(result) for result in results):
                raise FormatError(
                    "its regions do not have the size of the picture (original_width and "
                    "original_height). Open the task in Label Studio, and save it."
                )
            return None
        exported = ExportedTask(name, size, older=len(_annotations(task)) - 1)
        if regions:
            _add_video(exported, regions)
        else:
            _add_images(exported, results)
        _add_parents(exported, results)
    except FormatError as error:
        raise ExportError(f"Task {task.get('id')}: {error}") from error
    return exported


def _add_video(exported: ExportedTask, regions: Sequence[VideoRegion]) -> None:
    exported.is_video = True
    exported.shown = next((shown for r in regions if (shown := _shown(r)) is not None), None)
    for region in regions:
        stored = _stored_masks(region, exported.size)
        last = region.frames_count or region.keyframes[-1].frame
        for frame in range(1, last + 1):
            mask, was_moved = _mask_at(region.keyframes, stored, frame, exported.size)
            if mask is not None:
                exported.masks.put(frame - 1, region.id, mask)
                exported.moved += was_moved
        exported.labels[region.id] = ", ".join(region.labels)


def _mask_at(
    keyframes: Sequence[Keyframe], stored: Mapping[int, ObjectMask], frame: int, size: FrameSize
) -> tuple[ObjectMask | None, bool]:
    """Return the mask of the box on a frame, and whether it was moved from another frame."""
    shown = turned_box(keyframes, frame)
    if shown is None:
        return None, False
    rectangle, rotation = shown
    box = ObjectMask.from_box(upright(rectangle, rotation, size), size)
    if (here := stored.get(frame)) is not None:
        own = ObjectMask.from_box(here.box or (0, 0, 0, 0), size)
        if own.iou_with(box) >= (SAME_BOX / 2 if rotation else SAME_BOX):
            return here, False
    frames = sorted(stored)
    after = bisect_right(frames, frame)
    near = sorted(frames[max(0, after - 1) : after + 1], key=lambda f: abs(f - frame))
    return (_moved(stored[near[0]], box) if near else box), True


def _moved(mask: ObjectMask, box: ObjectMask) -> ObjectMask:
    """Return a mask moved and scaled into a box."""
    if box.box is None or not mask.visible:
        return box
    x0, y0, x1, y1 = box.box
    rows = (np.arange(y1 - y0) * mask.crop.shape[0] / (y1 - y0)).astype(int)
    columns = (np.arange(x1 - x0) * mask.crop.shape[1] / (x1 - x0)).astype(int)
    return ObjectMask(mask.crop[np.ix_(rows, columns)], (x0, y0), box.frame_size)


def _stored_masks(region: VideoRegion, size: FrameSize) -> dict[int, ObjectMask]:
    found = {}
    for keyframe in region.keyframes:
        for frame, rle in _notes(keyframe):
            try:
                mask = ObjectMask.from_rle(rle)
            except ValueError as error:
                raise FormatError(f"The mask of frame {frame} is damaged: {error}") from error
            if mask.frame_size == size:
                found[int(frame)] = mask
    return found


def _shown(region: VideoRegion) -> list[int] | None:
    notes = (keyframe.raw.get(NOTE) for keyframe in region.keyframes)
    unpacked = (unpack_frames(note.get(FRAMES)) for note in notes if isinstance(note, Mapping))
    return next((frames for frames in unpacked if frames is not None), None)


def _notes(keyframe: Keyframe) -> list[tuple[str, Mapping[str, Any]]]:
    note = keyframe.raw.get(NOTE)
    masks = note.get("masks") if isinstance(note, Mapping) else None
    kept = masks.items() if isinstance(masks, Mapping) else ()
    return [(f, rle) for f, rle in kept if str(f).isdecimal() and isinstance(rle, Mapping)]


def _video_size(regions: Sequence[VideoRegion]) -> FrameSize:
    for region in regions:
        for keyframe in region.keyframes:
            for _, rle in _notes(keyframe):
                size = rle.get("size")
                if isinstance(size, list) and len(size) == 2:
                    return int(size[0]), int(size[1])
    raise FormatError(
        "No keyframe carries a mask: the boxes were not tracked by this backend, or it ran with "
        "--masks none."
    )


def _add_images(exported: ExportedTask, results: Sequence[Mapping[str, Any]]) -> None:
    tracks = tracks_of(results)
    for result in results:
        value, kind = result.get("value"), str(result.get("type"))
        if not isinstance(value, Mapping):
            continue
        mask = mask_of(value, exported.size)
        if mask is None:
            exported.left_out[kind] += kind.removesuffix("labels") in SHAPES
            continue
        obj = tracks.get(id_of(result)) or str(result.get("id"))
        page = result.get("item_index") or 0
        before = exported.masks.get(page, obj)
        exported.masks.put(page, obj, mask if before is None else before.union_with(mask))
        labels = value.get(kind) or value.get("labels")
        # With <Labels> beside the shapes, they are in another result of the region.
        exported.labels[obj] = (
            ", ".join(map(str, labels)) if labels else exported.labels.get(obj, "")
        )


def _add_parents(exported: ExportedTask, results: Sequence[Mapping[str, Any]]) -> None:
    tracks = {id_of(result): id_of(result) for result in results} | tracks_of(results)
    frames = {obj: exported.masks.frames_of(obj) for obj in exported.masks.objects}
    for result in results:
        if result.get("type") == RELATION:
            mother, daughter = (tracks.get(str(result.get(end))) for end in ("from_id", "to_id"))
            if mother in frames and daughter in frames and frames[mother][-1] < frames[daughter][0]:
                exported.parents[daughter] = mother


def _image_size(results: Sequence[Mapping[str, Any]]) -> FrameSize | None:
    for result in results:
        sides = [result.get("original_height"), result.get("original_width")]
        known = [side for side in sides if isinstance(side, int | float) and 1 <= side < _LONGEST]
        if len(known) == 2:
            return round(known[0]), round(known[1])
    return None


def _has_area(result: Mapping[str, Any]) -> bool:
    value = result.get("value")
    return isinstance(value, Mapping) and not value.keys().isdisjoint(AREAS)


def _annotations(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return those that hold something, the latest first."""
    annotations = [a for a in task.get("annotations") or [] if isinstance(a, Mapping)]
    kept = [a for a in annotations if not a.get("was_cancelled") and a.get("result")]
    return sorted(kept, key=lambda a: str(a.get("updated_at", "")), reverse=True)


def _name(task: Mapping[str, Any]) -> str:
    data = task.get("data")
    shown = next((v for v in data.values() if isinstance(v, str)), "") if data else ""
    path, _, query = shown.partition("?")
    path = parse_qs(query).get("d", [path])[0]  # of Label Studio's local files
    stem = re.sub(r"[^\w.-]+", "_", Path(unquote(path)).stem)[:60]
    return f"task-{task.get('id', 0)}" + (f"-{stem}" if stem else "")


def write_masks(
    task: ExportedTask, folder: Path, formats: str, *, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write the masks of a task in formats of the core that need no pictures; return the files.

    Raises
    ------
    ExportError
        If a format is none of them, or a file is in the way or cannot be written.
    """
    names = parse_formats(formats)
    writable = [one.name for one in registered().values() if not one.has_pictures]
    if wrong := set(names) - {*writable}:
        raise ExportError(
            f"{', '.join(sorted(wrong))} needs the pictures, which an export does not hold. Choose "
            f"from {', '.join(writable)}."
        )
    movie = Blank(task.name, task.size, task.length)
    numbers = {obj: number for number, obj in enumerate(task.labels, start=1)}
    parents: dict[ObjectId, ObjectId] = {numbers[d]: numbers[m] for d, m in task.parents.items()}
    labels: dict[ObjectId, str] = {numbers[o]: label for o, label in task.labels.items() if label}
    with open_writers(
        folder, names, movie, numbers.values(), parents=parents, names=labels, overwrite=overwrite
    ) as writers:
        for frame in range(task.length):
            here = task.masks.on_frame(frame)
            known: dict[ObjectId, ObjectMask] = {
                n: here[o] for o, n in numbers.items() if o in here
            }
            writers.write(frame, float(frame), known)
    key = [{"id": numbers[o], "region": o, "label": task.labels.get(o, "")} for o in task.labels]
    files.write_text(folder / OBJECTS_FILE, json.dumps(key, indent=1))
    written = (*writers.paths, folder / OBJECTS_FILE)
    if task.shown is None or task.shown == list(range(len(task.shown))):
        return written  # each is that of the file
    rows = "".join(f"{frame},{at}\n" for frame, at in enumerate(task.shown))
    files.write_text(folder / FRAMES_FILE, f"frame,frame_of_file\n{rows}")
    return (*written, folder / FRAMES_FILE)
