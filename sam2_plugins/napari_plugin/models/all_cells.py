"""All cells of a movie: tracked with newcomers, divisions and ends, offered to a person."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from sam2_plugins.core.lineage import Event, LineageFrame, LineageTracker
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.core.tracking.tracker import FrameResult
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Change, free_label
from sam2_plugins.napari_plugin.models.requests import Request, Step
from sam2_plugins.napari_plugin.models.session import Session
from sam2_plugins.napari_plugin.models.work import Work


@dataclass(frozen=True)
class Offer:
    """A decision that a person may refuse.

    Attributes
    ----------
    kind
        "born", "divided" or "ended", as `core.lineage.Event` has it.
    labels
        What was born or ended, or the daughters.
    """

    kind: str
    frame: int
    labels: tuple[int, ...]
    reason: str
    mother: int | None = None


@dataclass(frozen=True)
class LineageStep(Step):
    """A frame of which all is decided."""

    found: LineageFrame | None = None


Seeds: TypeAlias = "dict[int, tuple[int, ObjectMask]]"
"""By label, the first frame of a run on which an object is, and its mask there."""


def seeds_of(work: Work, line: Line, first: int, last: int) -> Seeds:
    """Find the objects of some frames of a line: those that come later, too."""
    seeds: Seeds = {}
    for label in work.names:
        frames = {line.frame(index) for index in work.store.frames_of(label)}
        for frame in sorted(f for f in frames if f is not None and first <= f <= last):
            mask = work.store.get(line.index(frame), label)
            if mask is not None and mask.visible:
                seeds[label] = frame, mask
                break
    return seeds


def follow_all(
    session: Session, wanted: Request, seeds: Seeds
) -> Generator[LineageStep, None, None]:
    """Track all objects from a frame on, those that are there and those that come.

    Nothing is written to the store. Prompts after those of the seeds count too.
    """
    line, first = wanted.line, wanted.start or 0
    last = session.store.shape[line.axis or 0] - 1 if wanted.stop is None else wanted.stop
    tracker = session.fresh_tracker(wanted.view, line)
    for label, (frame, mask) in seeds.items():
        tracker.add(Prompt.of(frame, label, mask=mask))
    for (frame, label), prompts in sorted(session.prompts.along(line).items()):
        if label in seeds and seeds[label][0] < frame <= last:
            for prompt in prompts:
                tracker.add(prompt)
    session.bound(tracker)
    frames = LineageTracker(tracker, tracker.proposer()).run(first, last)
    total, done = last - first + 1, 0
    while True:
        with session.turns:
            found = next(frames, None)
        if found is None:
            return
        done += 1
        yield LineageStep(line.index(found.frame), done, total, len(found.masks), found)


class Taking:
    """Takes what was found into the objects of the dock, in the thread of the window.

    Parameters
    ----------
    labels
        Objects that the tracker knew from the beginning.
    change
        Is filled with what takes the run back.
    """

    def __init__(self, work: Work, wanted: Request, labels: Iterable[int], change: Change) -> None:
        self._work = work
        self._wanted = wanted
        self._change = change
        self._labels: dict[ObjectId, int] = {label: label for label in labels}

    def take(self, found: LineageFrame) -> list[Offer]:
        """Write a frame's masks, and return what was decided."""
        offers = [offer for event in found.events if (offer := self._decided(event)) is not None]
        named = {self._label(obj): mask for obj, mask in found.masks.items()}
        names = self._work.names
        masks: dict[ObjectId, ObjectMask] = {o: mask for o, mask in named.items() if o in names}
        result = FrameResult(found.frame, found.time, masks, frozenset(masks))
        self._work.session.keep(self._wanted, result, self._change)
        return offers

    def _label(self, obj: ObjectId) -> int:
        """Label of what the tracker calls an object; what is new there is new here."""
        if obj not in self._labels:
            names = self._work.names
            label = self._labels[obj] = free_label({*names, *self._labels.values()})
            names[label] = f"object {label}"
        return self._labels[obj]

    def _decided(self, event: Event) -> Offer | None:
        lives, lineage = self._work.session.lives, self._work.lineage
        labels = tuple(self._label(obj) for obj in event.objects)
        mother = None if event.mother is None else self._label(event.mother)
        at_first = event.frame == (self._wanted.start or 0)
        if event.kind == "ended":
            if lives.get(labels[0], Life()).last is not None:  # as it was known
                return None
            lives[labels[0]] = replace(lives.get(labels[0], Life()), last=event.frame)
        elif not at_first:
            for label in labels:
                lives[label] = Life(event.frame, None)
        if mother is not None:
            lives[mother] = replace(lives.get(mother, Life()), last=event.frame - 1)
            for label in labels:
                lineage.add(mother, label)
        if event.kind == "born" and at_first:
            return None
        return Offer(event.kind, event.frame, labels, event.reason, mother)
