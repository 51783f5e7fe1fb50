"""The model's work for a viewer: what is said of objects, and their masks, frame by frame.

What may take long runs in a worker; a lock is handed from frame to frame, so that a click during a
run is answered at once. What the window does itself waits for none of it: `remove` and
`forget_frames` are noted, and heeded at the next turn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from threading import Lock
from typing import TypeAlias

import numpy as np

from sam2_plugins.core.errors import PromptError, Sam2PluginsError
from sam2_plugins.core.masks import Masklet, ObjectId, ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.core.tracking.schedule import Direction, Life
from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker
from sam2_plugins.napari_plugin.layers.frames import Line, View
from sam2_plugins.napari_plugin.layers.mask_store import LABELS, Change, Entry, Index, MaskStore
from sam2_plugins.napari_plugin.models.turns import Turns

LARGEST_LABEL = int(np.iinfo(LABELS).max)

Said: TypeAlias = "tuple[Prompt, ...]"
"""All that was said of one object on one frame, in order; a prompt's object is its label."""


@dataclass(frozen=True)
class Painted:
    """A mask by a person, and the mask, clicks and boxes that it took the place of."""

    mask: ObjectMask
    before: ObjectMask | None
    drawn: Said = ()


@dataclass(frozen=True)
class Tidied:
    """The model's own mask, and what a clean-up made of it."""

    own: ObjectMask
    shown: ObjectMask


@dataclass(frozen=True)
class Request:
    """What a person wants tracked, and how it is looked at."""

    view: View
    line: Line
    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None
    since: Mapping[int, int] | None = None
    """By object, the first frame whose mask may change; None: all of all objects may."""
    over: int | None = None
    """Axis of the time points whose whole stacks are tracked, one after the other."""


@dataclass(frozen=True)
class Step:
    """A frame of a run is done."""

    index: Index
    done: int
    total: int
    """Of the frames on which a mask has to be computed."""
    computed: int = 0
    """Objects whose masks are new."""


@dataclass(frozen=True)
class _Tracking:
    """A tracker, and what it was made for."""

    tracker: VideoTracker
    view: View
    model: Sam2Model
    memory: str


