"""One object of a tracker: what was said of it, what it remembers, and what came out."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.memory.bank import MemoryBank, Policy
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.core.tracking.windows.planner import Window

Click: TypeAlias = tuple[float, float, int]
"""x, y in pixels of the frame; 1 on the object, 0 not on it."""


def unmet_sentence(click: Click) -> str:
    """Tell a person of a click that a mask goes against, and what helps."""
    x, y, on_it = click
    wrong = "leaves out" if on_it else "still covers"
    return (
        f"the mask {wrong} the click at ({x:g}, {y:g}): click nearer to the middle of what is "
        "meant, or draw a box."
    )


@dataclass(frozen=True)
class Output:
    """What the network gave for an object on one frame.

    Attributes
    ----------
    logits
        [1, 1, 4 g, 4 g] low-resolution logits of the mask in its window.
    pointer
        [C] object pointer.
    object_score
        [1, 1] logit.
    """

    logits: Tensor
    pointer: Tensor
    object_score: Tensor
    iou: float
    window: Window


@dataclass(frozen=True)
class Answer:
    """The mask that prompts of an object on a frame gave.

    Attributes
    ----------
    side
        Side of the object's windows in pixels; None: the whole frame.
    guess
        A box, by scale search, around what the clicks are on; None if clicks refuted it.
    unmet
        Clicks that the mask goes against although every way to meet them was tried.
    """

    output: Output
    mask: ObjectMask
    side: int | None = None
    guess: Prompt | None = None
    unmet: tuple[Click, ...] = ()


@dataclass(frozen=True, slots=True)
class _Packed:
    """A mask in a few hundred bytes, so that the results of a long movie fit in memory."""

    data: bytes
    shape: tuple[int, int]
    offset: tuple[int, int]
    iou: float
    score: float

    @classmethod
    def of(cls, mask: ObjectMask) -> _Packed:
        data = zlib.compress(np.packbits(mask.crop).tobytes(), 1)
        h, w = mask.crop.shape
        return cls(data, (h, w), mask.offset, mask.iou, mask.score)

    def unpack(self, frame_size: tuple[int, int]) -> ObjectMask:
        bits = np.frombuffer(zlib.decompress(self.data), np.uint8)
        h, w = self.shape
        crop = np.unpackbits(bits, count=h * w).reshape(h, w).astype(bool)
        return ObjectMask(crop, self.offset, frame_size, self.iou, self.score)


class MaskRecord:
    """The masks of one object by frame, packed.

    After a correction some do not follow from the prompts any more. They stand until a track comes
    that is better.
    """

    def __init__(self, frame_size: tuple[int, int]) -> None:
        self._frame_size = frame_size
        self._packed: dict[int, _Packed] = {}
        self._current: set[int] = set()
        self._standing: set[int] = set()
        # The last mask is wanted again at once, for the result and for the next frame.
        self._last: tuple[int, ObjectMask] | None = None

    def __contains__(self, frame: int) -> bool:
        return frame in self._packed

    def __len__(self) -> int:
        return len(self._packed)

    @property
    def frames(self) -> list[int]:
        """Frames that have a mask, in order of time."""
        return sorted(self._packed)

    def get(self, frame: int) -> ObjectMask | None:
        """Return the mask of a frame: empty if the object is not there, None if never tracked."""
        if self._last is not None and self._last[0] == frame:
            return self._last[1]
        packed = self._packed.get(frame)
        return None if packed is None else packed.unpack(self._frame_size)

    def put(self, frame: int, mask: ObjectMask) -> None:
        """Set the mask of a frame."""
        self._packed[frame] = _Packed.of(mask)
        self._last = frame, mask
        self.keep(frame)

    def drop(self, frame: int) -> None:
        """Forget a frame."""
        self._packed.pop(frame, None)
        self._last = None
        self._current.discard(frame)
        self._standing.discard(frame)

    def is_current(self, frame: int) -> bool:
        """Whether the mask of a frame still follows from the prompts."""
        return frame in self._current

    @property
    def current(self) -> frozenset[int]:
        """Frames whose masks follow from the prompts."""
        return frozenset(self._current)

    def outdate(self, frames: Collection[int], standing: bool) -> None:
        """Mark masks as not following from the prompts any more.

        Parameters
        ----------
        standing
            They stay where no better one comes; otherwise whatever comes replaces them.
        """
        if standing:
            self._standing |= self._current.intersection(frames)
        else:
            self._standing.difference_update(frames)
        self._current.difference_update(frames)

    def standing(self, frame: int) -> ObjectMask | None:
        """Return the mask that stands on a frame until a better one comes; None if none does."""
        return self.get(frame) if frame in self._standing else None

    @property
    def all_standing(self) -> dict[int, ObjectMask]:
        """The masks that stand until better ones come, by frame."""
        return {f: m for f in sorted(self._standing) if (m := self.get(f)) is not None}

    def stand(self, frame: int, mask: ObjectMask) -> None:
        """Set a mask that stands until a better one comes."""
        self.put(frame, mask)
        self.outdate([frame], standing=True)

    def keep(self, frame: int) -> None:
        """Let the mask that is there follow from the prompts."""
        self._current.add(frame)
        self._standing.discard(frame)

    def copy(self) -> MaskRecord:
        """Copy the record; the packed masks, which never change, are shared."""
        other = MaskRecord(self._frame_size)
        other._packed, other._current = dict(self._packed), set(self._current)
        other._standing = set(self._standing)
        return other


@dataclass(frozen=True)
class PromptedFrame:
    """All prompts of an object on one frame, in order, and the answer to them.

    Attributes
    ----------
    conditioned
        The frame had been tracked before it was prompted, so that the memory has a say.
    """

    prompts: list[Prompt] = field(default_factory=list)
    answer: Answer | None = None
    conditioned: bool = False

    @property
    def output(self) -> Output | None:
        """What the network gave."""
        return None if self.answer is None else self.answer.output


class TrackedObject:
    """State of one object.

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

    def __init__(self, obj: ObjectId, frame_size: tuple[int, int], policy: Policy) -> None:
        self.obj = obj
        self.prompted: dict[int, PromptedFrame] = {}
        self.bank = MemoryBank(policy)
        self.record = MaskRecord(frame_size)
        self.life = Life()
        self.side: int | None = None
        self.window: Window | None = None
        self.open_joins: set[tuple[int, int]] = set()

    def copy(self) -> TrackedObject:
        """Copy the state; what never changes (memories, masks, outputs) is shared."""
        other = copy.copy(self)
        other.prompted = dict(self.prompted)
        other.bank = self.bank.copy()
        other.record = self.record.copy()
        other.open_joins = set(self.open_joins)
        return other

    def go_on_from(self, state: Mapping[str, Any], masks: Mapping[int, ObjectMask]) -> None:
        """Take a state that was kept, with the masks that belong to it; see `memory_file`."""
        self.prompted, self.life = dict(state["prompted"]), state["life"]
        self.side, self.window = state["side"], state["window"]
        bank = self.bank
        bank.prompted, bank.anchors, bank.tracked, bank.state = state["bank"]
        self.open_joins = set(state["open_joins"])
        for frame, prompted in self.prompted.items():
            if prompted.answer is not None:
                self.record.put(frame, prompted.answer.mask)
        for frame in state["current"]:
            if frame in masks and frame not in self.prompted:
                self.record.put(frame, masks[frame])
        for frame, mask in state["standing"].items():
            self.record.stand(frame, mask)

    def bound(self, life: Life) -> None:
        """Set the life, and forget what lies outside of it."""
        self.life = life
        for frame in self.record.frames:
            if frame not in life:
                self.record.drop(frame)
                self.bank.forget([frame])

    def outdate_around(self, frame: int, standing: bool, moved: bool = False) -> None:
        """After a change on a frame: masks up to the neighbouring prompts are out of date.

        Parameters
        ----------
        standing
            They stay where no better ones come.
        moved
            The object is elsewhere from this frame on: later masks do not stay.
        """
        before, after = self._neighbours(frame)
        between = [
            f
            for f in self.record.frames
            if f != frame and (before is None or f > before) and (after is None or f < after)
        ]
        self.record.outdate([f for f in between if f < frame], standing)
        self.record.outdate([f for f in between if f > frame], standing and not moved)
        self.bank.forget(between)
        self.open_joins &= {pair for pair in pairwise(sorted(self.prompted)) if frame not in pair}

    def between(self, frame: int) -> tuple[int, int] | None:
        """Return the prompted frames between which a frame lies; None if it does not."""
        before, after = self._neighbours(frame)
        return None if before is None or after is None else (before, after)

    def _neighbours(self, frame: int) -> tuple[int | None, int | None]:
        before = max((f for f in self.prompted if f < frame), default=None)
        return before, min((f for f in self.prompted if f > frame), default=None)
