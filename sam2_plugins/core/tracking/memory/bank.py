"""What one object remembers: prompted frames, the most recent frames, object pointers. Bounded.

Which frames are kept, and which of them are attended to, is a policy's matter: `policies`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from math import nan
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.tracking.windows.planner import Window

if TYPE_CHECKING:
    from torch import Tensor

    from sam2_plugins.core.model import Memories
    from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy

T = TypeVar("T")

UNTIMED = -1
"""Slot of a memory without a time."""

Box: TypeAlias = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the frame, ends exclusive."""


@dataclass(frozen=True)
class Candidates:
    """What the decoder offers for one object on a frame.

    Attributes
    ----------
    masks
        bool [K, h, w], of the window.
    ious
        [K] predicted IoU.
    score
        Object score: a logit.
    """

    masks: NDArray[np.bool_]
    ious: NDArray[np.floating]
    score: float
    window: Window

    @property
    def surest(self) -> int:
        """Index of the mask with the highest predicted IoU."""
        return int(self.ious.argmax())

    def box(self, index: int) -> Box | None:
        """Box of a mask in pixels of the frame; None if it is empty."""
        return box_of(self.masks[index], self.window)


@dataclass(frozen=True)
class Choice:
    """Which candidate is the mask.

    Attributes
    ----------
    motion
        IoU of its box with where the object was expected.
    anchor
        Worth to be remembered permanently.
    """

    index: int
    motion: float = 1.0
    anchor: bool = False


def box_of(mask: NDArray[np.bool_], window: Window) -> Box | None:
    """Box of a low-resolution mask of a window, in pixels of the frame; None if it is empty."""
    rows, columns = (np.flatnonzero(mask.any(axis)).tolist() for axis in (1, 0))
    if not rows:
        return None
    return in_frame((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), mask.shape, window)


def in_frame(box: tuple[int, int, int, int], shape: Sequence[int], window: Window) -> Box:
    """Bring a box on a grid [h, w] over a window to pixels of the frame."""
    down, across = window.height / shape[0], window.width / shape[1]
    x0, y0, x1, y1 = box
    left, top = window.x, window.y
    return left + across * x0, top + down * y0, left + across * x1, top + down * y1


def box_in(box: tuple[int, int, int, int] | None, window: Window) -> Box | None:
    """Return the part of a mask's box that a window shows; None if that is nothing."""
    if box is None:
        return None
    x0, y0, x1, y1 = window.box
    x0, y0, x1, y1 = max(box[0], x0), max(box[1], y0), min(box[2], x1), min(box[3], y1)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


@dataclass(frozen=True)
class Memory:
    """One frame as an object remembers it.

    Attributes
    ----------
    map
        [memory_width, g, g], or latents [N, memory_width], in bfloat16, as the official predictor
        stores it; None where only the pointer is kept.
    pointer
        [C].
    window
        What part of the frame the map covers.
    box
        Of the mask, in pixels of the frame; None if the object is not there.
    iou, score
        Predicted IoU, and object score (a logit). nan: not known.
    choice
        Why its mask was taken.
    closeup
        uint8 [2, side, side], the picture and the mask; see `tracking.outline`. None where the
        model has no outline refiner, or only the pointer is kept.
    colours
        float16, how much likelier each colour is the object's than its surroundings', of a
        prompted frame; see `tracking.colours`.
    """

    frame: int
    map: Tensor | None
    pointer: Tensor
    window: Window
    box: Box | None = None
    iou: float = nan
    score: float = nan
    choice: Choice = field(default_factory=lambda: Choice(0))
    closeup: Tensor | None = None
    colours: Tensor | None = None

    @property
    def visible(self) -> bool:
        """Whether the object is on the frame; yes, if nothing else is known."""
        return not self.score <= 0


