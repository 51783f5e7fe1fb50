"""Checks of a request before anything is computed: errors, and notices for the user."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.media as fom
from fiftyone import ViewField

from sam2_plugins.core.checkpoints import check_model_name
from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.fiftyone_plugin.documents import (
    ATTRIBUTES,
    OF_LINEAGE,
    PROMPT_TYPES,
)
from sam2_plugins.fiftyone_plugin.finding import check_view, first_group, members_of
from sam2_plugins.fiftyone_plugin.footage import FootageError, find_field
from sam2_plugins.fiftyone_plugin.marks import MARK
from sam2_plugins.fiftyone_plugin.prompting import check_prompt_field
from sam2_plugins.fiftyone_plugin.request import Request

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_RESERVED = {
    *("id", "filepath", "tags", "metadata", "created_at", "last_modified_at", "frame_number"),
    *("frames", "sample_id", "support"),
}
_SOME = 50
"""Samples that are checked where checking all of them would delay the form."""


def check_propagation(
    view: Any, request: Request, group_by: str | None = None, order_by: str | None = None
) -> list[str]:
    """Check a request before it runs. It is quick, however many samples there are.

    Returns
    -------
    list of str
        Notices: nothing is wrong, but the person should know.

    Raises
    ------
    FootageError
        If it cannot work.
    """
    notices = _slices(view)
    view = check_view(view, group_by, order_by)
    if view._is_dynamic_groups:
        if not view._is_frames:
            notices.append(f"The first movie: {first_group(view).name}")
        view = members_of(view)
    return [*notices, *check_request(view, request)]


def check_request(view: Any, request: Request) -> list[str]:
    """Check a request for a view of videos, of their frames, or of images; see above."""
    if not (request.prompt_fields or request.all_objects):
        raise FootageError("Choose a field whose labels are prompts.")
    schema = frame_schema(view)
    for name in request.prompt_fields:
        check_prompt_field(schema, name)
    check_output_field(schema, request.output_field, request.all_objects)
    _check_range(request)
    check_model(request.options.model)
    if not request.all_objects:
        _check_prompts(view, schema, request)
    return [*_missing(view), *_by_people(view, schema, request.output_field)]


def prompt_fields(view: Any) -> list[str]:
    """Names of the fields that can hold prompts, without `frames.`."""
    schema = view.get_frame_field_schema(flat=True) or view.get_field_schema(flat=True)
    return [
        name
        for name in schema
        if getattr(find_field(schema, name), "document_type", None) in PROMPT_TYPES
    ]


def frame_schema(view: Any) -> Mapping[str, Any]:
    """Name to field, of the frames of videos, or of images."""
    return view.get_frame_field_schema() or view.get_field_schema() or {}


def check_output_field(schema: Any, name: str, all_objects: bool = False) -> None:
    """Check that masks can go to a field: it is new, or one of Detections, with their attributes.

    Parameters
    ----------
    all_objects
        Whether labels get the attributes of a lineage, too.
    """
    if not _NAME.fullmatch(name):
        raise FootageError(
            f"{name!r} is no name of a field: use up to 100 letters, digits and _, and begin with "
            "a letter."
        )
    if name in _RESERVED:
        raise FootageError(f"FiftyOne itself needs the field {name!r}: choose another name.")
    for part, kind, items in (
        (name, fo.Detections, "detections"),
        (f"{name}_lost", fo.Classifications, "classifications"),
    ):
        if part not in schema:
            continue
        check_writable(schema[part], part)
        found = getattr(schema[part], "document_type", None)
        if found is not kind:
            what = found.__name__ if found else type(schema[part]).__name__
            raise FootageError(
                f"The field {part!r} is there already and holds {what}, not {kind.__name__}: "
                "choose another name."
            )
        attributes = {**ATTRIBUTES, **(OF_LINEAGE if all_objects else {})}
        labels = label_schema(schema[part], items)
        check_values(labels, attributes, f"In {part!r} the attribute")


def check_values(schema: Mapping[str, Any], values: Mapping[str, Any], what: str) -> None:
    """Check that fields take values; those that are not there yet are made.

    Parameters
    ----------
    what
        Begins the message.
    """
    for name in {*values} & {*schema}:
        try:
            schema[name].validate(values[name])
        except Exception as error:  # FiftyOne's fields have errors of their own and of MongoEngine
            raise FootageError(
                f"{what} {name!r} is there already, and of another type "
                f"({type(schema[name]).__name__}): rename it, or choose another name."
            ) from error


def label_schema(field: Any, items: str = "detections") -> dict[str, Any]:
    """Name to field, of the attributes of the labels in a field of a list of labels."""
    inner = field.get_field_schema().get(items) if hasattr(field, "get_field_schema") else None
    return {} if inner is None else dict(inner.field.get_field_schema())


def check_writable(field: Any, name: str) -> None:
    """Check that nobody has made a field read-only."""
    if field.read_only:
        raise FootageError(
            f"The field {name!r} is read-only: choose another, or make it writable by setting its "
            "read_only to False."
        )


def check_model(model: str) -> None:
    """Check that the model exists; its weights may still have to be downloaded."""
    try:
        check_model_name(model)
    except Sam2PluginsError as error:
        raise FootageError(str(error)) from error


def _check_range(request: Request) -> None:
    first, last = request.first, request.last
    if min(first or 1, last or 1) < 1 or 0 in (first, last):
        raise FootageError("Frame numbers begin with 1.")
    if first is not None and last is not None and last < first:
        raise FootageError(f"The range of frames from {first} to {last} is empty.")


def _slices(view: Any) -> list[str]:
    """Note which slice of a grouped dataset is taken."""
    if view.media_type != fom.GROUP or view._is_dynamic_groups:
        return []
    others = [name for name in view.group_slices if name != view.group_slice]
    if not others:
        return []
    return [
        f"Only the slice {view.group_slice!r} is taken. For {', '.join(map(repr, others))} select "
        "that slice."
    ]


def _missing(view: Any) -> list[str]:
    """Check that files exist, of some samples only: their storage may be slow."""
    if view._is_frames:
        return []
    paths = view.limit(_SOME).values("filepath")
    missing = [path for path in paths if not Path(path).exists()]
    if missing and len(missing) == len(paths) < _SOME:
        raise FootageError(f"There is no file {missing[0]}. Put it back, or choose other samples.")
    return [f"{len(missing)} files are not there, such as {missing[0]}."] if missing else []


def _check_prompts(view: Any, schema: Mapping[str, Any], request: Request) -> None:
    """Check that there is a label; people's labels in the field of results are prompts, too."""
    names = {*request.prompt_fields, *({request.output_field} & {*schema})}
    if not any(len(_with_labels(view, schema, name).limit(1)) for name in names):
        fields = ", ".join(map(repr, request.prompt_fields))
        raise FootageError(
            f"There are no prompts: no frame has a label in {fields}. Draw a box or a mask on the "
            "first frame of an object, or choose another field."
        )


