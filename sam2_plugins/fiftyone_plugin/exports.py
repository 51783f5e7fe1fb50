"""Masks in the formats that FiftyOne writes, so that every track comes back as one.

FiftyOne's writers do not write tracks: its instances cannot be written as JSON, most writers leave
the index out, and CVAT interpolates boxes that are no keyframes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import eta.core.objects as etao
import eta.core.serial as etas
import fiftyone as fo
import fiftyone.core.labels as fol
import fiftyone.core.media as fom
import fiftyone.utils.cvat as fouc
from fiftyone.utils.data.exporters import build_dataset_exporter

from sam2_plugins.fiftyone_plugin.finding import ungrouped
from sam2_plugins.fiftyone_plugin.footage import FRAMES, FootageError, find_field
from sam2_plugins.fiftyone_plugin.marks import DOUBT, DOUBT_REASONS, MARK

_NAMELESS = "object"
"""The class, in files, of labels that have none, such as those of a run for all objects."""


def export(
    view: Any,
    label_field: str,
    export_dir: str | Path,
    dataset_type: Any,
    *,
    attributes: Collection[str] = (),
    **options: Any,
) -> None:
    """Write the masks of a field by a writer of FiftyOne, with the index and instance of each.

    Labels without a class are written as “object”.

    Parameters
    ----------
    view
        Of videos, of the frames of videos, or of images; of a grouped dataset, the active slice.
    label_field
        With or without `frames.`.
    dataset_type
        A class of `fiftyone.types`.
    attributes
        Names of other attributes that are to be written: "sam2_mark", "object_score", scores, …
    **options
        Of FiftyOne's `export`, or of its writer.

    Raises
    ------
    FootageError
        If there is no such field.
    """
    writer, rest = build_dataset_exporter(
        dataset_type, warn_unused=False, export_dir=str(export_dir), **options
    )
    write = writer.export_sample
    # This writer has an index of its own.
    is_eta = dataset_type is fo.types.FiftyOneVideoLabelsDataset

    def export_sample(*parts: Any, **more: Any) -> Any:
        return write(*(_outward(part, attributes, is_eta) for part in parts), **more)

    writer.export_sample = export_sample
    if view._is_dynamic_groups:
        view = ungrouped(view)  # FiftyOne would write the first image of each
    elif view.media_type == fom.GROUP:
        view = view.select_group_slices(view.group_slice)
    name = label_field.removeprefix(FRAMES)
    is_video = view.media_type == fom.VIDEO and not view._is_frames
    schema = view.get_frame_field_schema() if is_video else view.get_field_schema()
    if find_field(schema or {}, name) is None:
        raise FootageError(f"There is no field {name!r} with labels, or the view hides it.")
    kind = "frame_labels_field" if is_video else "label_field"
    view.export(dataset_exporter=writer, **{kind: name, **rest})


def mend_writers() -> None:
    """Let FiftyOne's own `export` write labels of ours: once, in the process that calls this.

    Without it COCO and others fail at any instance, our marks and scores are written as
    attributes, and CVAT interpolates between prompted frames, and writes one of two objects that
    share an index, and FiftyOne cannot read the masks of anybody's that its own writer of video
    labels wrote.
    """
    if getattr(fol._HasAttributesDict, "_knows_sam2", False):
        return
    fol._HasAttributesDict._knows_sam2 = True
    fol._HasAttributesDict.iter_attributes = _without_ours(fol._HasAttributesDict.iter_attributes)
    fo.Instance.__str__ = lambda self: str(self.id)
    etas.ETAJSONEncoder.default = _with_instances(etas.ETAJSONEncoder.default)
    etao.DetectedObject.serialize = _with_mask(etao.DetectedObject.serialize)
    parse = fouc.CVATVideoAnno._parse_attributes

    def parse_attributes(label: Any) -> Any:
        outside, occluded, keyframe, attributes = parse(label)
        return outside, occluded, 1 if _is_ours(label) else keyframe, attributes

    fouc.CVATVideoAnno._parse_attributes = staticmethod(parse_attributes)
    to_tracks = fouc._frames_to_cvat_tracks
    fouc._frames_to_cvat_tracks = lambda frames, size: to_tracks(_numbered_apart(frames), size)


def evaluation_names(names: Collection[str]) -> set[str]:
    """Attributes that `evaluate_masklets` wrote: <key>_iou, <key>_J and <key>_F."""
    there = {*names}
    keys = {name.removesuffix("_J") for name in there if name.endswith("_J")}
    triples = ({f"{key}_iou", f"{key}_J", f"{key}_F"} for key in keys)
    return {name for triple in triples if triple <= there for name in triple}


def _numbered_apart(frames: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Give objects of different classes that share an index, on one frame, different ones."""
    labels = [
        (number, label)
        for number, fields in frames.items()
        for value in fields.values()
        if isinstance(value, fo.Detections)
        for label in value.detections
        if label.index is not None
    ]
    counts = Counter((number, label.index) for number, label in labels)
    shared = {index for (_, index), count in counts.items() if count > 1}
    taken = {label.index for _, label in labels}
    free = (number for number in count(1) if number not in taken)
    first: dict[int, str | None] = {}
    numbers: dict[tuple[int, str | None], int] = {}
    for _, label in labels:
        if label.index in shared and first.setdefault(label.index, label.label) != label.label:
            name = label.index, label.label
            numbers[name] = numbers.get(name) or next(free)

    def apart(value: Any) -> Any:
        if not isinstance(value, fo.Detections):
            return value
        made = [one.copy() for one in value.detections]
        for one in made:
            one.index = numbers.get((one.index, one.label), one.index)
        return fo.Detections(detections=made)

    if not numbers:
        return frames
    return {n: {k: apart(v) for k, v in fields.items()} for n, fields in frames.items()}


