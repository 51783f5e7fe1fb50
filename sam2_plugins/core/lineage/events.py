"""What happens to objects: births, divisions and ends, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

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
    """

    kind: EventKind
    frame: int
    objects: tuple[ObjectId, ...]
    reason: str
    mother: ObjectId | None = None

    def __str__(self) -> str:
        names = " and ".join(map(str, self.objects))
        if self.kind == "divided":
            return f"Frame {self.frame}: {self.mother} divided into {names}: {self.reason}"
        return f"Frame {self.frame}: {names} {self.kind}: {self.reason}"
