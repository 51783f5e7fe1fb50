"""LineageTracker: all objects of a movie with newcomers, divisions and ends, frame by frame."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median

from sam2_plugins.core.lineage.drift import drift
from sam2_plugins.core.lineage.events import Event
from sam2_plugins.core.lineage.rules import (
    Belonging,
    LineageRules,
    apart,
    are_daughters,
    belonging,
)
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.tracking.proposals import Propose
from sam2_plugins.core.tracking.tracker import VideoTracker

REACH = 0.5
"""Diameters that two daughters are apart at most when they are first seen as two."""

AREAS = 5
"""Frames before a division of which a mother's usual area is taken."""


@dataclass(frozen=True)
class LineageFrame:
    """A frame whose objects are decided.

    Attributes
    ----------
    frame, time
        0-based index, and seconds.
    masks
        By object.
    events
        What was decided since the last frame, as far as it concerns this frame or earlier ones.
    """

    frame: int
    time: float
    masks: dict[ObjectId, ObjectMask]
    events: tuple[Event, ...] = ()


@dataclass
class _Standing:
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
    """

    born: int
    found: int = 1
    seen: int = 0
    settled: bool = False
    part_of: ObjectId | None = None


class LineageTracker:
    """Keeps up with all objects of a movie.

    On each frame, tracked masks and fresh proposals are compared. What is found beyond the tracked
    masks is tracked on trial; if it lasts, it was born on the frame on which it was first found,
    or it is the daughter of what it was a part of or lay beside. What is not found any more has
    ended. Decisions look a few frames ahead, so that results come that much later.

    Parameters
    ----------
    tracker
        Of the movie; objects that a person prompted are kept, and count.
    propose
        An `ObjectProposer`, or masks from elsewhere.
    rules
        What it takes to decide.

    Attributes
    ----------
    parents
        Daughter to mother.
    events
        All that was decided, in order.
    """

    def __init__(
        self, tracker: VideoTracker, propose: Propose, rules: LineageRules | None = None
    ) -> None:
        self.tracker = tracker
        self.propose = propose
        self.rules = rules or LineageRules()
        self.parents: dict[ObjectId, ObjectId] = {}
        self.events: list[Event] = []
        self._standing: dict[ObjectId, _Standing] = {}
        self._alive: list[ObjectId] = []
        self._ids = count(1)
        self._told = 0

    def run(
        self, start: int = 0, stop: int | None = None, every: int = 1
    ) -> Generator[LineageFrame, None, None]:
        """Track from one frame to another, both included, and yield frames as they are decided.

        Closing the generator stops within a frame.

        Parameters
        ----------
        every
            Objects are proposed on every n-th frame; in between, they are tracked.
        """
        for obj in self.tracker.objects:
            self._standing.setdefault(obj, _Standing(start, settled=True, seen=start))
        self._alive = list(self.tracker.objects)
        delay = (self.rules.confirm - 1) * every
        frame = start
        for frame in count(start):
            if stop is not None and frame > stop:
                break
            if not self._exists(frame):
                break
            self._advance(frame, proposing=(frame - start) % every == 0)
            if frame - delay >= start:
                yield self._decided(frame - delay)
        last = frame - 1
        self._settle_rest(last)
        for frame in range(max(start, last - delay + 1), last + 1):
            yield self._decided(frame)

    # -- one frame

    def _exists(self, frame: int) -> bool:
        length = self.tracker.frames.length
        if length is not None:
            return frame < length
        try:
            self.tracker.frames[frame]
        except IndexError:
            return False
        return True

    def _advance(self, frame: int, proposing: bool) -> None:
        tracked = self._track(frame)
        if not proposing:
            return
        proposed = [m for m in self.propose(frame) if m.iou != m.iou or m.iou >= self.rules.sure]
        found = belonging(tracked, self._expected(frame, tracked), proposed, self.rules)
        self._take_outlines(frame, tracked, proposed, found)
        for obj in found.of:
            standing = self._standing[obj]
            standing.found, standing.seen = standing.found + 1, frame
        self._try_parts(frame, tracked, proposed, found)
        for column in found.free:
            self._begin(frame, proposed[column])
        self._settle(frame)
        self._end_lost(frame)

    def _track(self, frame: int) -> dict[ObjectId, ObjectMask]:
        """Track all living objects to a frame."""
        living = [o for o in self._alive if self._standing[o].born <= frame]
        if not living:
            return {}
        masks: dict[ObjectId, ObjectMask] = {}
        for result in self.tracker.propagate("forward", frame, frame):
            masks = result.masks
        return {obj: masks[obj] for obj in living if obj in masks}

    def _expected(
        self, frame: int, tracked: dict[ObjectId, ObjectMask]
    ) -> dict[ObjectId, ObjectMask]:
        """Where objects would be if they had moved with the frame."""
        if not tracked or not frame:
            return {}
        before, after = (self.tracker.frames[f].image for f in (frame - 1, frame))
        dx, dy = drift(before, after)
        last = {obj: self.tracker.mask(frame - 1, obj) for obj in tracked}
        return {o: mask.moved(dx, dy) for o, mask in last.items() if mask is not None}

    def _take_outlines(
        self,
        frame: int,
        tracked: dict[ObjectId, ObjectMask],
        proposed: Sequence[ObjectMask],
        found: Belonging,
    ) -> None:
        better = {}
        for obj, column in found.of.items():
            if obj in found.shared or obj in found.parts:
                continue
            alike = tracked[obj].iou_with(proposed[column])
            # Where the two hardly overlap, the object was found by where it should be.
            if alike >= self.rules.snap or alike < self.rules.same:
                better[obj] = proposed[column]
        self.tracker.take(frame, better)

    def _try_parts(
        self,
        frame: int,
        tracked: dict[ObjectId, ObjectMask],
        proposed: Sequence[ObjectMask],
        found: Belonging,
    ) -> None:
        """Track the parts of an object on trial: they may be its daughters."""
        for obj, columns in found.parts.items():
            if not self._standing[obj].settled:
                continue
            own = found.of.get(obj)
            columns = [*columns, *([] if own is None else [own])]
            for column in columns:
                self._begin(frame, proposed[column], part_of=obj)

    def _begin(self, frame: int, mask: ObjectMask, part_of: ObjectId | None = None) -> ObjectId:
        obj = self._fresh_id()
        self.tracker.add_prompt(frame, obj, mask=mask)
        self.tracker.set_life(obj, frame, None)
        self._standing[obj] = _Standing(frame, seen=frame, part_of=part_of)
        self._alive.append(obj)
        return obj

    def _fresh_id(self) -> ObjectId:
        taken = set(self.tracker.objects) | set(self._standing)
        return next(number for number in self._ids if number not in taken)

    # -- decisions

    def _settle(self, frame: int) -> None:
        """Decide on what was on trial for long enough."""
        due = [
            obj
            for obj in self._alive
            if not self._standing[obj].settled
            and frame - self._standing[obj].born >= self.rules.confirm - 1
        ]
        self._decide(due, frame, self.rules.confirm - 1)

    def _settle_rest(self, last: int) -> None:
        """Decide on what is still on trial when the movie ends, by what there is."""
        due = [obj for obj in self._alive if not self._standing[obj].settled]
        self._decide(due, last, 1)

    def _decide(self, due: Sequence[ObjectId], frame: int, needed: int) -> None:
        lasting = [obj for obj in due if self._standing[obj].found >= needed]
        for obj in due:
            if obj not in lasting:
                self._forget(obj)
        parts: dict[ObjectId, list[ObjectId]] = {}
        for obj in lasting:
            mother = self._standing[obj].part_of
            if mother is not None:
                parts.setdefault(mother, []).append(obj)
        for mother, daughters in parts.items():
            self._divide_or_forget(mother, daughters)
        for obj in lasting:
            standing = self._standing.get(obj)
            if standing is not None and not standing.settled:
                self._bear(obj, frame)

    def _divide_or_forget(self, mother: ObjectId, parts: list[ObjectId]) -> None:
        """Two lasting parts of an object are its daughters; anything else is a part no more."""
        if mother in self._alive and len(parts) == 2:
            one, other = parts
            born = self._standing[one].born
            first, second = self._area(one, born), self._area(other, born)
            if born == self._standing[other].born and are_daughters(
                self._usual_area(mother, born), first, second, False, self.rules
            ):
                self._divide(mother, (one, other), born, "two parts of it lasted")
                return
        for part in parts:
            self._forget(part)

    def _bear(self, obj: ObjectId, frame: int) -> None:
        """A newcomer is the daughter of what lost as much beside it, or of nobody."""
        born = self._standing[obj].born
        mine = self.tracker.mask(born, obj)
        assert mine is not None
        self._standing[obj].settled = True
        if born > min(standing.born for standing in self._standing.values()):
            for mother in self._alive:
                standing = self._standing[mother]
                if mother == obj or not standing.settled or standing.born >= born:
                    continue
                followed = self.tracker.mask(born, mother)
                if followed is None or apart(followed, mine) > REACH:
                    continue
                before = self._usual_area(mother, born)
                if are_daughters(before, followed.area, mine.area, True, self.rules):
                    sister = self._branch(mother, born, frame)
                    reason = f"a newcomer beside it, and it lost {1 - followed.area / before:.0%}"
                    self._divide(mother, (sister, obj), born, reason)
                    return
            self._tell(Event("born", born, (obj,), f"found for {self._standing[obj].found} frames"))
            return
        self._tell(Event("born", born, (obj,), "there on the first frame"))

    def _branch(self, obj: ObjectId, frame: int, last: int) -> ObjectId:
        """Give an object's masks from a frame on to a new one, which goes on in its stead."""
        found = {f: self.tracker.mask(f, obj) for f in range(frame, last + 1)}
        masks = {f: mask for f, mask in found.items() if mask is not None}
        new = self._begin(frame, masks[frame])
        for later in range(frame + 1, last + 1):
            if later in masks:
                self.tracker.take(later, {new: masks[later]})
        self._standing[new] = _Standing(frame, len(masks), last, settled=True)
        return new

    def _divide(
        self, mother: ObjectId, daughters: tuple[ObjectId, ObjectId], frame: int, reason: str
    ) -> None:
        self._stop(mother, frame - 1)
        for daughter in daughters:
            self._standing[daughter].settled = True
            self._standing[daughter].part_of = None
            self.parents[daughter] = mother
        self._tell(Event("divided", frame, daughters, reason, mother))

    def _end_lost(self, frame: int) -> None:
        for obj in list(self._alive):
            standing = self._standing[obj]
            if standing.settled and frame - standing.seen >= self.rules.confirm:
                on_trial = any(self._standing[o].part_of == obj for o in self._alive)
                if on_trial:
                    continue
                self._stop(obj, standing.seen)
                reason = f"not found for {self.rules.confirm} frames"
                self._tell(Event("ended", standing.seen, (obj,), reason))

    def _stop(self, obj: ObjectId, last: int) -> None:
        first = self._standing[obj].born
        self.tracker.set_life(obj, min(first, last), last)
        self._alive.remove(obj)

    def _forget(self, obj: ObjectId) -> None:
        self.tracker.remove_object(obj)
        self._alive.remove(obj)
        del self._standing[obj]

    def _tell(self, event: Event) -> None:
        self.events.append(event)

    # -- what came out

    def _area(self, obj: ObjectId, frame: int) -> float:
        mask = self.tracker.mask(frame, obj)
        return 0.0 if mask is None else float(mask.area)

    def _usual_area(self, obj: ObjectId, before: int) -> float:
        areas = [self._area(obj, f) for f in range(max(0, before - AREAS), before)]
        return median([area for area in areas if area] or [0.0])

    def _decided(self, frame: int) -> LineageFrame:
        masks = {
            obj: mask
            for obj in self.tracker.objects
            if (standing := self._standing.get(obj)) is not None
            and standing.settled
            and (mask := self.tracker.mask(frame, obj)) is not None
            and mask.visible
        }
        events, self._told = tuple(self.events[self._told :]), len(self.events)
        return LineageFrame(frame, self.tracker.frames[frame].time, masks, events)
