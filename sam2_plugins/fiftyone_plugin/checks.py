"""What can be known to go wrong before anything is computed, and what a person should know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.media as fom

from sam2_plugins.core.checkpoints import check_model_name
from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.tracking.schedule import DIRECTIONS
from sam2_plugins.fiftyone_plugin.documents import PROMPT_TYPES
from sam2_plugins.fiftyone_plugin.footage import FRAMES, Footage, FootageError, find_footage
from sam2_plugins.fiftyone_plugin.marks import MARK
from sam2_plugins.fiftyone_plugin.prompting import check_prompt_field
from sam2_plugins.fiftyone_plugin.request import Request

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_propagation(
    view: Any, request: Request, group_by: str | None = None, order_by: str | None = None
) -> list[str]:
    """Check a request before it runs.

    Returns
    -------
    list of str
        Notices: nothing is wrong, but the person should know.

    Raises
    ------
    FootageError
        If it cannot work.
    """
    return check_request(view, find_footage(view, group_by, order_by), request)


def check_request(view: Any, movies: Sequence[Footage], request: Request) -> list[str]:
    """Check a request for movies, or images, that were found in a view; see above."""
    if not request.prompt_fields:
        raise FootageError("Choose a field whose labels are prompts.")
    for name in request.prompt_fields:
        check_prompt_field(movies[0], name)  # all movies have the same fields
    check_output_field(movies[0].schema(), request.output_field)
    _check_range(request)
    check_model(request.model)
    if view.media_type == fom.GROUP and not view._is_dynamic_groups:
        view = view.select_group_slices(view.group_slice)
    _check_prompts(view, request)
    return [*_missing(movies), *_by_people(view, request.output_field)]


def prompt_fields(view: Any) -> list[str]:
    """Names of the fields that can hold prompts, without `frames.`."""
    schema = view.get_frame_field_schema() or view.get_field_schema()
    return [
        name
        for name, field in schema.items()
        if getattr(field, "document_type", None) in PROMPT_TYPES
    ]


def check_output_field(schema: Any, name: str) -> None:
    """Check that masks can go to a field: it is new, or one of Detections."""
    if not _NAME.fullmatch(name):
        raise FootageError(
            f"{name!r} is no name of a field: use letters, digits and _, and begin with a letter."
        )
    for part, kind in ((name, fo.Detections), (f"{name}_lost", fo.Classifications)):
        if part not in schema:
            continue
        found = getattr(schema[part], "document_type", None)
        if found is not kind:
            what = found.__name__ if found else type(schema[part]).__name__
            raise FootageError(
                f"The field {part!r} is there already and holds {what}, not {kind.__name__}: "
                "choose another name."
            )


def check_model(model: str) -> None:
    """Check that there is such a model; whether its weights are here is another matter."""
    try:
        check_model_name(model)
    except Sam2PluginsError as error:
        raise FootageError(str(error)) from error


def _check_range(request: Request) -> None:
    first, last = request.first, request.last
    if request.direction not in DIRECTIONS:
        raise FootageError(
            f"There is no direction {request.direction!r}: choose {', '.join(DIRECTIONS)}."
        )
    if min(first or 1, last or 1) < 1 or 0 in (first, last):
        raise FootageError("Frame numbers begin with 1.")
    if first is not None and last is not None and last < first:
        raise FootageError(f"The range of frames from {first} to {last} is empty.")


def _missing(movies: Sequence[Footage]) -> list[str]:
    missing = [path for movie in movies for path in movie.files if not Path(path).exists()]
    if missing and not any(Path(path).exists() for movie in movies for path in movie.files):
        raise FootageError(f"There is no file {missing[0]}. Put it back, or choose other samples.")
    return [f"{len(missing)} files are not there, such as {missing[0]}."] if missing else []


def _check_prompts(view: Any, request: Request) -> None:
    """Check that there is a label; people's labels in the field of results are prompts, too."""
    names = {*request.prompt_fields, request.output_field} & set(_schema(view))
    if not any(_count(view, name) for name in names):
        fields = ", ".join(map(repr, request.prompt_fields))
        raise FootageError(
            f"There are no prompts: no frame has a label in {fields}. Draw a box or a mask on the "
            "first frame of an object, or choose another field."
        )


def _by_people(view: Any, name: str) -> list[str]:
    """Tell of labels of people in the field of results."""
    if name not in _schema(view):
        return []
    by_people = _count(view, name) - _count(view, name, f".{MARK}")
    if not by_people:
        return []
    return [
        f"{name!r} holds {by_people} labels that people made. They stay as they are, and are "
        "prompts."
    ]


def _is_video(view: Any) -> bool:
    return bool(view.media_type == fom.VIDEO and not view._is_frames)


def _schema(view: Any) -> Any:
    return (view.get_frame_field_schema() if _is_video(view) else view.get_field_schema()) or {}


def _count(view: Any, name: str, part: str = "") -> int:
    """Count the labels of a field in the database, without reading them."""
    items = PROMPT_TYPES[_schema(view)[name].document_type]
    path = f"{FRAMES if _is_video(view) else ''}{name}{f'.{items}' if items else ''}{part}"
    flat = view.flatten() if view._is_dynamic_groups else view
    return int(flat.count(path)) if flat.get_field(path) is not None else 0
