"""The motion-aware rule: the mask where the object was going, and memories of good frames.

After SAMURAI (Yang et al. 2024, arXiv 2411.11922), with its published numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sam2_plugins.core.tracking.memory.bank import (
    Box,
    Candidates,
    Choice,
    Memory,
    MemoryBank,
    Recall,
)
from sam2_plugins.core.tracking.memory.kalman import BoxFilter, box_iou
from sam2_plugins.core.tracking.memory.policies._registry import memory_policy
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy


@dataclass(frozen=True)
class _Motion:
    """What is known of an object's motion after a frame.

    Attributes
    ----------
    stable
        Frames in a row on which the mask was good.
    """

    frame: int
    filter: BoxFilter
    stable: int = 0


@memory_policy("samurai", "motion")
@dataclass(frozen=True)
class SamuraiPolicy(Sam2Policy):
    """Prefer the mask where the object was going; remember frames that went well.

    Parameters
    ----------
    weight
        Of the motion against the predicted IoU, when a candidate is chosen.
    settle
        Stable frames after which motion counts.
    trust
        A frame is stable if its predicted IoU reaches this.
    good_iou, good_score, good_motion
        What a frame must exceed to be remembered. The last frame always is.
    """

    weight: float = 0.25
    settle: int = 15
    trust: float = 0.3
    good_iou: float = 0.5
    good_score: float = 0.0
    good_motion: float = 0.0

    chooses: ClassVar[bool] = True

    def select(self, bank: MemoryBank, frame: int, reverse: bool) -> Recall:
        """Attend to the prompted frames, and to the last good ones as if they were consecutive."""
        published = super().select(bank, frame, reverse)
        prompted, past = self._prompted_and_past(bank, frame, reverse)
        good = [m for i, m in enumerate(past) if i == 0 or self._is_good(m)][: self.recent]
        return Recall((*prompted, *reversed(list(enumerate(good)))), published.pointers)

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """Weigh predicted IoU and motion, once the object has been followed for a while."""
        motion = self._expect(bank, frame)
        if motion is None:
            index = candidates.surest
            box = candidates.box(index)
            if box is not None and candidates.score > 0:
                bank.state = _Motion(frame, BoxFilter.of(box), 1)
            return Choice(index)
        expected = motion.filter.box
        boxes = [candidates.box(i) for i in range(len(candidates.ious))]
        overlaps = np.array([0.0 if box is None else box_iou(box, expected) for box in boxes])
        index = candidates.surest
        if motion.stable >= self.settle:
            index = int((self.weight * overlaps + (1 - self.weight) * candidates.ious).argmax())
        bank.state = self._updated(motion, boxes[index], candidates, index)
        return Choice(index, motion=float(overlaps[index]))

    def retain(self, bank: MemoryBank) -> None:
        """Keep the last frame and the last good ones."""
        frames = list(bank.tracked)
        good = [f for f in frames[:-1] if self._is_good(bank.tracked[f])][-self.recent :]
        bank.keep_maps({*good, frames[-1]}, max(self.pointers, self.recent))

    def _updated(
        self, motion: _Motion, box: Box | None, candidates: Candidates, index: int
    ) -> _Motion:
        if box is None or candidates.score <= 0 or candidates.ious[index] < self.trust:
            return _Motion(motion.frame, motion.filter)
        return _Motion(motion.frame, motion.filter.update(box), motion.stable + 1)

    def _expect(self, bank: MemoryBank, frame: int) -> _Motion | None:
        """Bring what is known to this frame; begin anew where the object was brought elsewhere."""
        known: _Motion | None = bank.state
        for neighbour in (frame - 1, frame + 1):
            prompted = bank.prompted.get(neighbour)
            if known is not None and known.frame == neighbour and prompted is None:
                return _Motion(frame, known.filter.predict(), known.stable)
            last = prompted or bank.tracked.get(neighbour)
            if last is not None and last.box is not None:
                return _Motion(frame, BoxFilter.of(last.box).predict())
        return None

    def _is_good(self, memory: Memory) -> bool:
        """Whether a frame went well; so it did if nothing is known of it."""
        return not (
            memory.iou <= self.good_iou
            or memory.score <= self.good_score
            or memory.choice.motion <= self.good_motion
        )