class Session:
    """One image's objects.

    Parameters
    ----------
    load_model
        Returns the chosen model; called in the worker.
    memory
        Returns the chosen rule of what objects remember.
    features
        Returns where encoded frames are kept on the disk; None: nowhere.
    """

    def __init__(
        self,
        store: MaskStore,
        load_model: Callable[[], Sam2Model],
        memory: Callable[[], str] = lambda: "sam2",
        features: Callable[[], DiskFeatures | None] = lambda: None,
    ) -> None:
        self.store = store
        self.load_model = load_model
        self.memory = memory
        self.features = features
        self.painted: dict[Entry, Painted] = {}
        """Masks by a person, which no run replaces."""
        self.tidied: dict[Entry, Tidied] = {}
        """Masks that were cleaned up."""
        self.lives: dict[int, Life] = {}
        """Frames on which objects exist, of those that begin or end in the movie."""
        self.current: dict[tuple[Line, int], set[int]] = {}
        """Frames whose masks follow from the prompts of an object along a line."""
        self.outdated: dict[tuple[Line, int], set[int]] = {}
        """Frames after a correction whose masks are from before it, by line and object."""
        self._said: dict[tuple[Line, int, int], Said] = {}
        self._before: dict[tuple[Line, int, int], ObjectMask | None] = {}
        self._tracking: dict[Line, _Tracking] = {}
        self.turns = Turns()
        self._notes = Lock()
        self._removed: set[int] = set()
        self._looks_anew = False

    @property
    def ends(self) -> dict[int, int]:
        """Last frame of the objects that end, such as a mother that divides."""
        return {o: life.last for o, life in self.lives.items() if life.last is not None}

    def said(self, line: Line) -> dict[tuple[int, int], Said]:
        """What was said along a line, by frame and label, in the order of saying."""
        return {
            (frame, label): prompts
            for (where, frame, label), prompts in list(self._said.items())
            if where == line
        }

    def prompted(self, axis: int | None) -> set[Entry]:
        """Where anything was said along any line of an axis, and of whom."""
        return {(line.index(f), label) for line, f, label in list(self._said) if line.axis == axis}

    def say(
        self,
        view: View,
        line: Line,
        frame: int,
        label: int,
        prompts: Said,
        change: Change | None = None,
        replaying: bool = False,
    ) -> None:
        """Say all this of an object on a frame, instead of what was said before.

        Its mask there goes to the store; if nothing is said any more, the mask from before comes
        back.

        Parameters
        ----------
        change
            Is filled with what takes the new mask back.
        replaying
            The masks are there already, from an undo or a redo.

        Raises
        ------
        PromptError
            If a prompt does not fit; those before it count.
        """
        model = self.load_model()
        with self.turns:
            tracker = self._tracker(model, view, line)
            key = (line, frame, label)
            before = self._said.get(key, ())
            if not before and not replaying:
                entry = (line.index(frame), label)
                painted = self.painted.get(entry)
                self._before[key] = painted.before if painted else self.store.get(*entry)
            if before and prompts == before[:-1] and _went_back(tracker, frame, label, prompts):
                self._put_said(key, prompts)
                self._answer(tracker, key, change, replaying)
                return
            if before and prompts[: len(before)] != before:
                tracker.remove_prompt(frame, label)
                self._put_said(key, ())
                before = ()
            if prompts[:-1] == before and _went_on(tracker, frame, label, prompts):
                self._put_said(key, prompts)
                before = prompts
            try:
                for prompt in prompts[len(before) :]:
                    tracker.add(prompt)
                    self._put_said(key, (*self._said.get(key, ()), prompt))
                    if label in self.lives:
                        self.lives[label] = self.lives[label].including(frame)
            finally:
                self._answer(tracker, key, change, replaying)

    def _put_said(self, key: tuple[Line, int, int], prompts: Said) -> None:
        if prompts:
            self._said[key] = prompts
        else:
            self._said.pop(key, None)
        line, frame, label = key
        others = [f for f, obj in self.said(line) if obj == label and f != frame]
        first = max((f for f in others if f < frame), default=-1)
        last = min((f for f in others if f > frame), default=None)
        known = self.current.get((line, label), set())
        kept = {f for f in known if f <= first or (last is not None and f >= last)}
        self.current[line, label] = kept
        self.outdated.setdefault((line, label), set()).update(f for f in known - kept if f > frame)

    def corrections(self, line: Line) -> dict[int, int]:
        """Frame of the first correction of each object that was not tracked on from there."""
        prompted: dict[int, list[int]] = {}
        for frame, label in self.said(line):
            prompted.setdefault(label, []).append(frame)
        found = {}
        for label, frames in prompted.items():
            old = self.outdated.get((line, label), set())
            before = [f for f in frames if any(n > f and _until(f, frames) > n for n in old)]
            if before:
                found[label] = min(before)
        return found

    def after(self, line: Line, corrections: Mapping[int, int]) -> int | None:
        """Last frame that is to be tracked again after corrections; None if there is none."""
        return max(
            (f for o, at in corrections.items() for f in self.outdated[line, o] if f > at),
            default=None,
        )

    def recall(
        self, line: Line, said: dict[tuple[int, int], Said], current: dict[int, set[int]]
    ) -> None:
        """Take prompts and masks of an earlier session for this one's, without computing."""
        for (frame, label), prompts in said.items():
            self._said[line, frame, label] = prompts
        for label, frames in current.items():
            self.current[line, label] = set(frames)

    def remove(self, label: int) -> Change:
        """Forget an object, and return what brings its masks back."""
        with self._notes:
            self._removed.add(label)
            self._unsay(label)
            for entry in [entry for entry in self.painted if entry[1] == label]:
                del self.painted[entry]
            self.lives.pop(label, None)
            return self.store.remove(label)

    def forget_frames(self) -> None:
        """The image has changed: look at it anew when the next thing is asked."""
        self._looks_anew = True

    def run(
        self, wanted: Request, change: Change, seeds: Sequence[Prompt] = ()
    ) -> Generator[Step, None, None]:
        """Track the objects along a line, write their masks to the store, and yield every step.

        Parameters
        ----------
        change
            Is filled with what takes the run back.
        seeds
            Masks to begin with, of objects of which a person said nothing on the line.
        """
        model = self.load_model()
        with self.turns:
            if seeds:
                self._tracking.pop(wanted.line, None)
            tracker = self._tracker(model, wanted.view, wanted.line)
            for seed in seeds:
                tracker.add(seed)
            arguments = (wanted.direction, wanted.start, wanted.stop)
            self._bound(tracker)
            due = tracker.due_steps(*arguments) or []
            total = sum(due)
            results = tracker.propagate(*arguments)
        done = 0
        while True:
            with self.turns:
                self._heed()
                result = next(results, None)
                if result is None:
                    break
                self.keep(wanted, result, change)
            done += due.pop(0) if due else 0  # where sweeps are joined, more results follow
            yield Step(wanted.line.index(result.frame), done, total, len(result.computed))
        if seeds:  # what a person says of this line later is said without them
            self._tracking.pop(wanted.line, None)

    def propose(self, view: View, line: Line, frame: int) -> list[ObjectMask]:
        """Return masks of all objects of a frame that the model finds without a prompt."""
        model = self.load_model()
        with self.turns:
            return list(self._tracker(model, view, line).proposer()(frame))

    def carry(
        self, view: View, line: Line, frames: tuple[int, int], masks: Mapping[int, ObjectMask]
    ) -> dict[int, ObjectMask]:
        """Track masks from one frame of a line to another, and leave the store as it is."""
        start, stop = frames
        direction: Direction = "forward" if start < stop else "backward"
        tracker = self.fresh_tracker(view, line)
        with self.turns:
            for label, mask in masks.items():
                tracker.add(Prompt.of(start, label, mask=mask))
            last = {}
            for result in tracker.propagate(direction, start, stop):
                last = result.masks
        return {int(label): mask for label, mask in last.items() if mask.visible}

    def _answer(
        self,
        tracker: VideoTracker,
        key: tuple[Line, int, int],
        change: Change | None,
        replaying: bool,
    ) -> None:
        """Show what came of a prompt; nothing, if its object was removed meanwhile."""
        line, frame, label = key
        with self._notes:
            if label in self._removed:
                self._unsay(label)
                return
            if replaying:
                return
            said = key in self._said
            mask = tracker.mask(frame, label) if said else self._before.pop(key, None)
            entry = (line.index(frame), label)
            alive = frame in self.lives.get(label, Life())
            before = self.store.put(*entry, mask if alive else None)
            if change is not None:
                change.setdefault(entry, before)

    def _unsay(self, label: int) -> None:
        for key in [key for key in list(self._said) if key[-1] == label]:
            del self._said[key]

    def keep(self, wanted: Request, result: FrameResult, change: Change) -> None:
        """Write the masks of a frame, but for those that a person painted or does not want."""
        line, since = wanted.line, wanted.since
        index = line.index(result.frame)
        with self._notes:
            for obj, mask in result.masks.items():
                label = int(obj)
                alive = result.frame in self.lives.get(label, Life())
                if not alive or label in self._removed or (index, label) in self.painted:
                    continue
                if since is not None and result.frame < since.get(label, result.frame + 1):
                    continue
                tidied = self.tidied.get((index, label))
                if tidied and tidied.own == mask and tidied.shown == self.store.get(index, label):
                    mask = tidied.shown
                before = self.store.put(index, label, mask)
                if mask != before:
                    change.setdefault((index, label), before)
                self.outdated.get((line, label), set()).discard(result.frame)
                self.current.setdefault((line, label), set()).add(result.frame)

    def _heed(self) -> None:
        """Do what was noted since the last turn."""
        with self._notes:
            removed, self._removed = self._removed, set()
        if self._looks_anew:
            self._looks_anew = False
            self._tracking.clear()
        for tracking in self._tracking.values():
            for label in removed.intersection(tracking.tracker.objects):
                tracking.tracker.remove_object(label)
            self._bound(tracking.tracker)

    def _bound(self, tracker: VideoTracker) -> None:
        """Let a tracker know when its objects begin and end."""
        known = tracker.lives
        for obj in tracker.objects:
            life = self.lives.get(int(obj), Life())
            if known.get(obj, (None, None)) != (life.first, life.last):
                # A prompt that is about to be taken away may lie outside.
                with suppress(PromptError):
                    tracker.set_life(obj, life.first, life.last)

    def _tracker(self, model: Sam2Model, view: View, line: Line) -> VideoTracker:
        """Return the tracker of a line; a new one, told all again, after another look or model."""
        self._heed()
        memory = self.memory()
        known = self._tracking.get(line)
        wanted = (view, model, memory)
        if known is not None and (known.view, known.model, known.memory) == wanted:
            known.tracker.keep_features(self.features())
            return known.tracker
        tracker = self.fresh_tracker(view, line, model)
        for prompts in self.said(line).values():
            _tell(tracker, prompts)
        if known is None:
            tracker.restore(self._masklets(line, tracker.objects))
        else:  # with another look, or another model, masks are other ones
            for key in [key for key in self.current if key[0] == line]:
                del self.current[key]
        self._tracking[line] = _Tracking(tracker, view, model, memory)
        return tracker

    def fresh_tracker(self, view: View, line: Line, model: Sam2Model | None = None) -> VideoTracker:
        """Return a tracker of a line that knows of no object."""
        network = self.load_model() if model is None else model
        tracker = VideoTracker(network, view.open(line), policy=self.memory(), cache_megabytes=64)
        tracker.keep_features(self.features())
        return tracker

    def _masklets(self, line: Line, objects: Iterable[ObjectId]) -> list[Masklet]:
        """Masks of an earlier session that still follow from the prompts."""
        masklets = []
        for obj in objects:
            frames = self.current.get((line, int(obj)), ())
            found = {f: self.store.get(line.index(f), int(obj)) for f in sorted(frames)}
            masks = {f: mask for f, mask in found.items() if mask is not None}
            masklets.append(Masklet(obj, masks=masks))
        return masklets


