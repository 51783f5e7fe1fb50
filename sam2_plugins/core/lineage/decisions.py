"""Decisions: births, divisions and ends, each with its reason, until a person takes one back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.lineage.events import Event, parents_of
from sam2_plugins.core.lineage.population import Population, Standing
from sam2_plugins.core.lineage.rules import (
    LineageRules,
    are_daughters,
    in_place_of,
    were_several,
)
from sam2_plugins.core.masks import ObjectId, ObjectMask


class Decisions:
    """Decides on what is on trial, and on what is not found any more.

    Attributes
    ----------
    parents
        Daughter to mother.
    events
        All that was decided, in order.
    """

    def __init__(self, population: Population, rules: LineageRules) -> None:
        self._population = population
        self._tracker = population.tracker
        self._rules = rules
        self.parents: dict[ObjectId, ObjectId] = {}
        self.events: list[Event] = []
        self._unending: list[ObjectId] = []  # a person decided that they did not divide, or end
        self._refused: list[Mapping[int, ObjectMask]] = []  # what is no object for a person
        self._news: list[Event] = []

    @property
    def _standing(self) -> Mapping[ObjectId, Standing]:
        return self._population.standing

    def state(self) -> tuple[Any, ...]:
        """Return all that was decided."""
        return self.events, self.parents, self._unending, self._refused, self._news

    def restore(self, state: tuple[Any, ...]) -> None:
        """Take such a state, into the lists that others hold."""
        events, parents, self._unending, self._refused, self._news = state
        self.events[:] = events
        self.parents.update(parents)

    def news(self) -> tuple[Event, ...]:
        """Return what was decided since the last call."""
        news, self._news = tuple(self._news), []
        return news

    def has_refused(self, mask: ObjectMask, frame: int) -> bool:
        """Whether a person refused such an object as a proposal is."""
        near = (masks[min(masks, key=lambda f: abs(f - frame))] for masks in self._refused if masks)
        return any(mask.iou_with(other) >= self._rules.same for other in near)

    def may_part(self, obj: ObjectId) -> bool:
        """Whether parts of an object may be its daughters."""
        return self._standing[obj].settled and obj not in self._unending

    def settle(self, due: Sequence[ObjectId], frame: int, needed: int) -> None:
        """Decide on objects on trial by all frames up to one: they last, or are forgotten.

        Parameters
        ----------
        needed
            Frames on which they must have been found.
        """
        lasting = [obj for obj in due if self._standing[obj].found >= needed]
        for obj in due:
            if obj not in lasting:
                self._population.forget(obj)
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
                self._decide_birth(obj, frame)

    def give_way(self, frame: int) -> dict[ObjectId, ObjectMask]:
        """End what goes on as an object that a person prompted first on this frame.

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
        self.settle(trials, frame, 1)
        for obj, theirs in self._same(frame).items():
            reason = f"goes on as {theirs}, which a person knows from there on"
            self._end(obj, frame - 1, reason, theirs)
        return self._masks(frame)

    def _masks(self, frame: int) -> dict[ObjectId, ObjectMask]:
        found = {obj: self._tracker.mask(frame, obj) for obj in self._population.alive}
        return {obj: mask for obj, mask in found.items() if mask is not None}

    def _same(self, frame: int) -> dict[ObjectId, ObjectId]:
        """What may end, by a person's object that begins on a frame, and is the same."""
        masks = self._masks(frame)
        return {
            obj: theirs
            for theirs in masks
            for obj in masks
            if self._standing[obj].born < frame == self._standing[theirs].born
            and masks[obj].iou_with(masks[theirs]) >= self._rules.same
            and self._may_stop(obj, frame - 1)
        }

    def end_lost(self, frame: int, every: int) -> None:
        """End what was not found for long; what has parts on trial was found in them."""
        alive = self._population.alive
        for obj in list(alive):
            standing = self._standing[obj]
            gone = frame - standing.seen >= self._rules.confirm * every
            # What a person shows and the finder never saw goes on.
            lost = standing.settled and standing.found and gone
            if not lost or any(self._standing[o].part_of == obj for o in alive):
                continue
            if self._may_stop(obj, standing.seen):
                self._end(obj, standing.seen, f"not found for {self._rules.confirm} frames")

    def take_back(self, event: Event) -> ObjectId | None:
        """Take a decision back; it is not made again.

        Returns
        -------
        ObjectId or None
            What goes on from the frame of the event.

        Raises
        ------
        TrackingError
            If it does not stand any more.
        """
        if event not in self.events:
            raise TrackingError(f"This does not stand any more, and is not taken back: {event}")
        self.events.remove(event)
        goes_on, gone = event.mother, event.objects
        if event.kind == "ended":
            goes_on = event.objects[0]
            gone = tuple(obj for obj, one in self._standing.items() if one.part_of == goes_on)
        for obj in gone:
            self._refused.append(self._remove(obj))
        if goes_on is not None:
            self._unending.append(goes_on)
            self._population.revive(goes_on, event.frame)
        return goes_on

    def _remove(self, obj: ObjectId) -> Mapping[int, ObjectMask]:
        """Remove an object and its descendants; return its masks."""
        for daughter in [child for child, mother in self.parents.items() if mother == obj]:
            self._remove(daughter)
        masks = self._tracker.masklets()[obj].masks
        self._population.remove(obj)
        self.drop(obj)
        return masks

    def drop(self, obj: ObjectId) -> None:
        """Drop all decisions about an object that is no more."""
        of_it = [one for one in self.events if obj in (*one.objects, one.mother)]
        self.events[:] = [one for one in self.events if one not in of_it]
        for daughter in (*parents_of(of_it), obj):
            self.parents.pop(daughter, None)

    # -- births and divisions

    def _resolve(self, mother: ObjectId, parts: list[ObjectId], frame: int) -> None:
        """Two lasting parts of an object are its daughters, or else it was several from the start.

        What is neither is a part no more.
        """
        population = self._population
        born = min(self._standing[part].born for part in parts)
        areas = [population.area(part, self._standing[part].born) for part in parts]
        before = population.usual_area(mother, born)
        # An object of the usual size of its time is one, whatever has become usual since.
        usual = max(population.usual_size(born), self._standing[mother].usual)
        twins = len(parts) == 2 and all(self._standing[part].born == born for part in parts)
        if mother in population.alive and len(parts) > 1 and self._may_stop(mother, born - 1):
            if (
                twins
                and born < frame  # what was seen in two on the last frame alone may be one
                and are_daughters(before, areas[0], areas[1], self._rules)
                and max(areas) <= self._rules.newborn * usual
                and self._are_alike(parts[0], parts[1], frame)
            ):
                self._divide(mother, (parts[0], parts[1]), born, "two parts of it lasted")
                return
            if were_several(before, areas, usual):
                self._part(mother, parts, born)
                return
        for part in parts:
            population.forget(part)

    def _part(self, whole: ObjectId, parts: Sequence[ObjectId], frame: int) -> None:
        """Let what was several objects end, and its parts go on."""
        self._end(whole, frame - 1, "several objects, taken together")
        for part in parts:
            standing = self._standing[part]
            standing.settled = True
            self._record(Event("born", standing.born, (part,), f"taken together with {whole}"))

    def _decide_birth(self, obj: ObjectId, frame: int) -> None:
        """A newcomer is the daughter of what lost as much beside it, or of nobody."""
        population = self._population
        born, found = self._standing[obj].born, self._standing[obj].found
        self._standing[obj].settled = True
        mother = self._mother_of(obj, frame) if born < frame else None
        if mother is not None:
            before = population.usual_area(mother, born)
            after = population.least_area(mother, born, frame)
            sister = population.branch(mother, born, frame)
            reason = f"a newcomer beside it, and it lost {1 - after / before:.0%}"
            self._divide(mother, (sister, obj), born, reason)
            return
        reason = f"found for {found} frames" if found > 1 else "found on the last frame"
        if born == min(standing.born for standing in self._standing.values()):
            reason = "there on the first frame"
        self._record(Event("born", born, (obj,), reason))

    def _mother_of(self, obj: ObjectId, frame: int) -> ObjectId | None:
        """The object whose place and outline a newcomer has together with what is left of it."""
        population, born = self._population, self._standing[obj].born
        mine = self._tracker.mask(born, obj)
        assert mine is not None
        likely: dict[ObjectId, float] = {}
        for mother in population.alive:
            standing = self._standing[mother]
            known = standing.settled and standing.born < born
            if mother == obj or not known or not self._may_stop(mother, born - 1):
                continue
            left = self._tracker.mask(born, mother)
            before = population.usual_area(mother, born)
            after = population.least_area(mother, born, frame)
            if (
                left is not None
                and are_daughters(before, after, mine.area, self._rules)
                and after <= self._rules.lost * before
                and self._are_alike(mother, obj, frame)
            ):
                together = left.union_with(mine)
                # The newcomer may be found later than its sister.
                earlier = population.masks_before(mother, born)
                ground = max((mask.intersection_with(mine) for mask in earlier), default=0)
                if ground >= self._rules.grounded * mine.area:
                    likely[mother] = max(in_place_of(mask, together) for mask in earlier)
        best = max(likely, key=lambda mother: likely[mother], default=None)
        return best if best is not None and likely[best] >= self._rules.parted else None

    def _are_alike(self, one: ObjectId, other: ObjectId, frame: int) -> bool:
        """Whether two objects are as large as each other still: a fragment shrinks soon."""
        small, large = sorted(self._population.area(obj, frame) for obj in (one, other))
        return large <= self._rules.alike * small

    def _divide(
        self, mother: ObjectId, daughters: tuple[ObjectId, ObjectId], frame: int, reason: str
    ) -> None:
        self._population.stop(mother, frame - 1)
        for daughter in daughters:
            self._standing[daughter].settled = True
            self._standing[daughter].part_of = None
            self.parents[daughter] = mother
        self._record(Event("divided", frame, daughters, reason, mother))

    # -- ends

    def _end(
        self, obj: ObjectId, last: int, reason: str, goes_on_as: ObjectId | None = None
    ) -> None:
        self._population.stop(obj, last)
        self._record(Event("ended", last, (obj,), reason, goes_on_as=goes_on_as))

    def _may_stop(self, obj: ObjectId, last: int) -> bool:
        """Whether an object may end on a frame: not if a person prompted it later or forbade it."""
        return obj not in self._unending and max(self._population.prompted(obj)) <= last

    def _record(self, event: Event) -> None:
        self.events.append(event)
        self._news.append(event)