def _by_people(view: Any, schema: Mapping[str, Any], name: str) -> list[str]:
    """Return a notice on labels of people in the field of results."""
    if name not in schema:
        return []
    unmarked = ViewField(MARK).exists(False)
    if not len(_with_labels(view.limit(_SOME), schema, name, unmarked).limit(1)):
        return []
    return [f"{name!r} holds labels that people made. They stay as they are, and are prompts."]


def replaced_by_everything(view: Any, name: str) -> list[str]:
    """Return a notice on masks of earlier runs in the field of results, which go."""
    schema = frame_schema(view)
    made = ViewField(MARK).exists()
    if name not in schema or not len(_with_labels(view, schema, name, made).limit(1)):
        return []
    return [
        f"{name!r} holds masks that SAM 2 made before, also of prompts: they are replaced. Choose "
        "another field to keep them."
    ]


def _with_labels(view: Any, schema: Mapping[str, Any], name: str, which: Any = None) -> Any:
    """Samples with a label in a field, found in the database without reading them."""
    items = PROMPT_TYPES[find_field(schema, name).document_type]
    if items is None:
        found = ViewField(name).exists()
    else:
        labels = ViewField(f"{name}.{items}")
        found = (labels if which is None else labels.filter(which)).length() > 0
    is_video = view.media_type == fom.VIDEO and not view._is_frames
    return view.match_frames(found) if is_video else view.match(found)
