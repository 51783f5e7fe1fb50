"""Which labels are of the same object, and what is said of each.

Labels are joined by their instance, or by class and index; a label without a class joins the only
class of its index. A label with neither instance nor index is an object of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from sam2_plugins.core.prompts import Prompt
from sam2_plugins.fiftyone_plugin.labels import Cue, merge_cues


@dataclass(frozen=True)
class Statement:
    """What one label says, and of which object.

    Attributes
    ----------
    frame
        0-based.
    id
        Of the label, or a text that is unique to it.
    instance
        Id of FiftyOne's instance, if it has one.
    """

    frame: int
    cue: Cue
    id: str
    label: str | None = None
    index: int | None = None
    instance: str | None = None


@dataclass(frozen=True)
class TrackedLabel:
    """One object: how its labels are named.

    Attributes
    ----------
    instance
        24 hexadecimal digits, the same in every run; the object's id in the core.
    index
        As FiftyOne numbers the objects of a sample.
    """

    instance: str
    label: str | None
    index: int


def join(
    statements: Sequence[Statement], sample_id: str, indices: Mapping[str, int] | None = None
) -> dict[TrackedLabel, list[Prompt]]:
    """Group statements by object, and make prompts of them, in order of frame.

    Parameters
    ----------
    sample_id
        Makes the instances that have to be invented those of this sample.
    indices
        Instance to index, of an earlier run.
    """
    groups: dict[str, list[Statement]] = {}
    for key, statement in zip(find_instances(statements, sample_id), statements, strict=True):
        groups.setdefault(key, []).append(statement)
    numbers = _number(groups, indices or {})
    objects = {}
    for key, said in groups.items():
        label = next((one.label for one in said if one.label is not None), None)
        prompts = []
        for frame in sorted({one.frame for one in said}):
            prompts += merge_cues(frame, key, [one.cue for one in said if one.frame == frame])
        objects[TrackedLabel(key, label, numbers[key])] = prompts
    return objects


def find_instances(statements: Sequence[Statement], sample_id: str) -> list[str]:
    """Return the instance of the object that each statement is of."""
    instance_of = _Instances(statements, sample_id)
    return [instance_of(statement) for statement in statements]


class _Instances:
    """Finds the instance of a statement."""

    def __init__(self, statements: Iterable[Statement], sample_id: str) -> None:
        self._sample_id = sample_id
        self._classes: dict[int, set[str]] = {}
        self._instances: dict[tuple[int, str | None], str] = {}
        for one in statements:
            if one.index is not None and one.label is not None:
                self._classes.setdefault(one.index, set()).add(one.label)
        for one in statements:
            if one.index is not None and one.instance is not None:
                self._instances.setdefault((one.index, self._class(one)), one.instance)

    def __call__(self, one: Statement) -> str:
        if one.instance is not None:
            return one.instance
        if one.index is None:
            return _invented(self._sample_id, one.id)
        name = one.index, self._class(one)
        return self._instances.get(name) or _invented(self._sample_id, *name)

    def _class(self, one: Statement) -> str | None:
        assert one.index is not None
        known = self._classes.get(one.index, set())
        return next(iter(known)) if one.label is None and len(known) == 1 else one.label


def _number(groups: Mapping[str, Sequence[Statement]], known: Mapping[str, int]) -> dict[str, int]:
    """Give every object the index that it had before, or that its labels say, or a free one."""
    said = {
        key: next((one.index for one in group if one.index is not None), None)
        for key, group in groups.items()
    }
    numbers = {key: index for key, index in said.items() if index is not None}
    numbers |= {key: known[key] for key in groups if key in known}
    taken = {*numbers.values(), *known.values()}
    free = (number for number in count(1) if number not in taken)
    return {key: numbers[key] if key in numbers else next(free) for key in groups}


def _invented(*parts: object) -> str:
    """An instance that is the same in every run, so that a correction finds its object again."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
