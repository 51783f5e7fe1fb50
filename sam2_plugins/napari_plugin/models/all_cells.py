"""All cells of a movie: tracked with newcomers, divisions and ends, offered to a person."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from sam2_plugins.core.lineage import (
    Event,
    LineageFrame,
    LineageJournal,
    LineageTracker,
    note_on,
    run_all,
)
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.marks import Prompts
from sam2_plugins.napari_plugin.layers.mask_store import Change, Entry, free_label
from sam2_plugins.napari_plugin.models.project_file import Project, journal_of
from sam2_plugins.napari_plugin.models.requests import AllCells, Choices, Offer, Request, Step
from sam2_plugins.napari_plugin.models.session import Session, bound
from sam2_plugins.napari_plugin.models.work import Work

_WRITING: defaultdict[Path, Lock] = defaultdict(Lock)
"""Held while a run writes its journal: that of a closed dock may be at its last frame still."""


@dataclass(frozen=True)
class LineageStep(Step):
    """A frame of which all is decided."""

    found: LineageFrame | None = None


def all_cells(work: Work, line: Line, first: int, last: int, choices: Choices) -> AllCells:
    """Prepare a run over all cells of some frames of a line, also of those that come later.

    Each object begins with its first mask there; prompts after that count too.
    """
    seeds: dict[int, Prompt] = {}
    for label in work.names:
        frames = {line.frame(index) for index in work.store.frames_of(label)}
        for frame in sorted(f for f in frames if f is not None and first <= f <= last):
            mask = work.store.get(line.index(frame), label)
            if mask is not None and mask.visible:
                seeds[label] = Prompt.of(frame, label, mask=mask)
                break
    later = [
        _as_saved(prompt)
        for (frame, label), prompts in sorted(work.session.prompts.along(line).items())
        if label in seeds and seeds[label].frame < frame <= last
        for prompt in prompts
    ]
    run = AllCells(
        line=line,
        first=first,
        last=last,
        choices=choices,
        prompts=(*seeds.values(), *later),
        lives=dict(work.session.lives),
        journal=_place(work.project),
        taken=first - 1,
        labels={label: label for label in seeds},
    )
    if run.journal is not None:
        LineageJournal(run.journal).delete()
    work.all_cells = run
    return run


def _place(project: Project | None) -> Path | None:
    """Return where a run can be saved; None if the project file cannot be written either."""
    if project is None or project.error or not os.access(project.path.parent, os.W_OK):
        return None
    return journal_of(project).path


def follow_all(
    session: Session, wanted: Request, run: AllCells
) -> Generator[LineageStep, None, None]:
    """Track all objects, those that are there and those that come; begin where it was broken off.

    Nothing is written to the store. What was decided before the break is yielded again. What a
    person prompts ahead of the run, of the objects with which it began, it follows.
    """
    before = run.taken
    with session.turns.turn():
        session.heed()  # what comes may take the number of what was removed
    tracker = session.fresh_tracker(wanted.view, run.line)
    for prompt in run.prompts:
        tracker.add(prompt)
    bound(tracker, run.lives)
    lineage, note = LineageTracker(tracker, tracker.proposer()), note_on(tracker, run.first)
    journal = None if run.journal is None else LineageJournal(run.journal)
    total = run.last - run.first + 1
    with _WRITING[run.journal] if run.journal else nullcontext():
        frames = run_all(lineage, run.first, run.last, journal=journal, turn=session.turns.turn)
        with closing(frames):
            for done, found in enumerate(frames, 1):
                index, computed = run.line.index(found.frame), len(found.masks)
                yield LineageStep(index, done, total, computed, note, found)
                if found.frame > before:
                    with session.turns.turn():
                        _look_ahead(session, tracker, run, found.frame)


def _look_ahead(session: Session, tracker: VideoTracker, run: AllCells, done: int) -> None:
    """Give a run what a person has prompted, or taken back, on frames that are not decided."""
    seeds = {prompt.obj: prompt for prompt in reversed(run.prompts)}
    known: dict[tuple[int, ObjectId], Prompts] = {}
    for prompt in run.prompts:
        if prompt.frame > done and prompt is not seeds[prompt.obj]:
            known[prompt.frame, prompt.obj] = (*known.get((prompt.frame, prompt.obj), ()), prompt)
    wanted: dict[tuple[int, ObjectId], Prompts] = {
        (frame, label): tuple(map(_as_saved, prompts))
        for (frame, label), prompts in session.prompts.along(run.line).items()
        if done < frame <= run.last and run.labels.get(label) == label in seeds
        if frame > seeds[label].frame
    }
    changed = [key for key in {**known, **wanted} if known.get(key) != wanted.get(key)]
    for key in changed:
        if key in known:
            tracker.remove_prompt(*key)
        for prompt in wanted.get(key, ()):
            tracker.add(prompt)
    if changed:
        gone = [prompt for prompts in known.values() for prompt in prompts]
        stay = [one for one in run.prompts if not any(one is other for other in gone)]
        run.prompts = (*stay, *(prompt for key in sorted(wanted) for prompt in wanted[key]))


def _as_saved(prompt: Prompt) -> Prompt:
    return replace(prompt, points=prompt.all_points, beside=None)


class Taking:
    """Adds the found objects to those of the dock, in the thread of the window.

    Parameters
    ----------
    change
        Is filled with what takes the run back.

    Attributes
    ----------
    heirs
        Objects that are no more, and those as which they go on.
    """

    def __init__(self, work: Work, wanted: Request, run: AllCells, change: Change) -> None:
        self._work = work
        self._wanted = wanted
        self._run = run
        self._change = change
        self.heirs: dict[int, int] = {}
        self._prompts = run.prompts
        self._answered = work.session.prompts.along(run.line)

    def take(self, found: LineageFrame) -> bool:
        """Write a frame's masks and decisions; return whether there were decisions.

        What was taken before the run was broken off stays as a person has left it.
        """
        work, run = self._work, self._run
        if found.frame <= run.taken:
            return False
        known = len(run.labels)
        for event in found.events:
            for offer in self._decided(event):
                work.offers = sorted([*work.offers, offer], key=lambda one: one.frame)
                work.accepted.discard(offer)
        index, by_hand = run.line.index(found.frame), self._by_hand()
        masks: dict[ObjectId, ObjectMask] = {}
        for obj, mask in found.masks.items():
            label = self._label(obj)
            if label in work.names and (index, label) not in by_hand:
                masks[label] = mask
        result = FrameResult(found.frame, found.time, masks, frozenset(masks))
        work.session.keep(self._wanted, result, self._change)
        for label in self._corrected(found.frame):
            work.session.prompts.outdate(run.line, label, found.frame)
        run.taken = found.frame
        if run.prompts is not self._prompts and work.project is not None:
            self._prompts = run.prompts
            work.project.put_all_cells(run.begun())
        more = bool(found.events) or len(run.labels) > known
        if more:
            work.history.on_change()
        elif work.project is not None:
            work.project.put_all_cells({"taken": run.taken})
        return more

    def _corrected(self, frame: int) -> set[int]:
        """Return the objects of whose prompts before a frame the run follows others."""
        followed: dict[tuple[int, ObjectId], Prompts] = defaultdict(tuple)
        for prompt in self._run.prompts:
            followed[prompt.frame, prompt.obj] += (prompt,)
        now = self._work.session.prompts.along(self._run.line)
        return {
            key[1]
            for key in {**self._answered, **now}
            if key[0] < frame and self._answered.get(key) != now.get(key)
            if followed[key] != tuple(map(_as_saved, now.get(key, ())))
        }

    def _label(self, obj: ObjectId) -> int:
        """Return the label of a tracker's object; a new object gets a new label."""
        labels = self._run.labels
        if obj not in labels:
            names = self._work.names
            label = labels[obj] = free_label({*names, *map(abs, labels.values())})
            names[label] = f"object {label}"
        return labels[obj]

    def _decided(self, event: Event) -> list[Offer]:
        """Note a decision, and return what is offered of it: nothing of what a person removed."""
        lives, lineage = self._work.session.lives, self._work.lineage
        if event.goes_on_as is not None and self._joined(event.objects[0], event.goes_on_as):
            return []
        labels = self._there(event.objects)
        if event.kind == "ended":
            labels = [o for o in labels if lives.get(o, Life()).last is None]  # else known
            for label in labels:
                self._end(label, event.frame)
            return [Offer("ended", event.frame, (label,), event.reason) for label in labels]
        at_first = event.frame == self._run.first
        lives.update({label: Life(event.frame, None) for label in labels if not at_first})
        for mother in self._there([] if event.mother is None else [event.mother]):
            self._end(mother, event.frame - 1)
            for label in labels:
                lineage.add(mother, label)
            return [Offer("divided", event.frame, tuple(labels), event.reason, mother)]
        return [
            Offer("born", event.frame, (label,), event.reason) for label in labels if not at_first
        ]

    def _there(self, objects: Sequence[ObjectId]) -> list[int]:
        """Return the labels of the tracker's objects that a person has not removed."""
        return [o for o in map(self._label, objects) if o in self._work.names]

    def _by_hand(self) -> set[Entry]:
        """Return where a person has prompted or painted."""
        session = self._work.session
        return session.prompts.entries(self._run.line.axis) | session.painted.keys()

    def _end(self, label: int, last: int) -> None:
        """Let an object end; what an earlier run made of it beyond goes, but nothing by hand."""
        lives, store = self._work.session.lives, self._work.store
        lives[label] = replace(lives.get(label, Life()), last=last)
        by_hand = self._by_hand()
        for index in store.frames_of(label):
            frame = self._run.line.frame(index)
            if frame is not None and frame > last and (index, label) not in by_hand:
                self._change.setdefault((index, label), store.put(index, label, None))

    def _joined(self, earlier: ObjectId, later: ObjectId) -> bool:
        """Join a cell of this run with the object that it turns out to be; return whether it did.

        Of two objects that were there before, or that have different mothers, none is the other;
        what a person has prompted or removed during the run stays so.
        """
        work, labels = self._work, self._run.labels
        mine, heir = self._label(earlier), self._label(later)
        mothers, lives, prompts = work.lineage.mothers, work.session.lives, work.session.prompts
        known = {prompt.obj for prompt in self._run.prompts}
        known |= {label for _, label in self._by_hand()}
        if mine in known or heir in mothers or not {mine, heir} <= work.names.keys():
            return False
        labels[earlier] = self.heirs[mine] = heir
        for index in work.store.frames_of(mine):
            mask = work.store.put(index, mine, None)
            self._change.setdefault((index, heir), work.store.put(index, heir, mask))
        if mine in mothers:
            mothers[heir] = mothers.pop(mine)
        life = Life(lives.pop(mine, Life()).first, lives.pop(heir, Life()).last)
        if life != Life():
            lives[heir] = life
        tracked, line = prompts.tracked, self._run.line
        tracked.setdefault((line, heir), set()).update(tracked.pop((line, mine), ()))
        del work.names[mine]
        born = [offer for offer in work.offers if offer.labels == (heir,) and offer.kind == "born"]
        work.offers = [
            replace(offer, labels=tuple(heir if o == mine else o for o in offer.labels))
            for offer in work.offers
            if offer not in born
        ]
        return True
