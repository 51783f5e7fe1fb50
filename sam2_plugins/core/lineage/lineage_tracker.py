"""LineageTracker: all objects of a movie with newcomers, divisions and ends, frame by frame."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.lineage.decisions import Decisions
from sam2_plugins.core.lineage.drift import drift
from sam2_plugins.core.lineage.events import Event
from sam2_plugins.core.lineage.outline import mean_outline
from sam2_plugins.core.lineage.population import SIZED, Population
from sam2_plugins.core.lineage.rules import Belonging, LineageRules, belonging
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.tracking.proposals import Propose
from sam2_plugins.core.tracking.tracker import VideoTracker


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
    due
        The next frame to be yielded; what comes before stands as it was yielded last.
    """

    def __init__(
        self, tracker: VideoTracker, propose: Propose, rules: LineageRules | None = None
    ) -> None:
        self.tracker = tracker
        self.propose = propose
        self.rules = rules or LineageRules()
        self._population = Population(tracker)
        self._decisions = Decisions(self._population, self.rules)
        self._every = 1
        self._start = 0
        self._now = -1  # the last frame that was tracked
        self.due = 0
        self._goes_on = False
        self._times: dict[int, float] = {}
        self._pictured: int | None = None  # the last frame on which objects were proposed
        self._picture: NDArray[np.uint8] | None = None

    @property
    def parents(self) -> dict[ObjectId, ObjectId]:
        """Daughter to mother."""
        return self._decisions.parents

    @property
    def events(self) -> list[Event]:
        """All that was decided, in order."""
        return self._decisions.events

    def run(
        self, start: int = 0, stop: int | None = None, every: int = 1
    ) -> Generator[LineageFrame, None, None]:
        """Track from one frame to another, both included, and yield frames as they are decided.

        Closing the generator stops within a frame. Between two frames a person may take decisions
        back, and prompt, correct or remove objects of the tracker: decided frames that this
        changes come again.

        Parameters
        ----------
        every
            Objects are proposed on every n-th frame; in between, they are tracked.
        """
        if not self._goes_on:
            self._population.begin_at(start)
            self._now, self.due = start - 1, start
            self._pictured = self._picture = None
        self._goes_on, self._every, self._start = False, every, start
        delay = self.rules.confirm * every - 1
        for frame in count(self._now + 1):
            if (stop is not None and frame > stop) or not self._exists(frame):
                break
            self._advance(frame, proposing=(frame - start) % every == 0)
            yield from self._decided(frame - delay)
        # The movie ends: what is still on trial is decided by what there is.
        self._catch_up()
        self._decisions.settle(self._population.on_trial(), self._now, 1)
        yield from self._decided(self._now)

    def state(self) -> dict[str, Any]:
        """Return all that it knows beside its tracker, after a frame of `run`."""
        return {
            "where": (self._now, self.due, self._pictured, self._times),
            "population": self._population.state(),
            "decisions": self._decisions.state(),
            "proposer": _learned(self.propose),
        }

    def go_on_from(self, state: Mapping[str, Any]) -> None:
        """Take such a state, of the same rules; the next `run`, from the same start, goes on."""
        self._now, self.due, self._pictured, self._times = state["where"]
        self._population.restore(state["population"])
        self._decisions.restore(state["decisions"])
        self._goes_on = True
        if state["proposer"]:
            vars(self.propose).update(state["proposer"])
        if self._pictured is not None:
            self._picture = self.tracker.frame(self._pictured).image

    def take_back(self, event: Event) -> None:
        """Take a decision back, for a person who knows better; it is not made again.

        What was born goes, with all its descendants. What divided or ended goes on, and is tracked
        to where the run is.

        Raises
        ------
        TrackingError
            If the decision does not stand any more.
        """
        if self._decisions.take_back(event) is not None:
            self._track(event.frame, self._now)
        self._come_again(event.frame)

    # -- what a person changes on the way

    def _catch_up(self) -> None:
        """Take up what a person did to the tracker, as if it had been known before."""
        for obj, first in self._population.catch_up(self._start):
            self._come_again(first)
            if obj not in self._population.standing:
                self._decisions.drop(obj)
            elif first <= self._now:
                self._track(first, self._now)
                if first == self._population.standing[obj].born:
                    self._decisions.give_way(first)

    def _come_again(self, frame: int) -> None:
        self.due = max(self._start, min(self.due, frame))

    # -- one frame

    def _exists(self, frame: int) -> bool:
        try:
            self.tracker.frame(frame)
        except IndexError:
            return False
        return True

    def _advance(self, frame: int, proposing: bool) -> None:
        population, decisions = self._population, self._decisions
        standing, confirm = population.standing, self.rules.confirm
        self._catch_up()
        self._now, self._times[frame] = frame, self.tracker.frame(frame).time
        tracked = self._track(frame, frame)
        if any(standing[obj].born == frame for obj in tracked):
            tracked = decisions.give_way(frame)
        if not proposing:
            return
        # Of an object whose parts are on trial, the parts are looked for.
        mothers = {standing[obj].part_of for obj in population.alive}
        tracked = {obj: mask for obj, mask in tracked.items() if obj not in mothers}
        proposed = [mask for mask in self.propose(frame) if not mask.iou < self.rules.sure]
        population.measure(frame, proposed, frame - (SIZED + confirm) * self._every)
        found = belonging(tracked, self._expected(frame, tracked), proposed, self.rules)
        self._take_outlines(frame, tracked, proposed, found)
        for obj in found.of:
            standing[obj].seen = frame
            # What is proposed as one with its like speaks against parts, not for them.
            standing[obj].found += standing[obj].part_of is None or obj not in found.shared
        self._try_parts(frame, proposed, found)
        for column in found.free:
            if not decisions.has_refused(proposed[column], frame):
                population.begin(frame, proposed[column])
        waited = frame - (confirm - 1) * self._every
        due = [obj for obj in population.on_trial() if standing[obj].born <= waited]
        decisions.settle(due, frame, confirm - 1)
        decisions.end_lost(frame, self._every)

    def _track(self, first: int, last: int) -> dict[ObjectId, ObjectMask]:
        """Track all living objects through frames; return their masks on the last."""
        standing = self._population.standing
        living = [o for o in self._population.alive if standing[o].born <= last]
        if not living:
            return {}
        masks: dict[ObjectId, ObjectMask] = {}
        for result in self.tracker.propagate("forward", first, last):
            masks = result.masks
        return {obj: masks[obj] for obj in living if obj in masks}

    def _expected(
        self, frame: int, tracked: dict[ObjectId, ObjectMask]
    ) -> dict[ObjectId, ObjectMask]:
        """Where objects would be if they had moved with the frame since they were seen."""
        population = self._population
        before, self._picture = self._picture, self.tracker.frame(frame).image
        self._pictured = frame
        if before is None:
            return {}
        population.drifted(frame, drift(before, self._picture))
        oldest = frame - self.rules.confirm * self._every
        last = {obj: max(population.standing[obj].seen, oldest) for obj in tracked}
        found = {obj: population.mask_as_of(frame, obj, seen) for obj, seen in last.items()}
        return {obj: mask for obj, mask in found.items() if mask is not None}

    def _take_outlines(
        self,
        frame: int,
        tracked: dict[ObjectId, ObjectMask],
        proposed: Sequence[ObjectMask],
        found: Belonging,
    ) -> None:
        better, between = {}, {}
        for obj, column in found.of.items():
            if obj in found.shared or obj in found.parts:
                continue
            own, fresh = tracked[obj], proposed[column]
            alike = own.iou_with(fresh)
            # Where the two hardly overlap, the object was found by where it should be.
            if alike >= self.rules.snap or alike < self.rules.same:
                better[obj] = fresh
            if alike >= self.rules.snap and fresh.iou < self.rules.certain:
                between[obj] = mean_outline(own, fresh)
        self.tracker.take(frame, better, between)

    def _try_parts(self, frame: int, proposed: Sequence[ObjectMask], found: Belonging) -> None:
        """Track the parts of an object on trial: they may be its daughters."""
        for obj, columns in found.parts.items():
            if not self._decisions.may_part(obj):
                continue
            own = [found.of[obj]] if obj in found.of else []
            for column in (*columns, *own):
                if not self._decisions.has_refused(proposed[column], frame):
                    self._population.begin(frame, proposed[column], part_of=obj)

    def _decided(self, last: int) -> Iterator[LineageFrame]:
        """Yield the frames up to one that are due."""
        while True:
            self._catch_up()
            if self.due > last:
                return
            frame, self.due = self.due, self.due + 1
            news = self._decisions.news() if frame == last else ()
            masks = self._population.settled_masks(frame)
            yield LineageFrame(frame, self._times[frame], masks, news)


def _learned(propose: Propose) -> dict[str, Any]:
    """What a proposer has learned on its way: its plain values."""
    known = getattr(propose, "__dict__", {}).items()
    return {name: value for name, value in known if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, int | float | str)