@dataclass(frozen=True)
class Recall:
    """What an object attends to on one frame: (slot of time, memory), and (distance, memory)."""

    maps: tuple[tuple[int, Memory], ...]
    pointers: tuple[tuple[int, Memory], ...]

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of maps and of pointers."""
        return len(self.maps), len(self.pointers)


class MemoryBank:
    """Memories of one object. Its size does not depend on the length of the movie.

    Attributes
    ----------
    prompted
        Prompted (conditioning) frames.
    anchors
        Tracked frames that a policy keeps permanently, up to a number.
    tracked
        Tracked frames, the newest last.
    state
        What the policy knows of the object beyond its memories.
    """

    def __init__(self, policy: Sam2Policy) -> None:
        self.policy = policy
        self.prompted: dict[int, Memory] = {}
        self.anchors: dict[int, Memory] = {}
        self.tracked: dict[int, Memory] = {}
        self.state: Any = None

    def __bool__(self) -> bool:
        return bool(self.prompted or self.tracked)

    def copy(self) -> MemoryBank:
        """Copy the bank; the memories, which never change, are shared."""
        other = MemoryBank(self.policy)
        other.prompted, other.anchors = dict(self.prompted), dict(self.anchors)
        other.tracked, other.state = dict(self.tracked), deepcopy(self.state)
        return other

    @property
    def contents(self) -> list[Any]:
        """All memories and the state, to be kept, and to be set again."""
        return [self.prompted, self.anchors, self.tracked, self.state]

    @contents.setter
    def contents(self, kept: Sequence[Any]) -> None:
        self.prompted, self.anchors, self.tracked, self.state = kept

    def recall(self, frame: int, reverse: bool) -> Recall:
        """Return what the object attends to on a frame."""
        return self.policy.select(self, frame, reverse)

    def choose(self, frame: int, candidates: Candidates) -> Choice:
        """Choose the mask of a frame that is being tracked."""
        return self.policy.choose(self, frame, candidates)

    def closeups(self, frame: int) -> tuple[Tensor, Tensor] | None:
        """Return how the object looked on the nearest frame, and on the nearest prompted one.

        None if it was nowhere seen from near.
        """

        def near(memories: Iterable[Memory]) -> Tensor | None:
            seen = [m for m in memories if m.closeup is not None and m.visible]
            return min(seen, key=lambda m: abs(m.frame - frame)).closeup if seen else None

        shown = near(self.prompted.values())
        before = near([*self.prompted.values(), *self.tracked.values()])
        return None if shown is None or before is None else (before, shown)

    def colours(self, frame: int) -> Tensor | None:
        """Return what the colours of the nearest prompted frame say; None if no frame has any."""
        shown = [m for m in self.prompted.values() if m.colours is not None and m.visible]
        return min(shown, key=lambda m: abs(m.frame - frame)).colours if shown else None

    def remember_prompted(self, memory: Memory) -> None:
        """Keep a prompted frame."""
        self.forget([memory.frame])
        self.prompted[memory.frame] = memory

    def remember_tracked(self, memory: Memory) -> None:
        """Keep a tracked frame, and let go of those that are not needed any more."""
        self.tracked.pop(memory.frame, None)
        self.tracked[memory.frame] = memory
        self.policy.retain(self)

    def replace(self, memory: Memory) -> None:
        """Put a memory that was made again in the place of the earlier one of its frame."""
        for kept in (self.prompted, self.anchors, self.tracked):
            if memory.frame in kept:
                kept[memory.frame] = memory

    def keep_maps(self, frames: Collection[int], pointers: int) -> None:
        """Keep the maps of these tracked frames, and the newest pointers."""
        newest = list(self.tracked)[-pointers:]
        for frame in list(self.tracked):
            if frame in frames:
                continue
            if frame not in newest:
                del self.tracked[frame]
            elif self.tracked[frame].map is not None:
                self.tracked[frame] = replace(self.tracked[frame], map=None, closeup=None)

    def forget(self, frames: Sequence[int]) -> None:
        """Let go of frames, prompted or not."""
        for frame in frames:
            for kept in (self.prompted, self.anchors, self.tracked):
                kept.pop(frame, None)


def as_tensors(
    recalls: Sequence[Recall], span: int, shape: tuple[int, int] | None = None
) -> Memories:
    """Stack what several objects recall.

    Parameters
    ----------
    shape
        Numbers of maps and of pointers that everything is filled up to. None: as many as there
        are, which are the same for all.
    """
    # Here and not above: policies and forms know the bank without torch.
    import torch

    from sam2_plugins.core.model import Memories
    from sam2_plugins.core.tracking.transfer import to_device

    first = recalls[0].maps[0][1]
    device = first.pointer.device
    most, many = shape or recalls[0].counts
    maps = [m for r in recalls for m in _filled([m.map for _, m in r.maps], most, first.map)]
    pointers = [
        p for r in recalls for p in _filled([m.pointer for _, m in r.pointers], many, first.pointer)
    ]
    times = [
        _filled([slot for slot, _ in r.maps], most, UNTIMED)
        + _filled([distance for distance, _ in r.pointers], many, 0)
        for r in recalls
    ]
    slots, distances = to_device(np.array(times), device).split((most, many), 1)
    stacked = torch.stack([m for m in maps if m is not None])
    if device.type == "cpu":
        stacked = stacked.to(first.pointer.dtype)  # processors are slow in half precision
    there = None
    if shape is not None:
        known = [
            _filled([True] * len(r.maps), most, False)
            + _filled([True] * len(r.pointers), many, False)
            for r in recalls
        ]
        there = to_device(np.array(known), device)
    return Memories(
        maps=stacked.unflatten(0, (len(recalls), most)),
        slots=slots,
        pointers=(
            torch.stack(pointers).unflatten(0, (len(recalls), many))
            if pointers
            else first.pointer.new_zeros(len(recalls), 0, len(first.pointer))
        ),
        distances=distances,
        span=span,
        there=there,
    )


def _filled(items: list[T], count: int, filler: T) -> list[T]:
    return items + [filler] * (count - len(items))
