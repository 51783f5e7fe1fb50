"""Population: the objects of a lineage, those on trial and those that count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, count
from statistics import median
from typing import Any

from sam2_plugins.core.lineage.rules import is_whole
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.tracking.tracker import VideoTracker

AREAS = 3
"""Frames before a division of which a mother's usual area is taken."""

SIZED, FEW = 5, 4
"""Frames with proposals before a division of which the area of the usual object is taken; how many
objects such a frame must have.
"""


@dataclass
class Standing:
    """How well an object stands.

    Attributes
    ----------
    born
        Its first frame.
    found
        Frames on which a proposal was its own, since it was born.
    seen
        The last of these.
    settled
        It counts as an object; until then it may be taken back without a trace.
    part_of
        The object within which it was found.
    prompts
        How many it has; more are a person's corrections.
    usual
        Area of the usual object when it was born; 0 if not known.
    """

    born: int
    found: int = 1
    seen: int = 0
    settled: bool = False
    part_of: ObjectId | None = None
    prompts: int = 1
    usual: float = 0.0


class Population:
    """Objects of a tracker with their standing; those on trial are begun and forgotten here.

    Attributes
    ----------
    tracker
        Has their masks.
    standing
        By object; what was forgotten has none.
    alive
        Objects that have not ended, in the order in which they came.
    """

    def __init__(self, tracker: VideoTracker) -> None:
        self.tracker = tracker
        self.standing: dict[ObjectId, Standing] = {}
        self.alive: list[ObjectId] = []
        self._last_id = 0
        self._sizes: dict[int, list[int]] = {}  # areas of what was proposed whole, by frame
        self._drift: dict[int, tuple[int, int]] = {}  # from the first frame, of those looked at

    def begin_at(self, start: int) -> None:
        """Let what was prompted already count, from its first prompt or the first frame on."""
        self.catch_up(start)
        self.alive = list(self.tracker.objects)
        self._drift = {}

    def catch_up(self, start: int) -> list[tuple[ObjectId, int]]:
        """Take up what a person changed in the tracker.

        Returns
        -------
        list
            Objects that are new, were prompted again or are gone, each with the first frame on
            which it changed.
        """
        prompted: dict[ObjectId, list[int]] = {obj: [] for obj in self.tracker.objects}
        for prompt in self.tracker.prompts:
            prompted[prompt.obj].append(prompt.frame)
        changed = []
        for obj in set(self.standing) - set(prompted):
            changed.append((obj, self.standing.pop(obj).born))
            self.alive = [alive for alive in self.alive if alive != obj]
        for obj, frames in prompted.items():
            if obj not in self.standing:
                begins = max(start, min(frames))
                self.standing[obj] = Standing(begins, found=0, seen=begins, settled=True)
                self.alive.append(obj)
            elif len(frames) == self.standing[obj].prompts:
                continue
            changed.append((obj, min(frames[self.standing[obj].prompts :] or frames)))
            self.standing[obj].prompts = len(frames)
        return changed

    def state(self) -> tuple[Any, ...]:
        """Return all that it holds beside its tracker."""
        return self.standing, self.alive, self._last_id, self._sizes, self._drift

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go back to such a state."""
        self.standing, self.alive, self._last_id, self._sizes, self._drift = state

    def begin(self, frame: int, mask: ObjectMask, part_of: ObjectId | None = None) -> ObjectId:
        """Put a new object on trial; return its id."""
        taken = set(self.tracker.objects) | set(self.standing)
        obj = self._last_id = next(n for n in count(self._last_id + 1) if n not in taken)
        self.tracker.add_prompt(frame, obj, mask=mask)
        self.tracker.set_life(obj, frame, None)
        usual = self.usual_size(frame + 1)
        usual = usual if math.isfinite(usual) else 0.0
        self.standing[obj] = Standing(frame, seen=frame, part_of=part_of, usual=usual)
        self.alive.append(obj)
        return obj

    def forget(self, obj: ObjectId) -> None:
        """Take back what was on trial; the object that it was a part of was there all along."""
        gone = self.standing[obj]
        self.remove(obj)
        if gone.part_of in self.alive:
            whole = self.standing[gone.part_of]
            whole.seen = max(whole.seen, gone.seen)

    def remove(self, obj: ObjectId) -> None:
        """Delete an object with its masks."""
        self.tracker.remove_object(obj)
        self.standing.pop(obj, None)
        self.alive = [alive for alive in self.alive if alive != obj]

    def stop(self, obj: ObjectId, last: int) -> None:
        """Let an object end after a frame."""
        self.tracker.set_life(obj, self._first(obj), last)
        self.alive.remove(obj)

    def revive(self, obj: ObjectId, frame: int) -> None:
        """Let an object that ended on a frame go on."""
        self.standing[obj].seen = frame
        self.tracker.set_life(obj, self._first(obj), None)
        self.alive.append(obj)

    def branch(self, obj: ObjectId, frame: int, last: int) -> ObjectId:
        """Give an object's masks from a frame on to a new one, which goes on in its stead."""
        found = {f: self.tracker.mask(f, obj) for f in range(frame, last + 1)}
        masks = {f: mask for f, mask in found.items() if mask is not None}
        new = self.begin(frame, masks[frame])
        for later in range(frame + 1, last + 1):
            if later in masks:
                self.tracker.take(later, {new: masks[later]})
        standing = self.standing[new]
        standing.found, standing.seen, standing.settled = len(masks), last, True
        return new

    def on_trial(self) -> list[ObjectId]:
        """Objects that do not count yet."""
        return [obj for obj in self.alive if not self.standing[obj].settled]

    def settled_masks(self, frame: int) -> dict[ObjectId, ObjectMask]:
        """Masks on a frame of the objects that count, where they are visible."""
        return {
            obj: mask
            for obj in self.tracker.objects
            if (standing := self.standing.get(obj)) is not None
            and standing.settled
            and (mask := self.tracker.mask(frame, obj)) is not None
            and mask.visible
        }

    def prompted(self, obj: ObjectId) -> list[int]:
        """Frames on which an object is prompted."""
        return [prompt.frame for prompt in self.tracker.prompts if prompt.obj == obj]

    def _first(self, obj: ObjectId) -> int | None:
        return self.tracker.lives.get(obj, (None, None))[0]

    # -- places

    def drifted(self, frame: int, by: tuple[int, int]) -> None:
        """Take by how much a frame drifted since the last one that was looked at."""
        x, y = self._drift_at(frame)
        self._drift[frame] = x + by[0], y + by[1]

    def mask_as_of(self, frame: int, obj: ObjectId, earlier: int) -> ObjectMask | None:
        """Mask of an object on an earlier frame, where it would be if it moved with the frame."""
        mask = self.tracker.mask(earlier, obj)
        (x, y), (x0, y0) = self._drift_at(frame), self._drift_at(earlier)
        return None if mask is None else mask.moved(x - x0, y - y0)

    def _drift_at(self, frame: int) -> tuple[int, int]:
        known = max((earlier for earlier in self._drift if earlier <= frame), default=None)
        return (0, 0) if known is None else self._drift[known]

    # -- sizes

    def measure(self, frame: int, proposed: Sequence[ObjectMask], forget_to: int) -> None:
        """Take the areas of a frame's proposals, and drop what is known of an earlier frame."""
        self._sizes[frame] = [mask.area for mask in proposed if is_whole(mask)]
        self._sizes.pop(forget_to, None)
        self._drift.pop(forget_to, None)

    def usual_size(self, before: int) -> float:
        """Area of the usual object: of those that were proposed whole, before a frame.

        inf if they are too few to know.
        """
        frames = sorted(frame for frame in self._sizes if frame < before)[-SIZED:]
        sizes = [size for frame in frames for size in self._sizes[frame]]
        return median(sizes) if len(sizes) >= FEW * max(1, len(frames)) else math.inf

    def area(self, obj: ObjectId, frame: int) -> float:
        """Area of an object on a frame, 0 without a mask."""
        mask = self.tracker.mask(frame, obj)
        return 0.0 if mask is None else float(mask.area)

    def masks_before(self, obj: ObjectId, frame: int) -> list[ObjectMask]:
        """Masks of an object on the few frames before one, moved to it, where it is visible."""
        frames = range(max(0, frame - AREAS), frame)
        masks = (self.mask_as_of(frame, obj, earlier) for earlier in frames)
        return [mask for mask in masks if mask is not None and mask.visible]

    def usual_area(self, obj: ObjectId, before: int) -> float:
        """Area that an object had just before a frame: the usual one, or more if it was growing."""
        earlier = [self.area(obj, frame) for frame in range(max(0, before - AREAS), before)]
        areas = [area for area in earlier if area]
        if len(areas) < 2:
            return sum(areas)
        growth = median(
            (areas[j] - areas[i]) / (j - i) for i, j in combinations(range(len(areas)), 2)
        )
        return min(max(areas), median(areas) + max(0.0, growth) * (len(areas) - 1) / 2)

    def least_area(self, obj: ObjectId, first: int, last: int) -> float:
        """Until the outline of a daughter is taken, the tracker may see more of the mother."""
        areas = [self.area(obj, frame) for frame in range(first, last + 1)]
        return min([area for area in areas if area] or [0.0])
