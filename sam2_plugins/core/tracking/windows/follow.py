"""Before an object is tracked to a frame: a window that holds it, and memories that fit in it."""

from __future__ import annotations

from collections.abc import Callable

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.object_mask import PixelBox
from sam2_plugins.core.tracking.predictor import Steps
from sam2_plugins.core.tracking.tracked_object import TrackedObject
from sam2_plugins.core.tracking.windows.jump import displacement
from sam2_plugins.core.tracking.windows.planner import Window, WindowPlanner, extent_of

REBUILT_MEMORIES = 3
"""Recent frames whose memory is made again when it is gone or belongs to another window."""

REBUILT_PROMPTS = 2
"""Prompted frames, nearest first, whose memory moves with an object to another window."""

JUMP_LATTICE = 32
"""Windows that jumped begin at such parts of their side: those that jumped alike stay one."""


class Follower:
    """Keeps windows on their objects, and rebuilds memories from recorded masks.

    Parameters
    ----------
    readable
        Tells whether a frame can still be had; those of a stream pass.
    """

    def __init__(
        self, steps: Steps, planner: WindowPlanner, readable: Callable[[int], bool]
    ) -> None:
        self._steps = steps
        self._planner = planner
        self._readable = readable

    def prepare(self, tracked: TrackedObject, frame: int, reverse: bool) -> None:
        """Make an object ready to be tracked to a frame."""
        self.remember_prompts(tracked)
        self._follow_window(tracked, frame, reverse)
        self.recall_recent(tracked, frame, reverse)

    def remember_prompts(self, tracked: TrackedObject) -> None:
        """Make the memories of prompted frames, which wait until they are needed."""
        for frame, said in tracked.prompted.items():
            if frame not in tracked.bank.prompted and said.output is not None:
                tracked.bank.remember_prompted(self._steps.remember(frame, said.output))

    def recall_recent(self, tracked: TrackedObject, frame: int, reverse: bool) -> None:
        """Make memories of the frames just before again where they are gone, from their masks."""
        back = -1 if reverse else 1
        for distance in range(1, REBUILT_MEMORIES + 1):
            earlier = frame - back * distance
            if earlier in tracked.prompted or not tracked.record.is_current(earlier):
                return
            kept = tracked.bank.tracked.get(earlier)
            if kept is not None and kept.map is not None:
                continue
            mask = tracked.record.get(earlier)
            if mask is None or tracked.window is None or not self._readable(earlier):
                return
            rebuilt = self._steps.rebuild(earlier, mask, tracked.window)
            tracked.bank.remember_tracked(rebuilt)

    def _follow_window(self, tracked: TrackedObject, frame: int, reverse: bool) -> None:
        """Move an object that nears the edge of its window to another one, memory and all."""
        before = frame + (1 if reverse else -1)
        said = tracked.prompted.get(before)
        last = tracked.record.get(before)
        extent = extent_of(last) if last is not None else None
        current = said.output.window if said and said.output else tracked.window
        if last is None or extent is None or current is None:
            tracked.window = current or self._planner.whole
            return
        if self._planner.crowded(extent, tracked.side):
            tracked.side = self._planner.side_for(extent)
        whole = current == self._planner.whole
        fits = whole == (tracked.side is None)
        stays = fits and (whole or self._planner.keeps(current, extent.box))
        if not stays:
            current = self._planner.window(extent.box, tracked.side)
        if current != tracked.window or said is not None:
            # A prompt on a tracked frame brings a window of its own.
            moved = [f for f, m in tracked.bank.tracked.items() if m.window != current]
            tracked.bank.forget(moved)
            self._move_prompted(tracked, before, last, current)
        tracked.window = self._after_jump(current, extent.box, before, frame)

    def _after_jump(self, window: Window, box: PixelBox, before: int, frame: int) -> Window:
        """Take a window along where what it shows jumped, so that memories fit as they are."""
        if window == self._planner.whole or not self._readable(before):
            return window
        pictures = self._steps.features.picture
        dx, dy = displacement(pictures(before), pictures(frame), box)
        if not (dx or dy):
            return window
        side = max(window.width, window.height)
        step = max(1, side // JUMP_LATTICE)
        x, y = (round(at / step) * step for at in (window.x + dx, window.y + dy))
        return self._planner.at(x, y, side)

    def _move_prompted(
        self, tracked: TrackedObject, frame: int, last: ObjectMask, window: Window
    ) -> None:
        """Rebuild the nearest lasting memories so that the object lies in them as it does now."""
        bank = tracked.bank
        nearest = sorted(bank.prompted, key=lambda f: abs(f - frame))[:REBUILT_PROMPTS]
        for lasting in (*nearest, *bank.anchors):
            mask = tracked.record.get(lasting)
            if mask is None or not self._readable(lasting):
                continue
            there = window
            if window != self._planner.whole and mask.centroid and last.centroid:
                dx, dy = (mask.centroid[i] - last.centroid[i] for i in (0, 1))
                side = max(window.width, window.height)
                there = self._planner.at(window.x + dx, window.y + dy, side)
            if there != (bank.prompted.get(lasting) or bank.anchors[lasting]).window:
                bank.replace(self._steps.rebuild(lasting, mask, there))