def _is_ours(label: Any) -> bool:
    return MARK in label.field_names and bool(label[MARK])


def _without_ours(attributes: Callable[[Any], Iterator[tuple[str, Any]]]) -> Any:
    def iter_attributes(label: Any) -> Iterator[tuple[str, Any]]:
        names = {MARK, DOUBT, DOUBT_REASONS, *evaluation_names(label.field_names)}
        hidden = names if _is_ours(label) else set()
        for name, value in attributes(label):
            if name not in hidden:
                yield name, value

    return iter_attributes


def _with_instances(default: Callable[[Any, Any], Any]) -> Any:
    def encode(encoder: Any, value: Any) -> Any:
        return str(value.id) if isinstance(value, fo.Instance) else default(encoder, value)

    return encode


def _with_mask(serialize: Callable[..., Any]) -> Any:
    """Write masks in the form in which they are read."""

    def write(found: Any, *arguments: Any, **more: Any) -> Any:
        written = serialize(found, *arguments, **more)
        if found.mask is not None:
            written["mask"] = etas.serialize_numpy_array(found.mask)
        return written

    return write


def _outward(part: Any, attributes: Collection[str], is_eta: bool) -> Any:
    """Prepare labels for a writer, in a list, a frame or a video."""
    if isinstance(part, dict):
        return {key: _outward(value, attributes, is_eta) for key, value in part.items()}
    if isinstance(part, fo.Detections):
        labels = [_detection(one, attributes, is_eta) for one in part.detections]
        return fo.Detections(detections=labels)
    return part


def _detection(label: Any, attributes: Collection[str], is_eta: bool) -> Any:
    wanted = {name: label[name] for name in attributes if name in label.field_names}
    instance = label["instance"] if "instance" in label.field_names else None
    shown = {"keyframe": True, "instance": getattr(instance, "id", instance), **wanted}
    shown |= {} if is_eta else {"index": label.index}
    shown = {name: value for name, value in shown.items() if value is not None}
    names = ["bounding_box", "confidence", "index", "tags", "mask", "mask_path"]
    # Writers sort the classes, which they cannot where one is None.
    made = fo.Detection(label=label.label or _NAMELESS, **{name: label[name] for name in names})
    # Writers iterate over attributes, which not every label has; every label has an index.
    made.__dict__["iter_attributes"] = lambda: iter(shown.items())
    return made
