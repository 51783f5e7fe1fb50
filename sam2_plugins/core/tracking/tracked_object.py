"""One object of a tracker: its prompts, what it remembers, and its masks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias, TypeGuard

from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.prompts import NEGATIVE, XY, Click, Points, Prompt
from sam2_plugins.core.tracking.mask_record import MaskRecord
from sam2_plugins.core.tracking.memory.bank import Memory, MemoryBank, Recall
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.query import Combined, Prediction, Query, unmet_sentence
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.core.tracking.windows.planner import Window

SAME_OBJECT = 0.5
"""IoU from which on two masks are of one object, and only their outlines differ."""

RecallInWindow: TypeAlias = "Callable[[TrackedObject, int, Window], Recall]"
"""Gives what an object remembers on a frame, in a window."""


@dataclass(frozen=True)
class PromptedFrame:
    """All prompts of an object on one frame, in order, and the prediction from them.

    Attributes
    ----------
    conditioned
        The frame had been tracked before it was prompted, so that the memory conditions its mask.
    moved
        A person showed that the object is elsewhere than it was tracked to.
    """

    prompts: list[Prompt]
    prediction: Prediction
    conditioned: bool = False
    moved: bool = False


class TrackedObject:
    """State of one object, which changes by the methods here.

    Attributes
    ----------
    life
        Frames on which it exists: it is tracked to no other.
    side
        Side of its windows in pixels; None: it is seen in the whole frame.
    window
        Where it is looked for next.
    open_joins
        Pairs of prompted frames between which sweeps from both met, and may not agree.
    """

    def __init__(self, obj: ObjectId, frame_size: tuple[int, int], policy: Sam2Policy) -> None:
        self.obj = obj
        self._frame_size = frame_size
        self.prompted: dict[int, PromptedFrame] = {}
        self.bank = MemoryBank(policy)
        self.record = MaskRecord(frame_size)
        self.life = Life()
        self.side: int | None = None
        self.window: Window | None = None
        self.open_joins: set[tuple[int, int]] = set()

    # -- what is known

    @property
    def next_window(self) -> Window:
        """The window, of an object that has one: of every object that was prompted."""
        if self.window is None:
            raise ValueError(f"object {self.obj!r} has no window yet")
        return self.window

    def unmet(self, frame: int) -> tuple[Click, ...]:
        """Return the clicks that the mask of a prompted frame goes against."""
        prompted = self.prompted.get(frame)
        return prompted.prediction.unmet if prompted else ()

    def unmet_notes(self) -> list[str]:
        """Return a line for a person for every click that a mask goes against."""
        return [
            f"Object {self.obj!r}, frame {frame}: {unmet_sentence(click)}"
            for frame in sorted(self.prompted)
            for click in self.unmet(frame)
        ]

    def is_due(self, frame: int) -> bool:
        """Whether the mask of a frame has to be tracked."""
        return frame not in self.prompted and not self.record.is_current(frame)

    def between(self, frame: int) -> tuple[int, int] | None:
        """Return the prompted frames between which a frame lies; None if it does not."""
        before, after = self._neighbours(frame)
        return None if before is None or after is None else (before, after)

    def origin(self, frame: int, reverse: bool) -> int | None:
        """Return the prompted frame from which a sweep comes to a frame."""
        return self._neighbours(frame)[1 if reverse else 0]

    def places(self, frame: int) -> tuple[XY, ...]:
        """Return the clicks on the object on a frame that count."""
        prompted = self.prompted.get(frame)
        points = Combined.of(prompted.prompts).clicks if prompted else None
        return points.on_it if points else ()

    def holds_any(self, frame: int, places: Iterable[XY]) -> bool:
        """Whether the mask of a frame has the very pixel of any place."""
        mask = self.record.get(frame)
        return mask is not None and any(_holds(mask, [xy]) for xy in places)

    def is_refuted(self, frame: int) -> bool:
        """Whether the mask that stands on a frame is from before a prompt that moved the object."""
        since = [f for f in self.record.corrections(frame) if f < frame and f in self.prompted]
        return any(self.prompted[f].moved for f in since)

    def is_new(self, frame: int) -> bool:
        """Whether the object is shown on a frame for the first time, and was not tracked at all."""
        return self._is_shown(frame) and self.record.frames == sorted(self.prompted)

    def _is_shown(self, frame: int) -> bool:
        """Whether the mask of a prompted frame follows from its clicks and boxes alone."""
        prompted = self.prompted[frame]
        return not prompted.conditioned and not any(prompt.mask for prompt in prompted.prompts)

    # -- prompts

    def add_prompt(
        self,
        prompt: Prompt,
        predict: Callable[[Query], Prediction],
        recall: RecallInWindow | None = None,
    ) -> Prediction:
        """Predict the mask of all prompts of a frame with one more, and keep it.

        Parameters
        ----------
        recall
            Where the frame had been tracked before, memory conditions the mask.
        """
        prediction = predict(self._query(prompt, recall))
        self._keep(prompt, prediction)
        return prediction

    def leave_out(
        self, frame: int, places: Collection[XY], predict: Callable[[Query], Prediction]
    ) -> tuple[XY, ...]:
        """Exclude those clicks on other objects that the mask of a frame holds.

        Only where the mask then meets all other clicks as before, and only where the object is
        shown for the first time: a mask that was tracked or painted changes as a person says.

        Returns
        -------
        tuple[XY, ...]
            The excluded places.
        """
        if not self._is_shown(frame):
            return ()
        excluded: list[XY] = []
        left = list(places)
        while left:
            place = left.pop(0)
            prediction = self.prompted[frame].prediction
            if not _holds(prediction.mask, [place]):
                continue
            prompt = Prompt(frame, self.obj, points=Points((place,), (NEGATIVE,)))
            found = predict(self._query(prompt))
            own = [xy for xy in self.places(frame) if _holds(prediction.mask, [xy])]
            meets_as_many = set(found.unmet) <= set(prediction.unmet) and _holds(found.mask, own)
            if found.mask.visible and meets_as_many and not _holds(found.mask, [place]):
                self._keep(prompt, found)
                excluded.append(place)
                # With this one, those before may be left out, too.
                left = [other for other in places if other not in excluded]
        return tuple(excluded)

    def _query(self, prompt: Prompt, recall: RecallInWindow | None = None) -> Query:
        frame = prompt.frame
        before = self.prompted.get(frame)
        prompts = [
            replace(one, box=one.box.within(self._frame_size)) if one.box else one
            for one in (*(before.prompts if before else ()), prompt)
        ]
        return Query(
            frame,
            prompts,
            predicted=before.prediction if before else None,
            recorded=self.record.get(frame),
            side=self.side,
            window=self.window,
            recall=partial(recall, self, frame) if recall and self._conditioned(frame) else None,
        )

    def _conditioned(self, frame: int) -> bool:
        before = self.prompted.get(frame)
        return frame in self.record if before is None else before.conditioned

    def _keep(self, prompt: Prompt, prediction: Prediction) -> None:
        """Take a prediction from the prompts of a frame with one more."""
        frame = prompt.frame
        before, recorded = self.prompted.get(frame), self.record.get(frame)
        # A click that excludes does not show where the object is.
        excludes = prompt.points is not None and not prompt.points.on_it
        elsewhere = recorded is not None and recorded.iou_with(prediction.mask) < SAME_OBJECT
        self.prompted[frame] = PromptedFrame(
            [*(before.prompts if before else ()), prompt],
            prediction,
            self._conditioned(frame),
            (before is not None and before.moved) or (elsewhere and not excludes),
        )
        self.bank.forget([frame])
        self.record.put(frame, prediction.mask)
        self._outdate_around(frame, standing=True)
        self.set_window(prediction.output.window, prediction.side)

    def remove_prompts(self, frame: int) -> None:
        """Take back all prompts of a frame."""
        del self.prompted[frame]
        self.bank.forget([frame])
        self.record.drop(frame)
        # What followed from a prompt that is taken back has no claim to stay.
        self._outdate_around(frame, standing=False)

    def extend_life(self, frame: int) -> None:
        """Let the object exist on a frame."""
        self.life = self.life.including(frame)

    def bound(self, life: Life) -> None:
        """Set the life, and forget what lies outside of it."""
        self.life = life
        for frame in self.record.frames:
            if frame not in life:
                self.record.drop(frame)
                self.bank.forget([frame])

    # -- tracking

    def set_window(self, window: Window, side: int | None) -> None:
        """Set the window in which it is tracked next, and the side of those after it."""
        self.window, self.side = window, side

    def accept(self, mask: ObjectMask, memory: Memory) -> None:
        """Take what a tracked frame gave for the object's mask and memory there."""
        self.record.put(memory.frame, mask)
        self.bank.remember_tracked(memory)

    def replace_mask(self, frame: int, mask: ObjectMask) -> None:
        """Take a mask of another track, whose memory is not kept."""
        self.record.put(frame, mask)
        self.bank.forget([frame])

    def open_join(self, frame: int) -> None:
        """Note that sweeps from the two prompts around a frame met there."""
        stretch = self.between(frame)
        if stretch is not None:
            self.open_joins.add(stretch)

    def close_join(self, stretch: tuple[int, int]) -> None:
        """Note that the sweeps between two prompts are one track."""
        self.open_joins.discard(stretch)

    def only_at(self, frame: int, prompts: tuple[int, int]) -> TrackedObject:
        """Copy the object as it is on a frame between two prompts.

        What is tracked from there depends on nothing else between them.
        """
        ahead = self.copy()
        ahead.bank.forget(list(ahead.bank.tracked))
        ahead.bank.state = None
        for other in range(prompts[0] + 1, prompts[1]):
            if other != frame:
                ahead.record.drop(other)
        return ahead

    # -- as a whole

    def copy(self) -> TrackedObject:
        """Copy the state; what never changes (memories, masks, outputs) is shared."""
        other = copy.copy(self)
        other.prompted = dict(self.prompted)
        other.bank = self.bank.copy()
        other.record = self.record.copy()
        other.open_joins = set(self.open_joins)
        return other

    def state(self) -> dict[str, Any]:
        """Return all but the masks that a record of masks has; see `memory_file`."""
        return {
            "obj": self.obj,
            "prompted": self.prompted,
            "life": self.life,
            "side": self.side,
            "window": self.window,
            "current": self.record.current,
            "standing": self.record.all_standing,
            "open_joins": self.open_joins,
            "bank": self.bank.contents,
        }

    def restore(
        self, masks: Mapping[int, ObjectMask], memory: Mapping[ObjectId, Mapping[str, Any]] | None
    ) -> None:
        """Take the masks of an earlier run, and the state that belongs to them.

        Parameters
        ----------
        memory
            States by object: without the object's own, or with one of other prompts, its masks are
            tracked again. None: no states were kept.
        """
        state = (memory or {}).get(self.obj)
        if self.has_prompts_of(state):
            self.go_on_from(state, masks)
        elif memory is None:
            for frame, mask in masks.items():
                if frame not in self.prompted:
                    self.record.put(frame, mask)

    def has_prompts_of(self, state: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
        """Whether there is a state, and it followed from the prompts that the object has."""
        return state is not None and _prompts(self.prompted) == _prompts(state["prompted"])

    def go_on_from(self, state: Mapping[str, Any], masks: Mapping[int, ObjectMask]) -> None:
        """Take a state, and those of the masks that belong to it."""
        self.prompted, self.life = dict(state["prompted"]), state["life"]
        self.side, self.window = state["side"], state["window"]
        self.bank.contents = state["bank"]
        self.open_joins = set(state["open_joins"])
        for frame, prompted in self.prompted.items():
            self.record.put(frame, prompted.prediction.mask)
        for frame in state["current"]:
            if frame in masks and frame not in self.prompted:
                self.record.put(frame, masks[frame])
        for frame, (mask, corrections) in state["standing"].items():
            self.record.stand(frame, mask, frozenset(corrections))

    def _outdate_around(self, frame: int, standing: bool) -> None:
        """After a change on a frame: masks up to the neighbouring prompts are out of date.

        Parameters
        ----------
        standing
            They stay where no better ones come.
        """
        before, after = self._neighbours(frame)
        between = [
            f
            for f in self.record.frames
            if f != frame and (before is None or f > before) and (after is None or f < after)
        ]
        self.record.outdate(between, frame if standing else None)
        self.bank.forget(between)
        self.open_joins &= {pair for pair in pairwise(sorted(self.prompted)) if frame not in pair}

    def _neighbours(self, frame: int) -> tuple[int | None, int | None]:
        before = max((f for f in self.prompted if f < frame), default=None)
        return before, min((f for f in self.prompted if f > frame), default=None)


def _holds(mask: ObjectMask, places: Iterable[XY]) -> bool:
    """Whether a mask has the very pixels of places."""
    return all(mask.around(x, y, 0).any() for x, y in places)


def _prompts(prompted: Mapping[int, PromptedFrame]) -> dict[int, list[Prompt]]:
    return {frame: one.prompts for frame, one in prompted.items()}
