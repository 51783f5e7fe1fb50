"""What can be known to go wrong before anything is computed, and what a person should know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fiftyone as fo

from sam2_plugins.core.plan import DIRECTIONS
from sam2_plugins.core.variants import VARIANTS
from sam2_plugins.fiftyone_plugin.documents import PROMPT_TYPES, single_labels
from sam2_plugins.fiftyone_plugin.footage import Footage, FootageError, find_footage
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
    movies = find_footage(view, group_by, order_by)
    if not request.prompt_fields:
        raise FootageError("Choose a field whose labels are prompts.")
    for name in request.prompt_fields:
        check_prompt_field(movies[0], name)  # all movies have the same fields
    check_output_field(movies[0].schema(), request.output_field)
    _check_range(request)
    check_model(request.model)
    return [*_missing(movies), *_empty(movies, request), *_by_people(movies, request)]


def prompt_fields(view: Any) -> list[str]:
    """Names of the fields that can hold prompts, without `frames.`."""
    schema = view.get_frame_field_schema() or view.get_field_schema()
    return [
        name
        for name, field in schema.items()
        if getattr(field, "document_type", None) in PROMPT_TYPES
    ]


def missing_files(view: Any) -> list[str]:
    """Files of a view that are not there."""
    return [path for path in dict.fromkeys(view.values("filepath")) if not Path(path).exists()]


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
    if model not in VARIANTS and not Path(model).expanduser().exists():
        raise FootageError(
            f"There is no model {model!r}: choose one of {', '.join(VARIANTS)}, or give the path "
            "of a checkpoint."
        )


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


def _empty(movies: Sequence[Footage], request: Request) -> list[str]:
    """Find movies without any prompt; labels of people in the field of results are prompts, too."""
    names = (*request.prompt_fields, request.output_field)
    empty = [
        movie.name
        for movie in movies
        if not any(
            any(True for _ in single_labels(value))
            for name in names
            for _, value in movie.read(name, filtered=name != request.output_field)
        )
    ]
    if len(empty) == len(movies):
        fields = ", ".join(map(repr, request.prompt_fields))
        raise FootageError(
            f"There are no prompts: no frame has a label in {fields}. Draw a box or a mask on the "
            "first frame of an object, or choose another field."
        )
    return [f"{len(empty)} of {len(movies)} have no prompts, such as {empty[0]}."] if empty else []


def _by_people(movies: Sequence[Footage], request: Request) -> list[str]:
    """Tell of labels of people in the field of results."""
    for movie in movies:
        for frame, value in movie.read(request.output_field):
            if any(MARK not in label.field_names for label in single_labels(value)):
                return [
                    f"{request.output_field!r} holds labels that people made, such as on frame "
                    f"{frame + 1} of {movie.name}. They stay as they are, and are prompts."
                ]
    return []