def _tell(tracker: VideoTracker, prompts: Iterable[Prompt]) -> None:
    for prompt in prompts:
        tracker.add(prompt)


def _went_back(tracker: VideoTracker, frame: int, label: int, wanted: Said) -> bool:
    """Undo exactly, where the last change of a tracker is the one to be taken back."""
    return _stepped(tracker.undo_prompt, tracker.redo_prompt, tracker, frame, label, wanted)


def _went_on(tracker: VideoTracker, frame: int, label: int, wanted: Said) -> bool:
    """Redo exactly, where the change that a tracker has undone last is the one that is wanted."""
    return _stepped(tracker.redo_prompt, tracker.undo_prompt, tracker, frame, label, wanted)


def _stepped(
    step: Callable[[], Prompt | None],
    back: Callable[[], Prompt | None],
    tracker: VideoTracker,
    frame: int,
    label: int,
    wanted: Said,
) -> bool:
    others = [p for p in tracker.prompts if (p.frame, p.obj) != (frame, label)]
    if step() is None:
        return False
    here = tuple(p for p in tracker.prompts if (p.frame, p.obj) == (frame, label))
    rest = [p for p in tracker.prompts if (p.frame, p.obj) != (frame, label)]
    if (here, rest) == (wanted, others):
        return True
    back()
    return False


def _until(frame: int, prompted: Iterable[int]) -> float:
    """Return the next prompted frame after one, up to which its masks follow from it."""
    return min((f for f in prompted if f > frame), default=inf)


def labels_of(objects: Iterable[ObjectId], taken: Iterable[int]) -> dict[ObjectId, int]:
    """Number objects for a Labels layer: whole numbers keep theirs where it is free and fits."""
    used = set(taken)
    labels: dict[ObjectId, int] = {}
    for obj in objects:
        fits = isinstance(obj, int) and 0 < obj <= LARGEST_LABEL and obj not in used
        labels[obj] = int(obj) if fits else free_label(used)
        used.add(labels[obj])
    return labels


def free_label(used: Collection[int]) -> int:
    """Return the label after the largest in use, or a free one below where that is too large."""
    largest = max(used, default=0)
    if largest < LARGEST_LABEL:
        return largest + 1
    free = next((n for n in range(1, LARGEST_LABEL + 1) if n not in used), None)
    if free is None:
        raise Sam2PluginsError(f"There are {LARGEST_LABEL} objects: delete some for another one.")
    return free
