"""From the labels on a movie's frames to the prompts of its objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone as fo

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin.documents import PROMPT_TYPES, plain, single_labels
from sam2_plugins.fiftyone_plugin.footage import Footage, FootageError
from sam2_plugins.fiftyone_plugin.labels import Cue, read_cue, read_segmentation
from sam2_plugins.fiftyone_plugin.objects import Statement
from sam2_plugins.fiftyone_plugin.request import Request


def read_statements(
    footage: Footage, request: Request, frame_size: tuple[int, int]
) -> Iterator[Statement]:
    """Read the labels of the prompt fields.

    The field of results is left out: what people made there is found by `results.Earlier`.

    Raises
    ------
    FootageError
        If there is no such field, or it holds no labels that are prompts.
    PromptError
        If a label says nothing.
    """
    for name in request.prompt_fields:
        check_prompt_field(footage, name)
        if name == request.output_field:
            continue
        names = class_names(footage.dataset, name)
        for frame, value in footage.read(name, filtered=True):
            if request.prompt_frames is not None and frame + 1 not in request.prompt_frames:
                continue
            for label in single_labels(value):
                if request.label_ids is None or label.id in request.label_ids:
                    yield from state(frame, label, frame_size, names)


def check_prompt_field(footage: Footage, name: str) -> None:
    """Check that a field is there and holds labels that are prompts."""
    field = footage.schema().get(name)
    kinds = ", ".join(kind.__name__ for kind in PROMPT_TYPES)
    if field is None:
        raise FootageError(
            f"The frames of {footage.name} have no field {name!r}: name one that holds {kinds}."
        )
    if getattr(field, "document_type", None) not in PROMPT_TYPES:
        raise FootageError(f"The field {name!r} holds no prompts: choose one that holds {kinds}.")


def state(
    frame: int, label: Any, frame_size: tuple[int, int], names: dict[int, str] | None = None
) -> Iterator[Statement]:
    """Say what a label says; a Segmentation speaks of several objects."""
    values = plain(label)
    if isinstance(label, fo.Classification):  # a person says that the object is not there
        cue = Cue(mask=ObjectMask.empty(frame_size))
        yield _statement(frame, values, cue)
    elif isinstance(label, fo.Segmentation):
        for value, mask in read_segmentation(values["mask"], frame_size).items():
            name = (names or {}).get(value)
            yield Statement(frame, Cue(mask=mask), label.id, name, value)
    else:
        yield _statement(frame, values, read_cue(values, frame_size))


def _statement(frame: int, values: dict[str, Any], cue: Cue) -> Statement:
    said = (values.get(key) for key in ("label", "index", "instance"))
    return Statement(frame, cue, str(values["id"]), *said)


def class_names(dataset: Any, name: str) -> dict[int, str]:
    """Names of a segmentation's values."""
    targets = dataset.mask_targets
    found = targets.get(f"frames.{name}") or targets.get(name) or dataset.default_mask_targets
    return {k: v for k, v in (found or {}).items() if isinstance(k, int) and isinstance(v, str)}
