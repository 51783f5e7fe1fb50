"""The distractor-aware rule: anchors from moments when something similar could be told apart.

After DAM4SAM (Videnovic et al. 2025, arXiv 2411.17576), with its published numbers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sam2_plugins.core.tracking.memory.bank import (
    UNTIMED,
    Candidates,
    Choice,
    Memory,
    MemoryBank,
    Recall,
    box_of,
)
from sam2_plugins.core.tracking.memory.kalman import box_iou
from sam2_plugins.core.tracking.memory.policies._registry import memory_policy
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy

_STEADY = 10  # frames over which an object's size is compared


@dataclass
class _History:
    """Areas of an object on its last visible frames, in pixels, and its last anchor."""

    areas: deque[float] = field(default_factory=lambda: deque(maxlen=_STEADY))
    anchored: int | None = None


@memory_policy("dam4sam", "distractor")
@dataclass(frozen=True)
class Dam4SamPolicy(Sam2Policy):
    """Keep frames on which the object was told apart from something like it.

    Parameters
    ----------
    anchors
        Such frames that are kept at most, besides the prompted ones.
    slots
        Frames attended to, anchors and all; the last frame always is.
    stride
        The recent frames are the last one, and then every so many.
    sure
        An anchor's predicted IoU exceeds this.
    steady
        An anchor's area differs from the median of the last ones by no more than this share.
    apart
        More frames than this lie between two anchors.
    rival
        Another candidate is something else if its box, united with the mask's, has no more IoU
        with the mask's box than this.
    """

    anchors: int = 4
    slots: int = 7
    stride: int = 5
    sure: float = 0.8
    steady: float = 0.2
    apart: int = 5
    rival: float = 0.7

    chooses: ClassVar[bool] = True

    def select(self, bank: MemoryBank, frame: int, reverse: bool) -> Recall:
        """Attend to the prompted frames, the anchors, and a few recent frames on which it is."""
        published = super().select(bank, frame, reverse)
        prompted, tracked = self._prompted_and_past(bank, frame, reverse)
        anchors = [(UNTIMED, m) for f, m in bank.anchors.items() if f != frame]
        past = [m for m in tracked if m.frame not in bank.anchors]
        room = min(self.recent, max(1, self.slots - len(prompted) - len(anchors)))
        recent = [m for i, m in enumerate(past) if i == 0 or self._counts(m)][:room]
        seen = [(d, m) for d, m in published.pointers if m.visible]
        return Recall((*prompted, *anchors, *reversed(list(enumerate(recent)))), tuple(seen))

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """Take the surest mask, and decide whether the frame should be an anchor."""
        if bank.state is None:
            bank.state = _History()
        history: _History = bank.state
        index = candidates.surest
        mask = candidates.masks[index]
        if not mask.any() or candidates.score <= 0:
            return Choice(index)
        cell = candidates.window.width * candidates.window.height / mask.size
        area = float(np.count_nonzero(mask)) * cell
        history.areas.append(area)
        usual = float(np.median(history.areas))
        last = history.anchored
        anchor = (
            candidates.ious[index] > self.sure
            and abs(area - usual) <= self.steady * usual
            and (last is None or abs(frame - last) > self.apart)
            and self._has_rival(candidates, index)
        )
        if anchor:
            history.anchored = frame
        return Choice(index, anchor=anchor)

    def retain(self, bank: MemoryBank) -> None:
        """Make an anchor of the last frame if it is worth it, and keep the last recent ones."""
        frames = list(bank.tracked)
        newest = bank.tracked[frames[-1]]
        if newest.choice.anchor:
            bank.anchors[newest.frame] = newest
            for oldest in list(bank.anchors)[: -self.anchors]:
                del bank.anchors[oldest]
        kept = [f for f in frames[:-1] if self._counts(bank.tracked[f])][-self.recent :]
        bank.keep_maps({*kept, frames[-1]}, max(self.pointers, self.recent))

    def _counts(self, memory: Memory) -> bool:
        """Whether a frame is one of the recent ones: every so many, where the object is seen."""
        return memory.visible and memory.frame % self.stride == 0

    def _has_rival(self, candidates: Candidates, index: int) -> bool:
        chosen, window = candidates.masks[index], candidates.window
        box = box_of(chosen, window)
        for other, mask in enumerate(candidates.masks):
            if other == index or box is None:
                continue
            united = box_of(chosen | _largest_part(mask & ~chosen), window)
            if united is not None and box_iou(united, box) <= self.rival:
                return True
        return False


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()
