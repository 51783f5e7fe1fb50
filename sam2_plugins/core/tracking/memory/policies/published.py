"""The published rule: all prompted frames, and the frames just before.

Ravi et al. 2024, section 4, "Memory bank". Other policies are made of it. A policy is options
without state, shared by all objects; what it has to know of one it keeps in `MemoryBank.state`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sam2_plugins.core.tracking.memory.bank import Candidates, Choice, Memory, MemoryBank, Recall
from sam2_plugins.core.tracking.memory.policies._registry import memory_policy


@memory_policy("sam2")
@dataclass(frozen=True)
class Sam2Policy:
    """As published: all prompted frames, and the six before.

    Parameters
    ----------
    recent
        Unprompted frames that are attended to.
    pointers
        Object pointers reach back one frame less than this. The official code takes the length of
        a shorter clip instead, so that a stream and a file differ; give that length for parity.
    prompted
        Prompted frames that are attended to, nearest first; None: all of them.
    """

    recent: int = 6
    pointers: int = 16
    prompted: int | None = None

    chooses: ClassVar[bool] = False
    """Whether it chooses which candidate becomes the mask."""

    @property
    def span(self) -> int:
        """Distance that scales the pointers' temporal encoding."""
        return max(1, self.pointers - 1)

    def select(self, bank: MemoryBank, frame: int, reverse: bool) -> Recall:
        """Choose what an object attends to on `frame`, going back in time if `reverse`."""
        chosen = self._nearest_prompted(bank, frame)
        others = {f: m for f, m in bank.prompted.items() if f not in chosen and f != frame}
        unprompted = {**others, **bank.tracked} if others else bank.tracked
        back = -1 if reverse else 1
        maps = [(self.recent, memory) for memory in chosen.values()]
        for distance in range(self.recent, 0, -1):
            memory = unprompted.get(frame - back * distance)
            if memory is not None and memory.map is not None:
                maps.append((distance - 1, memory))
        past = ((back * (frame - f), memory) for f, memory in chosen.items())
        pointers = [(distance, memory) for distance, memory in past if distance >= 0]
        for distance in range(1, self.pointers):
            memory = unprompted.get(frame - back * distance)
            if memory is not None:
                pointers.append((distance, memory))
        return Recall(tuple(maps), tuple(pointers))

    def _prompted_and_past(
        self, bank: MemoryBank, frame: int, reverse: bool
    ) -> tuple[list[tuple[int, Memory]], list[Memory]]:
        """Maps of prompted frames with their slot, and tracked frames with maps, nearest first."""
        prompted = [(self.recent, m) for m in self._nearest_prompted(bank, frame).values()]
        back = -1 if reverse else 1
        past = [
            m for m in bank.tracked.values() if m.map is not None and back * (frame - m.frame) > 0
        ]
        return prompted, sorted(past, key=lambda m: abs(frame - m.frame))

    def _nearest_prompted(self, bank: MemoryBank, frame: int) -> dict[int, Memory]:
        """Keep the nearest before, the nearest after, and then whatever is nearest."""
        available = {f: m for f, m in bank.prompted.items() if f != frame}
        if self.prompted is None or len(available) <= self.prompted:
            return available
        before = max((f for f in available if f < frame), default=None)
        after = min((f for f in available if f > frame), default=None)
        first = [f for f in (before, after) if f is not None]
        rest = sorted(available.keys() - set(first), key=lambda f: abs(f - frame))
        return {f: available[f] for f in [*first, *rest][: self.prompted]}

    def choose(self, bank: MemoryBank, frame: int, candidates: Candidates) -> Choice:
        """Take the mask that the model is surest of."""
        return Choice(candidates.surest)

    def retain(self, bank: MemoryBank) -> None:
        """Keep the newest frames, and the pointers of a few more."""
        newest = list(bank.tracked)[-self.recent :]
        bank.keep_maps(newest, max(self.pointers, self.recent))
