"""The model's work for a viewer: prompts of objects in, their masks out, frame by frame.

What may take long runs in a worker; a lock is handed from frame to frame, so that a click during a
run is answered at once. What the window does itself waits for none of it: `remove` and
`forget_frames` are noted, and heeded at the next turn.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Protocol

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.lineage import note_on
from sam2_plugins.core.masks import Masklet, ObjectId, ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.core.tracking.schedule import Direction, Life
from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker
from sam2_plugins.core.tracking.turns import Turns
from sam2_plugins.napari_plugin.layers.frames import Line, View
from sam2_plugins.napari_plugin.layers.marks import Prompts
from sam2_plugins.napari_plugin.layers.mask_store import Change, Entry, MaskStore
from sam2_plugins.napari_plugin.models.prompt_log import Key, PromptLog
from sam2_plugins.napari_plugin.models.requests import Request, Step


@dataclass(frozen=True)
class Painted:
    """A mask by a person, and the mask, clicks and boxes that it took the place of."""

    mask: ObjectMask
    before: ObjectMask | None
    drawn: Prompts = ()


@dataclass(frozen=True)
class Tidied:
    """The model's own mask, and the cleaned-up one."""

    own: ObjectMask
    shown: ObjectMask


@dataclass(frozen=True)
class _Tracking:
    """A tracker, and what it was made for."""

    tracker: VideoTracker
    view: View
    model: Sam2Model
    memory: str


class Settings(Protocol):
    """The choice of the model and its options, which may change at any time."""

    load_model: Callable[[], Sam2Model]
    """Returns the model; called in a worker."""
    memory: str
    """Name of the rule of what objects remember."""
    features: DiskFeatures | None
    """Where encoded frames are kept on the disk."""
    over: int | None
    """The axis of time, where whole stacks are tracked over it."""


