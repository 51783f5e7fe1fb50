"""What happens to objects: births, divisions and ends, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from sam2_plugins.core.masks import ObjectId

EventKind: TypeAlias = Literal["born", "divided", "ended"]


@dataclass(frozen=True)
class Event:
    """A decision about a lineage, which a person may take back.

    Attributes
    ----------
    frame
        The first frame of what was born, of daughters, or the last of what ended.
    objects
        What was born or ended, or the daughters.
    mother
        Of a division; it is seen last on the frame before.
    reason
        Why, for a person.
    goes_on_as
        The object that a person prompted later, and that is the same as what ended.
    """

    kind: EventKind
    frame: int
    objects: tuple[ObjectId, ...]
    reason: str
    mother: ObjectId | None = None
    goes_on_as: ObjectId | None = None

    def __str__(self) -> str:
        names = " and ".join(map(str, self.objects))
        if self.kind == "divided":
            return f"Frame {self.frame}: {self.mother} divided into {names}: {self.reason}"
        return f"Frame {self.frame}: {names} {self.kind}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """Return plain values, from which `Event.of` makes it again."""
        return {**asdict(self), "objects": list(self.objects)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Event:
        """Make an event of plain values."""
        return cls(**{**values, "objects": tuple(values["objects"])})


def parents_of(events: Iterable[Event]) -> dict[ObjectId, ObjectId]:
    """Daughter to mother."""
    return {
        daughter: event.mother
        for event in events
        if event.mother is not None
        for daughter in event.objects
    }


def summary_of(events: Iterable[Event]) -> str:
    """Count what happened, in a line for a person."""
    number = Counter(event.kind for event in events)
    return (
        f"{number['born']} objects appeared, {number['divided']} divided, {number['ended']} ended."
    )
