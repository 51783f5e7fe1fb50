"""LineageTracker: all objects of a movie with newcomers, divisions and ends, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.lineage.drift import drift
from sam2_plugins.core.lineage.events import Event
from sam2_plugins.core.lineage.rules import (
    Belonging,
    LineageRules,
    apart,
    are_daughters,
    belonging,
    is_whole,
    were_several,
)
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.tracking.proposals import Propose
from sam2_plugins.core.tracking.tracker import VideoTracker

REACH = 0.5
"""Diameters that two daughters are apart at most when they are first seen as two."""

AREAS = 3
"""Frames before a division of which a mother's usual area is taken."""

LOOKS, FEW = 5, 4
"""Looks at objects before a division of which the area of the usual object is taken; how many of
them a frame must have.
"""


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


_STATE = (
    *("_standing", "_alive", "_whole", "_refused", "_last_id"),
    *("_news", "_times", "_pictured", "_sizes"),
)
"""Of a `LineageTracker`, beside its events and where it is: what decisions hang on."""


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
        self._whole: list[ObjectId] = []  # a person said that they did not divide, or end
        self._refused: list[Mapping[int, ObjectMask]] = []  # what a person said is no object
        self._last_id = 0
        self._news: list[Event] = []
        self._every = 1
        self._now = self._decided_to = -1  # the last frames that were tracked, and decided
        self._goes_on = False
        self._times: dict[int, float] = {}
        self._sizes: dict[int, list[int]] = {}  # of what was proposed whole, by frame
        self._pictured: int | None = None  # the last frame on which objects were proposed
        self._picture: NDArray[np.uint8] | None = None

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
        if not self._goes_on:
            self._begin_at(start)
        self._goes_on, self._every = False, every
        delay = self.rules.confirm * every - 1
        for frame in count(self._now + 1):
            if (stop is not None and frame > stop) or not self._exists(frame):
                break
            self._advance(frame, proposing=(frame - start) % every == 0)
            if frame - delay >= start:
                yield self._decided(frame - delay)
        self._settle_rest(self._now)
        for frame in range(self._decided_to + 1, self._now + 1):
            yield self._decided(frame)

    def _begin_at(self, start: int) -> None:
        for obj in self.tracker.objects:
            begins = max(start, min(self._prompted(obj)))
            self._standing.setdefault(obj, _Standing(begins, settled=True, seen=begins))
        self._alive = list(self.tracker.objects)
        self._now = self._decided_to = start - 1
        self._pictured = self._picture = None

    def state(self) -> dict[str, Any]:
        """Return all that it knows beside its tracker, after a frame of `run`."""
        return {
            "events": self.events,
            "parents": self.parents,
            "where": (self._now, self._decided_to),
            "proposer": _learned(self.propose),
            **{name: getattr(self, name) for name in _STATE},
        }

    def go_on_from(self, state: Mapping[str, Any]) -> None:
        """Take such a state, of the same rules; the next `run`, from the same start, goes on."""
        self.events[:] = state["events"]
        self.parents.update(state["parents"])
        self._now, self._decided_to = state["where"]
        self._goes_on = True
        if state["proposer"]:
            vars(self.propose).update(state["proposer"])
        for name in _STATE:
            setattr(self, name, state[name])
        if self._pictured is not None:
            self._picture = self.tracker.frame(self._pictured).image

    def take_back(self, event: Event) -> None:
        """Take a decision back, for a person who knows better; it is not made again.

        What was born goes, with all its descendants. What divided or ended goes on, and is tracked
        to where the run is.
        """
        self.events.remove(event)
        if event.kind != "ended":
            for obj in event.objects:
                self._refused.append(self._remove(obj))
        goes_on = event.objects[0] if event.kind == "ended" else event.mother
        if goes_on is not None:
            self._whole.append(goes_on)
            self._standing[goes_on].seen = event.frame
            self.tracker.set_life(goes_on, self._first(goes_on), None)
            self._alive.append(goes_on)
            for _ in self.tracker.propagate("forward", event.frame, self._now):
                pass

    def _remove(self, obj: ObjectId) -> Mapping[int, ObjectMask]:
        """Remove an object and its descendants; return its masks."""
        for daughter in [child for child, mother in self.parents.items() if mother == obj]:
            self._remove(daughter)
        masks = self.tracker.masklets()[obj].masks
        self.tracker.remove_object(obj)
        self.parents.pop(obj, None)
        self._standing.pop(obj, None)
        self._alive = [alive for alive in self._alive if alive != obj]
        self.events = [event for event in self.events if obj not in (*event.objects, event.mother)]
        return masks

    # -- one frame

    def _exists(self, frame: int) -> bool:
        length = self.tracker.frames.length
        if length is not None:
            return frame < length
        try:
            self.tracker.frame(frame)
        except IndexError:
            return False
        return True

    def _advance(self, frame: int, proposing: bool) -> None:
        self._now, self._times[frame] = frame, self.tracker.frame(frame).time
        tracked = self._track(frame)
        if any(self._standing[obj].born == frame for obj in tracked):
            tracked = self._give_way(frame)
        if not proposing:
            return
        # Of an object whose parts are on trial, the parts are looked for.
        mothers = {self._standing[obj].part_of for obj in self._alive}
        tracked = {obj: mask for obj, mask in tracked.items() if obj not in mothers}
        proposed = [mask for mask in self.propose(frame) if self._counts(frame, mask)]
        self._sizes[frame] = [mask.area for mask in proposed if is_whole(mask)]
        self._sizes.pop(frame - (LOOKS + self.rules.confirm) * self._every, None)
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

    def _counts(self, frame: int, proposed: ObjectMask) -> bool:
        """Whether a proposal is sure enough, and nothing that a person refused."""
        if proposed.iou < self.rules.sure:
            return False
        near = (masks[min(masks, key=lambda f: abs(f - frame))] for masks in self._refused if masks)
        return all(proposed.iou_with(mask) < self.rules.same for mask in near)

    def _track(self, frame: int) -> dict[ObjectId, ObjectMask]:
        """Track all living objects to a frame."""
        living = [o for o in self._alive if self._standing[o].born <= frame]
        if not living:
            return {}
        masks: dict[ObjectId, ObjectMask] = {}
        for result in self.tracker.propagate("forward", frame, frame):
            masks = result.masks
        return {obj: masks[obj] for obj in living if obj in masks}

    def _give_way(self, frame: int) -> dict[ObjectId, ObjectMask]:
        """End what goes on as an object that a person prompted on this frame for the first time.

        Returns
        -------
        dict
            Masks of what is alive on the frame.
        """
        trials = [obj for obj in self._same(frame) if not self._standing[obj].settled]
        mothers = [self._standing[obj].part_of for obj in trials]
        for obj, mother in zip(trials, mothers, strict=True):
            if mothers.count(mother) == 1:
                self._standing[obj].part_of = None
        # While what they come from is there.
        self._decide(trials, frame, 1)
        for obj, theirs in self._same(frame).items():
            self._stop(obj, frame - 1)
            reason = f"goes on as {theirs}, which a person knows from there on"
            self._record(Event("ended", frame - 1, (obj,), reason, goes_on_as=theirs))
        return self._masks(frame)

    def _masks(self, frame: int) -> dict[ObjectId, ObjectMask]:
        found = {obj: self.tracker.mask(frame, obj) for obj in self._alive}
        return {obj: mask for obj, mask in found.items() if mask is not None}

    def _same(self, frame: int) -> dict[ObjectId, ObjectId]:
        """What may end, by a person's object that begins on a frame, and is the same."""
        masks = self._masks(frame)
        theirs = [obj for obj in masks if self._standing[obj].born == frame]
        return {
            obj: their
            for their in theirs
            for obj in masks
            if self._standing[obj].born < frame
            and masks[obj].iou_with(masks[their]) >= self.rules.same
            and self._may_stop(obj, frame - 1)
        }

    def _expected(
        self, frame: int, tracked: dict[ObjectId, ObjectMask]
    ) -> dict[ObjectId, ObjectMask]:
        """Where objects would be if they had moved with the frame."""
        earlier, before = self._pictured, self._picture
        self._pictured, self._picture = frame, self.tracker.frame(frame).image
        if earlier is None or before is None or not tracked:
            return {}
        dx, dy = drift(before, self._picture)
        last = {obj: self.tracker.mask(earlier, obj) for obj in tracked}
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
            if not self._standing[obj].settled or obj in self._whole:
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
        self._last_id = next(n for n in count(self._last_id + 1) if n not in taken)
        return self._last_id

    # -- decisions

    def _settle(self, frame: int) -> None:
        """Decide on what was on trial for long enough."""
        due = [
            obj
            for obj in self._alive
            if not self._standing[obj].settled
            and frame - self._standing[obj].born >= (self.rules.confirm - 1) * self._every
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
            self._resolve(mother, daughters, frame)
        for obj in lasting:
            standing = self._standing.get(obj)
            if standing is not None and not standing.settled:
                self._bear(obj, frame)

    def _resolve(self, mother: ObjectId, parts: list[ObjectId], frame: int) -> None:
        """Two lasting parts of an object are its daughters, or else it was several from the start.

        What is neither is a part no more.
        """
        born = min(self._standing[part].born for part in parts)
        areas = [self._area(part, self._standing[part].born) for part in parts]
        before, usual = self._usual_area(mother, born), self._usual_size(born)
        twins = len(parts) == 2 and all(self._standing[part].born == born for part in parts)
        if mother in self._alive and len(parts) > 1 and self._may_stop(mother, born - 1):
            if (
                twins
                and are_daughters(before, areas[0], areas[1], usual, False, self.rules)
                and self._are_alike(parts[0], parts[1], frame)
            ):
                self._divide(mother, (parts[0], parts[1]), born, "two parts of it lasted")
                return
            if were_several(before, areas, usual):
                self._part(mother, parts, born)
                return
        for part in parts:
            self._forget(part)

    def _part(self, whole: ObjectId, parts: Sequence[ObjectId], frame: int) -> None:
        """Let what was several objects end, and its parts go on."""
        self._stop(whole, frame - 1)
        self._record(Event("ended", frame - 1, (whole,), "several objects, taken together"))
        for part in parts:
            standing = self._standing[part]
            standing.settled, standing.part_of = True, None
            self._record(Event("born", standing.born, (part,), f"taken together with {whole}"))

    def _bear(self, obj: ObjectId, frame: int) -> None:
        """A newcomer is the daughter of what lost as much beside it, or of nobody."""
        born, found = self._standing[obj].born, self._standing[obj].found
        self._standing[obj].settled = True
        mother = self._mother_of(obj, frame)
        if mother is not None:
            lost = 1 - self._least_area(mother, born, frame) / self._usual_area(mother, born)
            sister = self._branch(mother, born, frame)
            reason = f"a newcomer beside it, and it lost {lost:.0%}"
            self._divide(mother, (sister, obj), born, reason)
            return
        reason = f"found for {found} frames" if found > 1 else "found on the last frame"
        if born == min(standing.born for standing in self._standing.values()):
            reason = "there on the first frame"
        self._record(Event("born", born, (obj,), reason))

    def _mother_of(self, obj: ObjectId, frame: int) -> ObjectId | None:
        """The nearest object that became as much smaller as a newcomer beside it is large."""
        born = self._standing[obj].born
        mine = self.tracker.mask(born, obj)
        assert mine is not None
        near: dict[ObjectId, float] = {}
        for mother in self._alive:
            standing = self._standing[mother]
            known = standing.settled and standing.born < born
            if mother == obj or not known or not self._may_stop(mother, born - 1):
                continue
            followed = self.tracker.mask(born, mother)
            gap = REACH + 1 if followed is None else apart(followed, mine)
            before, after = self._usual_area(mother, born), self._least_area(mother, born, frame)
            usual = self._usual_size(born)
            if (
                gap <= REACH
                and are_daughters(before, after, mine.area, usual, True, self.rules)
                and self._are_alike(mother, obj, frame)
            ):
                near[mother] = gap
        return min(near, key=lambda mother: near[mother], default=None)

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
        self._record(Event("divided", frame, daughters, reason, mother))

    def _end_lost(self, frame: int) -> None:
        for obj in list(self._alive):
            standing = self._standing[obj]
            gone = frame - standing.seen >= self.rules.confirm * self._every
            lost = standing.settled and gone
            if not lost or any(self._standing[o].part_of == obj for o in self._alive):
                continue
            if self._may_stop(obj, standing.seen):
                self._stop(obj, standing.seen)
                reason = f"not found for {self.rules.confirm} frames"
                self._record(Event("ended", standing.seen, (obj,), reason))

    def _stop(self, obj: ObjectId, last: int) -> None:
        self.tracker.set_life(obj, self._first(obj), last)
        self._alive.remove(obj)

    def _may_stop(self, obj: ObjectId, last: int) -> bool:
        """Whether an object may end on a frame: not if a person knows it later, or said so."""
        return obj not in self._whole and max(self._prompted(obj)) <= last

    def _prompted(self, obj: ObjectId) -> list[int]:
        return [prompt.frame for prompt in self.tracker.prompts if prompt.obj == obj]

    def _first(self, obj: ObjectId) -> int | None:
        return self.tracker.lives.get(obj, (None, None))[0]

    def _forget(self, obj: ObjectId) -> None:
        """Take back what was on trial; the object that it was a part of was there all along."""
        gone = self._standing.pop(obj)
        self.tracker.remove_object(obj)
        self._alive.remove(obj)
        if gone.part_of in self._alive:
            whole = self._standing[gone.part_of]
            whole.seen = max(whole.seen, gone.seen)

    def _record(self, event: Event) -> None:
        self.events.append(event)
        self._news.append(event)

    # -- what came out

    def _area(self, obj: ObjectId, frame: int) -> float:
        mask = self.tracker.mask(frame, obj)
        return 0.0 if mask is None else float(mask.area)

    def _usual_area(self, obj: ObjectId, before: int) -> float:
        areas = [self._area(obj, f) for f in range(max(0, before - AREAS), before)]
        return median([area for area in areas if area] or [0.0])

    def _are_alike(self, one: ObjectId, other: ObjectId, frame: int) -> bool:
        """Whether two objects are as large as each other still: a fragment shrinks soon."""
        small, large = sorted((self._area(one, frame), self._area(other, frame)))
        return large <= self.rules.alike * small

    def _least_area(self, obj: ObjectId, first: int, last: int) -> float:
        """Until the outline of a daughter is taken, the tracker may see more of the mother."""
        areas = [self._area(obj, frame) for frame in range(first, last + 1)]
        return min([area for area in areas if area] or [0.0])

    def _usual_size(self, before: int) -> float:
        """Area of the usual object: of those that were proposed whole, before a frame.

        inf if they are too few to know.
        """
        frames = sorted(frame for frame in self._sizes if frame < before)[-LOOKS:]
        sizes = [size for frame in frames for size in self._sizes[frame]]
        return median(sizes) if len(sizes) >= FEW * max(1, len(frames)) else math.inf

    def _decided(self, frame: int) -> LineageFrame:
        masks = {
            obj: mask
            for obj in self.tracker.objects
            if (standing := self._standing.get(obj)) is not None
            and standing.settled
            and (mask := self.tracker.mask(frame, obj)) is not None
            and mask.visible
        }
        self._decided_to, news, self._news = frame, tuple(self._news), []
        return LineageFrame(frame, self._times.pop(frame), masks, news)


def _learned(propose: Propose) -> dict[str, Any]:
    """What a proposer has learned on its way: its plain values."""
    known = getattr(propose, "__dict__", {}).items()
    return {name: value for name, value in known if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, int | float | str)