class Session:
    """One image's objects."""

    def __init__(self, store: MaskStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.painted: dict[Entry, Painted] = {}
        """Masks by a person, which no run replaces."""
        self.tidied: dict[Entry, Tidied] = {}
        """Masks that were cleaned up."""
        self.lives: dict[int, Life] = {}
        """Frames on which objects exist, of those that begin or end in the movie."""
        self.prompts = PromptLog(store)
        self._before: dict[Key, ObjectMask | None] = {}
        self._tracking: dict[Line, _Tracking] = {}
        self.turns = Turns()
        self._notes = Lock()
        self._removed: set[int] = set()
        self._looks_anew = False

    @property
    def ends(self) -> dict[int, int]:
        """Last frame of the objects that end, such as a mother that divides."""
        return {o: life.last for o, life in self.lives.items() if life.last is not None}

    def prompt(
        self,
        view: View,
        key: Key,
        prompts: Prompts,
        change: Change | None = None,
        replaying: bool = False,
    ) -> None:
        """Give an object these prompts on a frame, instead of those that it had there.

        Its mask there goes to the store; with no prompt any more, the mask from before comes back.

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
        model = self.settings.load_model()
        line, frame, label = key
        with self.turns.turn():
            tracker = self._tracker(model, view, line)
            before = self.prompts.get(key)
            if not before and not replaying:
                entry = (line.index(frame), label)
                painted = self.painted.get(entry)
                self._before[key] = painted.before if painted else self.store.get(*entry)
            step = partial(_stepped_to, prompts, tracker, frame, label)
            if before and prompts == before[:-1] and step(forward=False):
                self.prompts.put(key, prompts)
                before = prompts
            if before and prompts[: len(before)] != before:
                tracker.remove_prompt(frame, label)
                self.prompts.put(key, ())
                before = ()
            if prompts[:-1] == before and step(forward=True):
                self.prompts.put(key, prompts)
                before = prompts
            try:
                for prompt in prompts[len(before) :]:
                    tracker.add(prompt)
                    self.prompts.put(key, (*self.prompts.get(key), prompt))
                    self.let_live(label, self.time(line, frame))
            finally:
                self._answer(tracker, key, change, replaying)
                self._answer_neighbours(tracker, key, change, replaying)

    def time(self, line: Line, frame: int) -> int:
        """Return when a frame is, as lives count: of a stack over time, at its time point."""
        over = self.settings.over
        return frame if over is None or over == line.axis else line.at[over]

    def lives_along(self, line: Line) -> dict[int, Life]:
        """Return the lives in frames of a line; none is in the planes of a stack over time."""
        return dict(self.lives) if self.settings.over in (None, line.axis) else {}

    def let_live(self, label: int, frame: int) -> None:
        """Lengthen the life of an object to a frame on which a person has shown it."""
        if label in self.lives:
            self.lives[label] = self.lives[label].including(frame)

    def remove(self, label: int) -> Change:
        """Forget an object; return the masks that undo it."""
        with self._notes:
            self._removed.add(label)
            self.prompts.forget(label)
            for entry in [entry for entry in self.painted if entry[1] == label]:
                del self.painted[entry]
            self.lives.pop(label, None)
            return self.store.remove(label)

    def forget_frames(self) -> None:
        """Forget the encoded frames, because the image has changed."""
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
            Masks to begin with, of objects without a prompt on the line.
        """
        model = self.settings.load_model()
        with self.turns.turn():
            if seeds:
                self._tracking.pop(wanted.line, None)
            tracker = self._tracker(model, wanted.view, wanted.line)
            for seed in seeds:
                tracker.add(seed)
            arguments = (wanted.direction, wanted.start, wanted.stop)
            bound(tracker, self.lives_along(wanted.line))
            due = tracker.due_steps(*arguments) or []
            total = sum(due)
            results = tracker.propagate(*arguments)
        done = 0
        while True:
            with self.turns.turn():
                self.heed()
                result = next(results, None)
                if result is None:
                    break
                self.keep(wanted, result, change)
            done += due.pop(0) if due else 0  # where sweeps are joined, more results follow
            yield Step(wanted.line.index(result.frame), done, total, len(result.computed))
        if seeds:  # a person's prompts on this line come without them
            self._tracking.pop(wanted.line, None)

    def propose(self, view: View, line: Line, frame: int) -> tuple[list[ObjectMask], str]:
        """Return masks of all objects of a frame that the model finds without a prompt.

        And what a person should know of them.
        """
        model = self.settings.load_model()
        with self.turns.turn():
            tracker = self._tracker(model, view, line)
            return list(tracker.proposer()(frame)), note_on(tracker, frame)

    def carry(
        self, view: View, line: Line, frames: tuple[int, int], masks: Mapping[int, ObjectMask]
    ) -> dict[int, ObjectMask]:
        """Track masks from one frame of a line to another, and leave the store as it is."""
        start, stop = frames
        direction: Direction = "forward" if start < stop else "backward"
        tracker = self.fresh_tracker(view, line)
        with self.turns.turn():
            for label, mask in masks.items():
                tracker.add(Prompt.of(start, label, mask=mask))
            last = {}
            for result in tracker.propagate(direction, start, stop):
                last = result.masks
        return {int(label): mask for label, mask in last.items() if mask.visible}

    def _answer(
        self, tracker: VideoTracker, key: Key, change: Change | None, replaying: bool
    ) -> None:
        """Show the mask that answers a prompt, unless its object was removed meanwhile."""
        line, frame, label = key
        with self._notes:
            if label in self._removed:
                self.prompts.forget(label)
                return
            if replaying:
                return
            entry, answered = (line.index(frame), label), self.prompts.get(key)
            mask = tracker.mask(frame, label) if answered else self._before.pop(key, None)
            painted = self.painted.get(entry)
            if painted and painted.mask not in [prompt.mask for prompt in answered]:
                return  # painted meanwhile: it is the next to be answered
            alive = self.time(line, frame) in self.lives.get(label, Life())
            before = self.store.put(*entry, mask if alive else None)
            if change is not None:
                change.setdefault(entry, before)

    def _answer_neighbours(
        self, tracker: VideoTracker, key: Key, change: Change | None, replaying: bool
    ) -> None:
        """Keep which clicks on other objects each mask of a frame leaves out, and show those."""
        line, frame, label = key
        here: dict[int, Prompts] = {}
        for prompt in tracker.prompts:
            if prompt.frame == frame:
                here[int(prompt.obj)] = (*here.get(int(prompt.obj), ()), prompt)
        for other, now in here.items():
            known = self.prompts.get((line, frame, other))
            if now == known:
                self.prompts.recall((line, frame, other), now)
                if other != label and _beside(now) != _beside(known):
                    self._answer(tracker, (line, frame, other), change, replaying)

    def keep(self, wanted: Request, result: FrameResult, change: Change) -> None:
        """Write the masks of a frame, but for those that a person painted or does not want."""
        line, since = wanted.line, wanted.since
        index = line.index(result.frame)
        with self._notes:
            for obj, mask in result.masks.items():
                label = int(obj)
                alive = self.time(line, result.frame) in self.lives.get(label, Life())
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
                self.prompts.tracked_to(line, label, result.frame)

    def heed(self) -> None:
        """Apply the removals and changes noted since the last turn; their numbers are free then."""
        with self._notes:
            removed, self._removed = self._removed, set()
        if self._looks_anew:
            self._looks_anew = False
            self._tracking.clear()
        for line, tracking in self._tracking.items():
            for label in removed.intersection(tracking.tracker.objects):
                tracking.tracker.remove_object(label)
            bound(tracking.tracker, self.lives_along(line))

    def _tracker(self, model: Sam2Model, view: View, line: Line) -> VideoTracker:
        """Return the tracker of a line; a new one, prompted again, after another look or model."""
        self.heed()
        memory = self.settings.memory
        known = self._tracking.get(line)
        wanted = (view, model, memory)
        if known is not None and (known.view, known.model, known.memory) == wanted:
            known.tracker.keep_features(self.settings.features)
            return known.tracker
        tracker = self.fresh_tracker(view, line, model)
        for prompts in self.prompts.along(line).values():
            for prompt in prompts:
                tracker.add(prompt)
        if known is None:
            tracker.restore(self._masklets(line, tracker.objects))
        else:  # with another look, or another model, masks are other ones
            self.prompts.forget_masks(line)
        self._tracking[line] = _Tracking(tracker, view, model, memory)
        return tracker

    def fresh_tracker(self, view: View, line: Line, model: Sam2Model | None = None) -> VideoTracker:
        """Return a tracker of a line that knows of no object."""
        network = self.settings.load_model() if model is None else model
        tracker = VideoTracker(
            network, view.open(line), policy=self.settings.memory, cache_megabytes=64
        )
        tracker.keep_features(self.settings.features)
        return tracker

    def _masklets(self, line: Line, objects: Iterable[ObjectId]) -> list[Masklet]:
        """Masks of an earlier session that still follow from the prompts."""
        masklets = []
        for obj in objects:
            frames = sorted(self.prompts.tracked.get((line, int(obj)), ()))
            found = {f: self.store.get(line.index(f), int(obj)) for f in frames}
            masks = {f: mask for f, mask in found.items() if mask is not None}
            masklets.append(Masklet(obj, masks=masks))
        return masklets


def bound(tracker: VideoTracker, lives: Mapping[int, Life]) -> None:
    """Set the lives of a tracker's objects."""
    known = tracker.lives
    for obj in tracker.objects:
        life = lives.get(int(obj), Life())
        if known.get(obj, (None, None)) != (life.first, life.last):
            # A prompt that is about to be removed may be outside.
            with suppress(PromptError):
                tracker.set_life(obj, life.first, life.last)


def _stepped_to(
    wanted: Prompts, tracker: VideoTracker, frame: int, label: int, forward: bool
) -> bool:
    """Undo or redo a tracker's last change exactly, if that leads to the wanted prompts."""

    def prompts() -> tuple[Prompts, Prompts]:
        """Those of the object on the frame, and all others."""
        here = tuple(p for p in tracker.prompts if (p.frame, p.obj) == (frame, label))
        return here, tuple(p for p in tracker.prompts if (p.frame, p.obj) != (frame, label))

    _, others = prompts()
    step, back = tracker.undo_prompt, tracker.redo_prompt
    if forward:
        step, back = back, step
    if step() is None:
        return False
    if prompts() == (wanted, others):
        return True
    back()
    return False


def _beside(prompts: Prompts) -> list[object]:
    return [prompt.beside or () for prompt in prompts]
