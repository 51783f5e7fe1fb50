"""A scripted decoder: what it offers of an object on each frame, and what a policy makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sam2_plugins.core.tracking.memory.bank import Candidates, Choice, Memory, MemoryBank
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.windows.planner import Window

SIDE = 64
WINDOW = Window(0, 0, 4 * SIDE, 4 * SIDE)
PRESENT, ABSENT = 5.0, -5.0


def disc(x: float, y: float, radius: float = 5) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def offer(*masks: np.ndarray, ious: Sequence[float], score: float = PRESENT) -> Candidates:
    return Candidates(np.stack(masks), np.array(ious), score, WINDOW)


def memory(frame: int, candidates: Candidates, choice: Choice) -> Memory:
    return Memory(
        frame,
        torch.full((4, 2, 2), float(frame)),
        torch.zeros(8),
        WINDOW,
        box=candidates.box(choice.index),
        iou=float(candidates.ious[choice.index]),
        score=candidates.score,
        choice=choice,
    )


class Scene:
    """One object that was prompted on frame 0, and is brought from frame to frame."""

    def __init__(self, policy: Sam2Policy, first: np.ndarray) -> None:
        self.bank = MemoryBank(policy)
        self.bank.remember_prompted(memory(0, offer(first, ious=[1.0]), Choice(0)))
        self.frame = 0

    def show(self, candidates: Candidates) -> Choice:
        """Offer candidates on the next frame, and remember what was chosen."""
        self.frame += 1
        choice = self.bank.choose(self.frame, candidates)
        self.bank.remember_tracked(memory(self.frame, candidates, choice))
        return choice

    def recalled(self) -> list[tuple[int, int]]:
        """(slot, frame) of what would be attended to on the next frame."""
        recall = self.bank.recall(self.frame + 1, reverse=False)
        return [(slot, kept.frame) for slot, kept in recall.maps]

    def pointers(self) -> list[int]:
        return [kept.frame for _, kept in self.bank.recall(self.frame + 1, reverse=False).pointers]
