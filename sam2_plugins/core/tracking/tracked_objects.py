"""The objects of a tracker, their prompts in order, and what can be undone and done again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectId, ObjectMask, plain_id
from sam2_plugins.core.prompts import XY, Prompt
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.core.tracking.tracked_object import TrackedObject

UNDO_DEPTH = 64
"""Changes that can be taken back: each keeps the memory maps that its object had then."""


@dataclass(frozen=True)
class _Change:
    """What to go back to: the objects concerned, and the order of everything, as they were.

    Attributes
    ----------
    prompt
        That was added or taken away.
    objects
        Copies of its object, and of those that it changed; None: there was none.
    order
        Ids of all objects, in the order in which they came.
    log
        All prompts, in order.
    """

    prompt: Prompt
    objects: Mapping[ObjectId, TrackedObject | None]
    order: tuple[ObjectId, ...]
    log: tuple[Prompt, ...]


class TrackedObjects:
    """Objects by id, in the order in which they came.

    Every change is made as a whole or not at all, and can be undone: the objects as they were are
    kept rather than replayed.
    """

    def __init__(self, frame_size: tuple[int, int], policy: Sam2Policy) -> None:
        self._new = partial(TrackedObject, frame_size=frame_size, policy=policy)
        self._objects: dict[ObjectId, TrackedObject] = {}
        self._log: list[Prompt] = []
        self._undo: deque[_Change] = deque(maxlen=UNDO_DEPTH)
        self._redo: deque[_Change] = deque()

    def __iter__(self) -> Iterator[TrackedObject]:
        return iter(tuple(self._objects.values()))

    def __contains__(self, obj: ObjectId) -> bool:
        return obj in self._objects

    def __getitem__(self, obj: ObjectId) -> TrackedObject:
        if obj not in self._objects:
            known = ", ".join(map(repr, self._objects)) or "none yet"
            raise PromptError(f"There is no object {obj!r}. Known objects: {known}.")
        return self._objects[obj]

    @property
    def ids(self) -> tuple[ObjectId, ...]:
        """Ids of the objects."""
        return tuple(self._objects)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts, in order."""
        return tuple(self._log)

    def add(
        self,
        prompt: Prompt,
        predict: Callable[[TrackedObject, Prompt], object],
        leave_out: Callable[[TrackedObject, int, Sequence[XY]], tuple[XY, ...]] | None = None,
    ) -> TrackedObject:
        """Add a prompt to its object, or to a new one.

        Parameters
        ----------
        predict
            Brings the object up to date.
        leave_out
            Makes the mask of an object leave out the clicks on others, and returns those that it
            could. It is called for the new mask, and for those that hold a new click, as long as
            nothing was tracked from them. None: objects know nothing of each other.
        """
        frame, places = prompt.frame, prompt.points.on_it if prompt.points else ()
        if prompt.beside is not None:  # this was answered before, and so were the others
            leave_out = None
        others = [t for t in self if t.obj != prompt.obj and frame in t.prompted]
        holding = [t for t in others if t.is_new(frame) and t.holds_any(frame, places)]
        with self._changing(prompt, holding if leave_out else ()):
            tracked = self._objects.get(prompt.obj) or self._new(prompt.obj)
            tracked.extend_life(frame)
            predict(tracked, prompt)
            self._objects[prompt.obj] = tracked
            self._log.append(prompt)
            if leave_out is not None:
                clicks = [xy for t in others for xy in t.places(frame)]
                self._note(tracked, frame, leave_out(tracked, frame, clicks))
                for other in holding:
                    self._note(other, frame, leave_out(other, frame, places))
        return tracked

    def _note(self, tracked: TrackedObject, frame: int, beside: tuple[XY, ...]) -> None:
        """Note with the last prompt of an object on a frame what its mask leaves out."""
        log = self._log
        at = max(i for i, p in enumerate(log) if (p.frame, p.obj) == (frame, tracked.obj))
        log[at] = replace(log[at], beside=(*(log[at].beside or ()), *beside))

    def remove_prompts(self, frame: int, obj: ObjectId) -> None:
        """Take back all prompts of an object on a frame; without any left, it is removed."""
        tracked = self[obj]
        if frame not in tracked.prompted:
            raise PromptError(f"Object {obj!r} has no prompt on frame {frame}.")
        with self._changing(tracked.prompted[frame].prompts[-1]):
            tracked.remove_prompts(frame)
            if not tracked.prompted:
                del self._objects[obj]
            self._log = [p for p in self._log if (p.frame, p.obj) != (frame, obj)]

    def remove(self, obj: ObjectId) -> None:
        """Forget an object with all that belongs to it."""
        with self._changing(self._last_prompt(obj)):
            del self._objects[obj]
            self._log = [p for p in self._log if p.obj != obj]

    def bound(self, obj: ObjectId, life: Life) -> None:
        """Bound the frames on which an object exists; see `VideoTracker.set_life`."""
        tracked, first, last = self[obj], plain_id(life.first), plain_id(life.last)
        for frame in (first, last):
            if frame is not None and (type(frame) is not int or frame < 0):
                raise PromptError(
                    f"Object {obj!r} lives from one frame to another, whole numbers from 0 on, "
                    f"not {frame!r}."
                )
        life = Life(first, last)
        if first is not None and last is not None and first > last:
            raise PromptError(f"Object {obj!r} cannot end on frame {last}, before frame {first}.")
        for frame in tracked.prompted:
            if frame not in life:
                raise PromptError(
                    f"Object {obj!r} has a prompt on frame {frame}, outside of its life from "
                    f"{first} to {last}: remove the prompt first."
                )
        if life != tracked.life:
            with self._changing(self._last_prompt(obj)):
                tracked.bound(life)

    def return_to(
        self,
        states: Mapping[ObjectId, Mapping[str, Any]],
        masks: Iterable[tuple[int, Mapping[ObjectId, ObjectMask]]],
    ) -> bool:
        """Become the objects of kept states, unless these are of other prompts.

        What came before cannot be undone any more.
        """
        if not all(tracked.has_prompts_of(states.get(tracked.obj)) for tracked in self):
            return False
        objects = {obj: self._new(obj) for obj in states}
        for obj, tracked in objects.items():
            tracked.go_on_from(states[obj], {})
        for frame, found in masks:
            for obj, mask in found.items():
                # The mask of a prompted frame is that of its prompts: it may be newer.
                if (
                    obj in states
                    and frame in states[obj]["current"] - states[obj]["prompted"].keys()
                ):
                    objects[obj].record.put(frame, mask)
        for obj, state in states.items():
            if obj not in self._objects:
                self._log += [p for known in state["prompted"].values() for p in known.prompts]
        self._objects = objects
        self._undo.clear()
        self._redo.clear()
        return True

    def clear(self) -> None:
        """Forget everything, and what could be undone."""
        for kept in (self._objects, self._log, self._undo, self._redo):
            kept.clear()

    # -- undo and redo

    def undo(self) -> Prompt | None:
        """Take back the last change, exactly; None if there is none."""
        return self._step(self._undo, self._redo)

    def redo(self) -> Prompt | None:
        """Do the change again that was undone last, exactly; None if there is none."""
        return self._step(self._redo, self._undo)

    def _step(self, changes: deque[_Change], others: deque[_Change]) -> Prompt | None:
        if not changes:
            return None
        change = changes.pop()
        others.append(self._as_it_is(change.prompt, change.objects))
        self._go_to(change)
        return change.prompt

    @contextmanager
    def _changing(self, prompt: Prompt, others: Iterable[TrackedObject] = ()) -> Iterator[None]:
        before = self._as_it_is(prompt, [prompt.obj, *(other.obj for other in others)])
        try:
            yield
        except BaseException:
            self._go_to(before)
            raise
        self._undo.append(before)
        self._redo.clear()

    def _as_it_is(self, prompt: Prompt, ids: Iterable[ObjectId]) -> _Change:
        known = {obj: self._objects.get(obj) for obj in ids}
        copied = {obj: tracked and tracked.copy() for obj, tracked in known.items()}
        return _Change(prompt, copied, self.ids, self.prompts)

    def _go_to(self, change: _Change) -> None:
        objects = {obj: t for obj, t in self._objects.items() if obj not in change.objects}
        objects |= {obj: t.copy() for obj, t in change.objects.items() if t is not None}
        self._objects = {obj: objects[obj] for obj in change.order}
        self._log = list(change.log)

    def _last_prompt(self, obj: ObjectId) -> Prompt:
        known = self[obj]
        return next(p for p in reversed(self._log) if p.obj == known.obj)
