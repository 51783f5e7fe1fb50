"""Reads the labels on a movie's frames as prompts of its objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import fiftyone as fo

from sam2_plugins.core.errors import PromptError, Sam2PluginsError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin.documents import PROMPT_TYPES, instance_of, labels_of, plain
from sam2_plugins.fiftyone_plugin.fields import find_field
from sam2_plugins.fiftyone_plugin.footage import Footage, FootageError
from sam2_plugins.fiftyone_plugin.labels import Cue, read_cue, read_segmentation
from sam2_plugins.fiftyone_plugin.objects import PromptLabel, object_name
from sam2_plugins.fiftyone_plugin.request import Request, reason


@dataclass
class Prompting:
    """The labels on a movie's frames as prompts.

    Attributes
    ----------
    prompt_labels
        Of all the labels, also of those that are not chosen as prompts.
    problems
        A line for each label that cannot be read. The others do not suffer from it.
    """

    prompt_labels: list[PromptLabel] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(
        self,
        frame: int,
        label: Any,
        frame_size: tuple[int, int],
        length: int | None,
        *,
        field: str = "",
        names: Mapping[int, str] | None = None,
        chosen: bool = True,
    ) -> None:
        """Read a label.

        Parameters
        ----------
        length
            Of the movie; None if not known.
        field
            Where the label is; "" for the field of results.
        names
            Of a segmentation's values.
        """
        try:
            if length is not None and frame >= length:
                raise PromptError(f"the movie ends with frame {length}.")
            found = list(read_label(frame, label, frame_size, names))
        except Exception as error:  # of any kind: labels are imported from many tools
            found = [_prompt_label(frame, _own_values(label), None)]
            if chosen:
                name = object_name(found[0].label, found[0].index)
                where = field and f" in {field!r}"
                self.problems.append(f"frame {frame + 1}, {name}{where}: {_reason(error)}")
        self.prompt_labels += [replace(one, field=field, chosen=chosen) for one in found]


def read_prompts(
    footage: Footage,
    request: Request,
    frame_size: tuple[int, int],
    length: int | None,
    by_people: Iterable[tuple[int, Any]],
) -> Prompting:
    """Read the labels of the prompt fields.

    Parameters
    ----------
    by_people
        Frame and label of what people made in the field of results.

    Raises
    ------
    FootageError
        If there is no such field, or it holds no labels that are prompts.
    """
    found = Prompting()
    for name in request.prompt_fields:
        check_prompt_field(footage.fields.schema(), name)
        if name == request.output_field:
            continue
        names = class_names(footage.dataset, name)
        shown = {
            label.id
            for frame, value in footage.read(name, filtered=True)
            for label in labels_of(value)
            if request.prompt_frames is None or frame + 1 in request.prompt_frames
            if request.label_ids is None or label.id in request.label_ids
        }
        # Beyond a clip, too: what is prompted there is an object, though not of this run.
        for frame, value in footage.read(name, beyond=True):
            for label in labels_of(value):
                chosen = label.id in shown
                found.add(frame, label, frame_size, length, field=name, names=names, chosen=chosen)
    for frame, label in by_people:
        found.add(frame, label, frame_size, length)
    return found


def check_prompt_field(schema: Mapping[str, Any], name: str) -> None:
    """Check that a field exists on the frames, and holds labels that can be prompts."""
    kinds = ", ".join(kind.__name__ for kind in PROMPT_TYPES)
    field = find_field(schema, name)
    if field is None:
        declare = ", or FiftyOne does not know it yet (add_dynamic_frame_fields)"
        why = declare if name.partition(".")[0] in schema else ""
        raise FootageError(
            f"The frames have no field {name!r}, or the view hides it{why}: name one that holds "
            f"{kinds}."
        )
    if getattr(field, "document_type", None) not in PROMPT_TYPES:
        raise FootageError(f"The field {name!r} holds no prompts: choose one that holds {kinds}.")


def read_label(
    frame: int, label: Any, frame_size: tuple[int, int], names: Mapping[int, str] | None = None
) -> Iterator[PromptLabel]:
    """Read a label; a Segmentation is of several objects.

    Raises
    ------
    PromptError
        If it holds no prompt.
    """
    values = plain(label)
    if isinstance(label, fo.Classification):  # by a person: the object is not there
        yield _prompt_label(frame, values, Cue(mask=ObjectMask.empty(frame_size)))
    elif isinstance(label, fo.Segmentation):
        for value, mask in read_segmentation(values["mask"], frame_size).items():
            yield PromptLabel(frame, Cue(mask=mask), label.id, (names or {}).get(value), value)
    else:
        yield _prompt_label(frame, values, read_cue(values, frame_size))


def _prompt_label(frame: int, values: Mapping[str, Any], cue: Cue | None) -> PromptLabel:
    label, index, instance = (values.get(key) for key in ("label", "index", "instance"))
    return PromptLabel(frame, cue, str(values["id"]), label, index, instance)


def _own_values(label: Any) -> dict[str, Any]:
    """The values of a label that name it, without its mask."""
    there = {*label.field_names}
    values = {name: label[name] for name in ("label", "index") if name in there}
    return {**values, "id": label.id, "instance": instance_of(label)}


def _reason(error: Exception) -> str:
    if isinstance(error, Sam2PluginsError | OSError):
        return reason(error)
    return "it cannot be read."  # for any other exception that its values cause


def class_names(dataset: Any, name: str) -> dict[int, str]:
    """Names of a segmentation's values."""
    targets = dataset.mask_targets
    found = targets.get(f"frames.{name}") or targets.get(name) or dataset.default_mask_targets
    return {k: v for k, v in (found or {}).items() if isinstance(k, int) and isinstance(v, str)}
