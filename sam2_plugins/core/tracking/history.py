"""Undo and redo: the objects as they were before each change, kept rather than replayed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.tracked_object import TrackedObject

UNDO_DEPTH = 64
"""Changes that can be taken back: each keeps the memory maps that its object had then."""


@dataclass(frozen=True)
class State:
    """One object and the order of everything, at one moment.

    Attributes
    ----------
    tracked
        A copy of the object; None: it did not exist.
    order
        Ids of all objects, in the order in which they came.
    log
        All prompts, in order.
    """

    obj: ObjectId
    tracked: TrackedObject | None
    order: tuple[ObjectId, ...]
    log: tuple[Prompt, ...]


@dataclass(frozen=True)
class Change:
    """A change of one object.

    Attributes
    ----------
    prompt
        The prompt that was added or taken away.
    state
        What to go back to.
    """

    prompt: Prompt
    state: State


class History:
    """The changes that can be undone, and those that can be done again."""

    def __init__(self, depth: int = UNDO_DEPTH) -> None:
        self._undo: deque[Change] = deque(maxlen=depth)
        self._redo: list[Change] = []

    def record(self, change: Change) -> None:
        """Keep how things were before a change; what was undone before it cannot come back."""
        self._undo.append(change)
        self._redo.clear()

    def last(self, *, redo: bool = False) -> Change | None:
        """Return the change that would be undone, or done again, next; None if there is none."""
        changes = self._redo if redo else self._undo
        return changes[-1] if changes else None

    def step(self, now: State, *, redo: bool = False) -> None:
        """Move the next change to the other side, with the state that it is left for."""
        changes, others = (self._redo, self._undo) if redo else (self._undo, self._redo)
        others.append(Change(changes.pop().prompt, now))

    def clear(self) -> None:
        """Forget everything."""
        self._undo.clear()
        self._redo.clear()
