"""Before an object is tracked to a frame: a window that holds it, and memories that fit in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.memory.bank import Memory, Recall
from sam2_plugins.core.tracking.operations import Operations
from sam2_plugins.core.tracking.tracked_object import TrackedObject
from sam2_plugins.core.tracking.windows.jump import displacement, stayed
from sam2_plugins.core.tracking.windows.planner import Window, WindowPlanner, extent_of

REBUILT_MEMORIES = 3
"""Recent frames whose memory is made again when it is gone or belongs to another window."""

REBUILT_PROMPTS = 2
"""Prompted frames, nearest first, whose memory moves with an object to another window."""

JUMP_LATTICE = 32
"""Windows that jumped begin at such parts of their side: those that jumped alike stay one."""


@dataclass(frozen=True)
class _Wanted:
    """A memory to be made again from a recorded mask: of a recent frame, or of a lasting one.

    Attributes
    ----------
    before
        What it was in another window.
    """

    tracked: TrackedObject
    frame: int
    mask: ObjectMask
    window: Window
    before: Memory | None = None
    lasting: bool = False


class Follower:
    """Keeps windows on their objects, and rebuilds memories from recorded masks."""

    def __init__(self, operations: Operations, planner: WindowPlanner) -> None:
        self._operations = operations
        self._features = operations.features
        self._planner = planner

    def prepare(self, objects: Sequence[TrackedObject], frame: int, reverse: bool) -> None:
        """Make objects ready to be tracked to a frame."""
        self.remember_prompts(objects)
        before = frame + (1 if reverse else -1)
        wanted: list[_Wanted] = []
        moved = []
        for tracked in objects:
            recent, lasting = self._follow_window(tracked, before)
            moved.append(recent)
            wanted += lasting
        self._go_along(objects, before, frame)
        for tracked, recent in zip(objects, moved, strict=True):
            wanted += self._recent(tracked, frame, reverse, recent)
        self._rebuild(wanted)

    def recall(self, tracked: TrackedObject, frame: int, window: Window) -> Recall:
        """Return what an object remembers on a frame, in a window, where it is looked for then."""
        tracked.set_window(window, tracked.side)
        self.remember_prompts([tracked])
        self._rebuild(list(self._recent(tracked, frame, reverse=False)))
        return tracked.bank.recall(frame, reverse=False)

    def take(self, tracked: TrackedObject, frame: int, mask: ObjectMask, shown: ObjectMask) -> None:
        """Remember a mask from elsewhere as if it had been tracked, and record one in its place."""
        box, window = mask.box, tracked.window or self._planner.whole
        if box is not None and not self._planner.keeps(window, box):
            window = self._planner.window(box, tracked.side)
        tracked.accept(shown, self._operations.rebuild([frame], [mask], [window])[0])

    def remember_prompts(self, objects: Sequence[TrackedObject]) -> None:
        """Make the memories of prompted frames, which wait until they are needed."""
        waiting = [
            (tracked, frame, shown.prediction.output, any(one.mask for one in shown.prompts))
            for tracked in objects
            for frame, shown in tracked.prompted.items()
            if frame not in tracked.bank.prompted
        ]
        if waiting:
            owners, frames, outputs, given = zip(*waiting, strict=True)
            memories = self._operations.remember(frames, outputs, given)
            for tracked, memory in zip(owners, memories, strict=True):
                tracked.bank.remember_prompted(memory)

    def _rebuild(self, wanted: Sequence[_Wanted]) -> None:
        """Make memories again, all together."""
        frames, masks = [one.frame for one in wanted], [one.mask for one in wanted]
        before = [one.before for one in wanted]
        windows = [one.window for one in wanted]
        memories = self._operations.rebuild(frames, masks, windows, before)
        for one, memory in zip(wanted, memories, strict=True):
            bank = one.tracked.bank
            keep = bank.replace if one.lasting else bank.remember_tracked
            keep(memory)

    def _recent(
        self,
        tracked: TrackedObject,
        frame: int,
        reverse: bool,
        moved: Mapping[int, Memory] = MappingProxyType({}),
    ) -> Iterator[_Wanted]:
        """Memories of the frames just before that are gone, with what they were."""
        back = -1 if reverse else 1
        for distance in range(1, REBUILT_MEMORIES + 1):
            earlier = frame - back * distance
            if earlier in tracked.prompted or not tracked.record.is_current(earlier):
                return
            kept = tracked.bank.tracked.get(earlier)
            if kept is not None and kept.map is not None:
                continue
            mask = tracked.record.get(earlier)
            if mask is None or tracked.window is None or not self._features.readable(earlier):
                return
            yield _Wanted(tracked, earlier, mask, tracked.window, moved.get(earlier))

    def _follow_window(
        self, tracked: TrackedObject, before: int
    ) -> tuple[Mapping[int, Memory], Sequence[_Wanted]]:
        """Move an object that nears the edge of its window to another one.

        Returns
        -------
        tuple
            The tracked frames that do not fit in it and are forgotten, and the lasting ones that it
            needs.
        """
        prompted = tracked.prompted.get(before)
        last = tracked.record.get(before)
        window, side = tracked.window, tracked.side
        extent = self._planner.in_view(last) if last is not None else None
        if prompted is not None:
            window = prompted.prediction.output.window
        if last is None or extent is None or window is None:
            tracked.set_window(window or self._planner.whole, side)
            return {}, []
        if self._planner.crowded(extent, side):
            side = self._planner.side_for(extent)
        whole = window == self._planner.whole
        fits = whole == (side is None)
        stays = fits and (whole or self._planner.keeps(window, extent.box))
        if not stays:
            window = self._planner.window(extent.box, side)
        moved: dict[int, Memory] = {}
        lasting: list[_Wanted] = []
        if window != tracked.window or prompted is not None:
            # A prompt on a tracked frame brings a window of its own.
            moved = {f: m for f, m in tracked.bank.tracked.items() if m.window != window}
            tracked.bank.forget(list(moved))
            lasting += self._lasting(tracked, before, last, window)
        tracked.set_window(window, side)
        return moved, lasting

    def _go_along(self, objects: Sequence[TrackedObject], before: int, frame: int) -> None:
        """Take windows along where what they show jumped, so that memories fit as they are."""
        if not self._features.readable(before):
            return
        seen = [
            (tracked, tracked.window, extent.box)
            for tracked in objects
            if tracked.window not in (None, self._planner.whole)
            and (last := tracked.record.get(before)) is not None
            and (extent := extent_of(last)) is not None
        ]
        if not seen:
            return
        was, now = self._features.picture(before), self._features.picture(frame)
        same = stayed(was, now, [box for _, _, box in seen])
        for (tracked, window, box), stays in zip(seen, same, strict=True):
            if window is None or stays:
                continue
            planes = self._features.planes
            dx, dy = displacement(planes(before), planes(frame), box)
            if dx or dy:
                side = max(window.width, window.height)
                step = max(1, side // JUMP_LATTICE)
                x, y = (round(at / step) * step for at in (window.x + dx, window.y + dy))
                tracked.set_window(self._planner.at(x, y, side), tracked.side)

    def _lasting(
        self, tracked: TrackedObject, frame: int, last: ObjectMask, window: Window
    ) -> Iterator[_Wanted]:
        """Yield the nearest lasting memories, so that the object lies in them as it does now."""
        bank = tracked.bank
        nearest = sorted(bank.prompted, key=lambda f: abs(f - frame))[:REBUILT_PROMPTS]
        for lasting in (*nearest, *bank.anchors):
            mask = tracked.record.get(lasting)
            if mask is None or not self._features.readable(lasting):
                continue
            there = window
            if window != self._planner.whole and mask.centroid and last.centroid:
                dx, dy = (mask.centroid[i] - last.centroid[i] for i in (0, 1))
                side = max(window.width, window.height)
                there = self._planner.at(window.x + dx, window.y + dy, side)
            known = bank.prompted.get(lasting) or bank.anchors[lasting]
            if there != known.window:
                yield _Wanted(tracked, lasting, mask, there, known, lasting=True)
