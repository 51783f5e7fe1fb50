"""The work on one image: its layers, its objects, and the session of the model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.lineage import LineageJournal
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.marks import Prompts
from sam2_plugins.napari_plugin.layers.mask_store import Change, free_label
from sam2_plugins.napari_plugin.layers.workspace import Workspace
from sam2_plugins.napari_plugin.models.history import History, State
from sam2_plugins.napari_plugin.models.project_file import (
    ImageFacts,
    Masks,
    Project,
    Saved,
    journal_of,
)
from sam2_plugins.napari_plugin.models.project_places import digest_of, facts_of
from sam2_plugins.napari_plugin.models.requests import AllCells, Choices, Click, Offer
from sam2_plugins.napari_plugin.models.session import Session


class Work:
    """The work on one image: its layers, its session, and its history.

    Attributes
    ----------
    taken
        Objects by the Labels layer, and the label in it, from which they were taken.
    stroke
        Masks from before a stroke of the brush that is not over.
    project
        The file to which all is saved; None: to none.
    all_cells
        The last run over all cells that came to no end.
    offers
        Decisions of runs over all cells that nobody has looked at yet, in the order of frames.
    waiting
        Clicks that wait until the model has answered another one.
    accepted
        Decisions that somebody has accepted: no undo offers them again.
    """

    def __init__(self, workspace: Workspace, session: Session) -> None:
        self.workspace = workspace
        self.session = session
        self.store, self.names, self.lineage = workspace.store, workspace.names, workspace.lineage
        self.taken: dict[tuple[str, int], int] = {}
        self.offers: list[Offer] = []
        self.accepted: set[Offer] = set()
        self.waiting: list[Click] = []
        self._sources: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._source_names: set[str] = set()
        self.stroke: Change = {}
        self.history = History(self.store, self.capture, self.apply)
        self.project: Project | None = None
        self.all_cells: AllCells | None = None

    @property
    def unfinished(self) -> AllCells | None:
        """A run over all cells that can go on; None after an edit since it was broken off."""
        run = self.all_cells
        goes_on = run and run.journal and (run.running or run.latest is self.history.latest)
        return run if goes_on else None

    # -- prompts

    def prompts(self, line: Line) -> dict[tuple[int, int], Prompts]:
        """All that is drawn and painted along a line, by frame and label."""
        found: dict[tuple[int, int], Prompts] = {}
        for (index, label), painted in self.session.painted.items():
            frame = line.frame(index)
            if frame is not None:
                found[frame, label] = (Prompt.of(frame, label, mask=painted.mask),)
        for (index, label), drawn in self.workspace.drawn(line).items():
            frame = line.frame(index)
            assert frame is not None
            found[frame, label] = (*found.get((frame, label), ()), *drawn)
        return found

    def pending(self, line: Line) -> dict[tuple[int, int], Prompts]:
        """Prompts along a line that the model has not answered; () where they are gone."""
        wanted, answered = self.prompts(line), self.session.prompts.along(line)
        due = {key: prompts for key, prompts in wanted.items() if answered.get(key) != prompts}
        return {**due, **{key: () for key in answered if key not in wanted}}

    def due(self, axis: int | None) -> list[Line]:
        """Lines along an axis on which there is something that the model has not answered."""
        indices = self.workspace.marks().indices() | {index for index, _ in self.session.painted}
        lines = dict.fromkeys(Line.through(axis, index) for index in sorted(indices))
        return [line for line in lines if self.pending(line)]

    # -- objects

    def add(self, name: str = "") -> int:
        """Make an object."""
        label = free_label(self.names)
        self.names[label] = name or _usual_name(label)
        return label

    def given_names(self) -> dict[int, str]:
        """Return what a person called the objects, of those that have not their first name."""
        return {label: name for label, name in self.names.items() if name != _usual_name(label)}

    def untouched(self) -> int | None:
        """Return an object that has its first name and nothing else; None if there is none."""
        state = self.capture()
        used = {label for _, label, _ in state.marks.clicks}
        used |= {label for *_, label in state.marks.shapes} | {label for _, label in state.painted}
        used |= {*state.lives, *state.mothers, *state.mothers.values(), *state.taken.values()}
        used |= self.given_names().keys()
        return next((n for n in self.names if n not in used and not self.store.frames_of(n)), None)

    def source(self, layer: Any) -> str:
        """Return the name in `taken` of a Labels layer, whatever the layer is called later.

        One that has the name of a layer that was removed is another layer.
        """
        if layer not in self._sources:
            names = chain([layer.name], (f"{layer.name} ({n})" for n in count(2)))
            name = next(name for name in names if name not in self._source_names)
            self._source_names.add(name)
            self._sources[layer] = name
        return self._sources[layer]

    def remove(self, label: int, heir: int | None = None) -> Change:
        """Remove an object with its masks and prompts; return the masks that undo it.

        What was decided of it, or taken for it, is not of another object that gets its label. A
        run over all cells goes on with it as its heir, if it has one.
        """
        if self.all_cells is not None and self.all_cells.running:
            self.all_cells.give_away(label, heir)
        for key in [key for key, taken in self.taken.items() if taken == label]:
            del self.taken[key]
        self.offers = [one for one in self.offers if label not in (*one.labels, one.mother)]
        self.workspace.erase(label)
        self.lineage.remove(label)
        del self.names[label]
        return self.session.remove(label)

    def daughters(self, mother: int) -> list[int]:
        """Return the daughters of an object that are there."""
        mothers = self.lineage.mothers.items()
        return [label for label, of in mothers if of == mother and label in self.names]

    def elsewhere(self, line: Line) -> str:
        """Note the masks that are not along a line, and so in no result of it; "" if all are."""
        beside = [
            masks for index, masks in self.store.snapshot().items() if line.frame(index) is None
        ]
        n = sum(mask.visible for masks in beside for o, mask in masks.items() if o in self.names)
        if not n:
            return ""
        return (
            f"{n} masks of other planes or time points are not in it: go there, and do the same, "
            "or write all masks with File › Save Selected Layers."
        )

    def require_family(self, label: int, life: Life) -> None:
        """Check that a life overlaps neither that of the mother nor those of the daughters.

        Raises
        ------
        PromptError
            If it does.
        """
        lives, mother = self.session.lives, self.lineage.mothers.get(label)
        births = [lives.get(daughter, Life()).first or 0 for daughter in self.daughters(label)]
        if births and (life.last is None or life.last >= min(births)):
            parent, birth = label, min(births)
        elif mother in self.names and (last := lives.get(mother, Life()).last) is not None:
            parent, birth = mother, last + 1
            if (life.first or 0) >= birth:
                return
        else:
            return
        name = self.names[parent]
        raise PromptError(
            f"{name} divides on frame {birth}: from there on there are only its daughters. To move "
            f"the division, select {name}, go to the first frame with two cells, and press U."
        )

    def bound(self, line: Line, label: int, life: Life) -> Change:
        """Set an object's life; return the removed masks beyond it.

        Raises
        ------
        PromptError
            If the frames of the line are planes of a stack over time.
        """
        if self.session.settings.over not in (None, line.axis):
            raise PromptError(
                "Objects begin, end and divide in time: choose the axis of time alone under Along, "
                "mark it there, and go back to the stacks."
            )
        change: Change = {}
        self.session.lives[label] = life
        if life == Life():
            del self.session.lives[label]
        for index in self.store.frames_of(label):
            frame = line.frame(index)
            if frame is not None and frame not in life:
                self.workspace.erase(label, index)
                self.session.painted.pop((index, label), None)
                change[index, label] = self.store.put(index, label, None)
        return change

    # -- what is kept

    def facts(self) -> ImageFacts:
        """Return by what the image is recognised; the first time a few frames are read for it."""
        # The layers' own shape: the image may have got another one meanwhile.
        return replace(facts_of(self.workspace.image), shape=self.store.shape, digest=self._digest)

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.workspace.image, self.store.shape)

    def capture(self) -> State:
        """Return all of a person's work on the image as plain values."""
        space, session = self.workspace, self.session
        return State(
            names=dict(self.names),
            mothers=dict(self.lineage.mothers),
            lives=dict(session.lives),
            painted=dict(session.painted),
            taken=dict(self.taken),
            marks=space.marks(),
            selected=space.drawing,
            offers=tuple(self.offers),
            waiting=tuple(self.waiting),
        )

    def apply(self, state: State) -> None:
        """Set a state; the next sync passes it on to the model."""
        session = self.session
        _set(self.names, state.names)
        _set(self.lineage.mothers, state.mothers)
        _set(session.lives, state.lives)
        _set(session.painted, state.painted)
        _set(self.taken, state.taken)
        self.offers = [offer for offer in state.offers if offer not in self.accepted]
        self.workspace.set_marks(state.marks)

    def save_to(self, project: Project | None, choices: Callable[[], Choices]) -> None:
        """Append every change from now on to a project file."""
        self.leave_project()
        if project is None:
            return
        self.project = project
        if (run := self.unfinished) is not None:
            run.journal = _own_journal(run, journal_of(project))
        self.store.on_put = project.put_masks
        self.history.on_change = lambda: project.put_state(self.saved(choices(), masks=False))

    def leave_project(self) -> None:
        """Write no more to the project file."""
        if self.project is not None:
            self.store.on_put = lambda index, masks: None
            self.history.on_change = lambda: None
            self.project.close()
            if self.unfinished is None:
                journal_of(self.project).delete()
            self.project = None

    def saved(self, choices: Choices, masks: bool = True) -> Saved:
        """Return all work on the image."""
        tracked, run = self.session.prompts.tracked, self.unfinished
        corrected: Masks = {}
        for (index, label), painted in self.session.painted.items():
            if painted.mask != self.store.get(index, label):
                corrected.setdefault(index, {})[label] = painted.mask
        return Saved(
            self.facts() if masks else facts_of(self.workspace.image),
            self.capture(),
            choices,
            self.store.snapshot() if masks else {},
            {key: frozenset(frames) for key, frames in tracked.items()},
            self.session.prompts.beside,
            corrected,
            run and replace(run, labels=dict(run.labels)),
        )

    def recall(self, saved: Saved) -> None:
        """Show the work of an earlier session, which cannot be undone."""
        self.store.swap({index: dict(masks) for index, masks in saved.masks.items()})
        self.apply(saved.state)
        log = self.session.prompts
        log.tracked.update({key: set(frames) for key, frames in saved.current.items()})
        for line in {line for line, *_ in saved.beside}:
            for place, prompts in self.prompts(line).items():
                log.recall((line, *place), prompts, saved.beside.get((line, *place), ()))
        self.waiting = list(saved.state.waiting)
        self.history = History(self.store, self.capture, self.apply)
        run = saved.all_cells
        self.all_cells = run and replace(run, running=False, latest=None)

    def take_stroke(self) -> Change:
        """Return the masks that undo the strokes since the last edit, to be recorded."""
        stroke, self.stroke = self.stroke, {}
        return stroke

    def end_stroke(self) -> None:
        """Record the strokes since the last edit as one edit."""
        if stroke := self.take_stroke():
            self.history.record("stroke of the brush", stroke)


def _own_journal(run: AllCells, own: LineageJournal) -> Path | None:
    """Return a project's own journal of a run: that of a copy, or of the original, has its own."""
    assert run.journal is not None
    kept = LineageJournal(run.journal)
    if kept.path != own.path:
        try:
            own.delete()
            for source, target in ((kept.memory_path, own.memory_path), (kept.path, own.path)):
                shutil.copyfile(source, target)
        except OSError:
            return None
    return own.path


def _usual_name(label: int) -> str:
    return f"object {label}"


def _set(mapping: dict[Any, Any], values: Any) -> None:
    """Replace the content of a mapping in place."""
    mapping.clear()
    mapping.update(values)
