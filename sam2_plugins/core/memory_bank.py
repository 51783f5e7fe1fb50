"""What one object remembers: prompted frames, the most recent frames, object pointers. Bounded.

The rule is that of Ravi et al. 2024, section 4, "Memory bank", with the published numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sam2_plugins.core.model import Memories
from sam2_plugins.core.tiling import Window


@dataclass(frozen=True)
class Memory:
    """One frame as an object remembers it.

    Attributes
    ----------
    map
        [memory_width, g, g] in bfloat16, as the official predictor stores it; None where only the
        pointer is kept.
    pointer
        [C].
    window
        What part of the frame the map covers.
    """

    frame: int
    map: Tensor | None
    pointer: Tensor
    window: Window


@dataclass(frozen=True)
class Recall:
    """What an object attends to on one frame: (slot of time, memory), and (distance, memory)."""

    maps: tuple[tuple[int, Memory], ...]
    pointers: tuple[tuple[int, Memory], ...]


@dataclass(frozen=True)
class Sam2Policy:
    """What to keep and what to attend to, as published.

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

    @property
    def span(self) -> int:
        """Distance that scales the pointers' temporal encoding."""
        return max(1, self.pointers - 1)

    def select(self, bank: MemoryBank, frame: int, reverse: bool) -> Recall:
        """Choose what an object attends to on `frame`, going back in time if `reverse`."""
        chosen = self._nearest_prompted(bank, frame)
        others = {f: m for f, m in bank.prompted.items() if f not in chosen and f != frame}
        unprompted = {**others, **bank.tracked}
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


class MemoryBank:
    """Memories of one object. Its size does not depend on the length of the movie."""

    def __init__(self, policy: Sam2Policy) -> None:
        self.policy = policy
        self.prompted: dict[int, Memory] = {}
        self.tracked: dict[int, Memory] = {}

    def __bool__(self) -> bool:
        return bool(self.prompted or self.tracked)

    def recall(self, frame: int, reverse: bool) -> Recall:
        """Return what the object attends to on a frame."""
        return self.policy.select(self, frame, reverse)

    def remember_prompted(self, memory: Memory) -> None:
        """Keep a frame on which a person had a say."""
        self.tracked.pop(memory.frame, None)
        self.prompted[memory.frame] = memory

    def remember_tracked(self, memory: Memory) -> None:
        """Keep a tracked frame, and let go of the oldest ones."""
        self.tracked.pop(memory.frame, None)
        self.tracked[memory.frame] = memory
        oldest_first = list(self.tracked)
        for frame in oldest_first[: -max(self.policy.pointers, self.policy.recent)]:
            del self.tracked[frame]
        for frame in oldest_first[: -self.policy.recent]:
            if frame in self.tracked:
                self.tracked[frame] = replace(self.tracked[frame], map=None)

    def forget(self, frames: Sequence[int]) -> None:
        """Let go of frames, prompted or not."""
        for frame in frames:
            self.prompted.pop(frame, None)
            self.tracked.pop(frame, None)


def as_tensors(recalls: Sequence[Recall], span: int) -> Memories:
    """Stack what several objects recall; all recall the same number of maps and of pointers."""
    first = recalls[0].maps[0][1]
    device = first.pointer.device
    maps = [torch.stack([m.map for _, m in r.maps if m.map is not None]) for r in recalls]
    if recalls[0].pointers:
        pointers = torch.stack([torch.stack([m.pointer for _, m in r.pointers]) for r in recalls])
    else:
        pointers = first.pointer.new_zeros(len(recalls), 0, len(first.pointer))
    return Memories(
        maps=torch.stack(maps).to(first.pointer.dtype),
        slots=torch.tensor([[slot for slot, _ in r.maps] for r in recalls], device=device),
        pointers=pointers,
        distances=torch.tensor([[d for d, _ in r.pointers] for r in recalls], device=device),
        span=span,
    )
