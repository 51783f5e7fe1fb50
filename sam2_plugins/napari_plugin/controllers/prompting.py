"""Turns drawn and painted marks into prompts, which the model answers in a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from psygnal import Signal

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.doubt import obeyed
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.label_layers import masks_at
from sam2_plugins.napari_plugin.layers.marks import Prompts
from sam2_plugins.napari_plugin.layers.mask_store import Change, Index, labels_of
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.session import Painted
from sam2_plugins.napari_plugin.models.work import Work

Pending: TypeAlias = "dict[tuple[int, int], Prompts]"
"""Prompts by frame and label."""


class Prompting:
    """Gives the session the prompts that it has not answered yet.

    Parameters
    ----------
    begin
        Returns the chosen image's work, which it makes if there is none.

    Attributes
    ----------
    answering
        Whether the model is looking at prompts.
    """

    answered = Signal(object)
    """The model has answered prompts that a person made: the labels of their objects."""

    def __init__(self, dock: DockModel, jobs: Jobs, begin: Callable[[], Work]) -> None:
        self._dock = dock
        self._jobs = jobs
        self.begin = begin
        self.answering = False
        self._waiting: list[Callable[[], None]] = []
        self._lines: list[tuple[Work | None, Line | None]] = []

    def sync(self, replaying: bool = False, line: Line | None = None) -> None:
        """Give the session all that was drawn and painted since the last call, in a worker.

        Parameters
        ----------
        replaying
            This follows from an undo or a redo, and is no edit of its own.
        line
            Where it was drawn, if a person may look elsewhere by now.
        """
        if self._dock.here is None or self._dock.closed:
            return
        work, line = self._dock.here[0], line or self._dock.here[1]
        if self.answering:
            self._lines.append((work, line))
            return
        self.end_stroke()
        due = work.pending(line)
        if not replaying:
            for key in [key for key in due if due[key] and not self._may_live(work, line, *key)]:
                del due[key]
                self._take_away(work, line, *key)
            due = self._with_shown_objects(work, line, due)
        if not due:
            return
        self.answering = True
        change: Change = {}
        view = self._dock.view()
        frames = sorted({frame for frame, _ in due})
        if not replaying:
            self._dock.message.emit(f"Looking at frame {', '.join(map(str, frames[:3]))} …")
        work.history.on_change()  # what has no answer yet is there after a crash

        def answer() -> None:
            for (frame, label), prompts in due.items():
                work.session.prompt(view, (line, frame, label), prompts, change, replaying)

        self._jobs.call(
            answer,
            lambda _: self._on_answered(work, line, due, change, replaying),
            lambda error: self._on_refused(work, line, error),
        )

    def _with_shown_objects(self, work: Work, line: Line, due: Pending) -> Pending:
        """Erase clicks that only exclude, on objects that nothing shows: any mask would do."""
        prompts = work.prompts(line).items()
        shown = {label for (_, label), some in prompts if any(prompt.shows for prompt in some)}
        unshown = [key for key, some in due.items() if some and key[1] not in shown]
        for frame, label in unshown:
            work.workspace.erase(label, line.index(frame))
            name = work.names.get(label, f"object {label}")
            self._dock.failed.emit(
                f"Click on {name} first: a click that excludes tells only what is not part of it."
            )
        return work.pending(line) if unshown else due

    def end_stroke(self) -> None:
        """Record what was painted as one edit, with the lives of objects beyond which it lies.

        What may not be where it was painted is taken away.
        """
        if self._dock.here is not None and (stroke := self._stroke(*self._dock.here)):
            history = self._dock.here[0].history
            history.settle()
            history.record("stroke of the brush", stroke)

    def _stroke(self, work: Work, line: Line) -> Change:
        """Return the masks that undo the strokes since the last edit, which are over."""
        for index, label in [*work.stroke]:
            frame = line.frame(index)
            if frame is None or (index, label) not in work.session.painted:
                continue
            if self._may_live(work, line, frame, label):
                work.session.let_live(label, work.session.time(line, frame))
            else:
                self._take_away(work, line, frame, label)
        return work.take_stroke()

    def after(self, act: Callable[[], None]) -> None:
        """Call a function when the model has answered."""
        if self.answering:
            self._waiting.append(act)
        else:
            act()

    def act(self, act: Callable[[], None]) -> None:
        """Do what a person asks for on the chosen image, when the model has answered.

        So its edit holds no prompt without its mask, and no stroke of the brush.
        """
        work = self._dock.work

        def due() -> None:
            if self._dock.work is not work:
                self._dock.failed.emit(
                    "Another image was chosen before the model had answered: what was asked for "
                    "meanwhile is not done. Go back, and do it again."
                )
                if work is not None:
                    work.waiting.clear()
                return
            self.end_stroke()
            if work is not None:
                work.history.settle()
            act()

        self.after(due)

    def change(self, label: int, act: Callable[[Work, str], None]) -> None:
        """`act` on an object, with the work and its name, unless it is gone by then."""

        def due() -> None:
            work = self._dock.work
            if work is not None and label in work.names:
                act(work, work.names[label])

        self.act(due)

    def _on_answered(
        self, work: Work, line: Line, due: Pending, change: Change, replaying: bool
    ) -> None:
        self.answering = False
        prompted = [label for (_, label), prompts in due.items() if prompts]
        if not replaying:
            for label in prompted:
                work.names.setdefault(label, f"object {label}")
            # What was painted while the model was looking is of the same edit; masks of `change`
            # are from before it.
            stroke = self._stroke(work, line)
            work.history.settle()
            work.history.record(_title(due), {**stroke, **change})
        self._dock.show(work)
        if not replaying:  # else it would take the place of what was undone
            self._dock.message.emit(self._not_obeyed(work, due) or self._what_next(work, due))
            self.answered.emit(prompted)
        self._dock.objects_changed.emit()
        self._lines.append((self._dock.work, None))
        self._do_what_waits()

    def finish(self) -> None:
        """Do what waits for the model, as the dock is closed; clicks without an answer are kept."""
        waiting, self._waiting, self.answering = self._waiting, [], False
        for act in waiting:
            self._dock.attempt(act)

    def _not_obeyed(self, work: Work, due: Pending) -> str:
        """Return the object whose mask contradicts a click; "" if all clicks are met."""
        line = self._dock.line
        for (frame, label), prompts in due.items():
            mask = None if line is None else work.store.get(line.index(frame), label)
            if mask is not None and prompts and not obeyed(mask, prompts):
                name = work.names.get(label, f"object {label}")
                return (
                    f"A click on {name} is not obeyed by its mask on frame {frame}: click once "
                    "more close by, or paint."
                )
        return ""

    def _what_next(self, work: Work, due: Pending) -> str:
        """Return a message on what the last prompt did, and what can follow."""
        line = self._dock.line
        answered = [(label, prompts) for (_, label), prompts in due.items() if prompts]
        if line is None or not answered:
            return ""
        label, prompts = answered[-1]
        name = work.names.get(label, f"object {label}")
        if label in work.session.prompts.corrections(line):
            return f"{name} is corrected on this frame. Track on from here (G), or correct more."
        if not prompts[-1].shows:
            return f"{name} leaves out what you clicked on. Click on more of it, or track."
        if len(prompts) > 1:
            return f"This was added to {name}. If it is another cell: Ctrl+Z, N, and click again."
        another = "Click on the next cell, Shift-click to add to this one"
        if not self._dock.one_per_click:
            another = "Click again to add to it, press N for the next cell"
        return f"{name} is marked. {another}, or track."

    def _do_what_waits(self) -> None:
        drawn, self._lines = dict.fromkeys(self._lines), []
        for work, line in drawn:
            if work is self._dock.work:
                self.sync(line=line)
        while self._waiting and not self.answering:
            self._dock.attempt(self._waiting.pop(0))

    def _on_refused(self, work: Work, line: Line, error: Exception) -> None:
        """Take a refused prompt's marker away, so that it does not come again.

        After any other error the markers stay: they count with the next prompt.
        """
        self.answering = False
        if isinstance(error, PromptError) and work in self._dock.works.values():
            for key, prompts in work.pending(line).items():
                if prompts:
                    self._take_away(work, line, *key)
        self._dock.fail(error)
        self._lines = [drawn for drawn in self._lines if drawn != (work, line)]
        self._do_what_waits()

    def _may_live(self, work: Work, line: Line, frame: int, label: int) -> bool:
        """Whether an object may be on a frame; if it has divided, or is born later, tell why."""
        life, time = work.session.lives.get(label, Life()), work.session.time(line, frame)
        return time in life or self._dock.attempt(
            lambda: work.require_family(label, life.including(time))
        )

    def _take_away(self, work: Work, line: Line, frame: int, label: int) -> None:
        """Take back what was drawn or painted of an object on a frame since the last answer."""
        index = line.index(frame)
        if (index, label) in work.stroke:
            del work.stroke[index, label]
            self._unpaint(work, index, label)
        work.workspace.erase(label, index)
        for prompt in work.session.prompts.get((line, frame, label)):
            work.workspace.draw(index, prompt)

    # -- painting

    def on_painted(self, work: Work, index: Index, before: Mapping[int, ObjectMask | None]) -> None:
        """React to painted masks, and to undone strokes: a painted mask is a prompt."""
        for label, mask in before.items():
            work.stroke.setdefault((index, label), mask)
            if self._is_unpainted(work, index, label):
                self._unpaint(work, index, label)
            else:
                self._paint(work, index, label, mask)
        self._dock.painted.emit()

    def _paint(self, work: Work, index: Index, label: int, before: ObjectMask | None) -> None:
        """Keep a painted mask, which replaces the prompts on its frame."""
        entry = index, label
        mask = work.store.get(index, label)
        assert mask is not None
        known = work.session.painted.get(entry)
        if known is None:
            drawn = work.workspace.drawn(Line(None, index)).get(entry, ())
            known = Painted(mask, before, drawn)
        work.workspace.erase(label, index)
        work.session.painted[entry] = replace(known, mask=mask)
        work.names.setdefault(label, f"object {label}")

    def _is_unpainted(self, work: Work, index: Index, label: int) -> bool:
        """Whether every stroke is undone: the mask is again the one before the first of them."""
        known = work.session.painted.get((index, label))
        mask = work.store.get(index, label)
        if known is None or mask is None:
            return False
        return mask == (known.before or ObjectMask.empty(mask.frame_size))

    def _unpaint(self, work: Work, index: Index, label: int) -> None:
        """Restore the mask and prompts that a painted mask replaced."""
        known = work.session.painted.pop((index, label))
        work.store.put(index, label, known.before)
        for prompt in known.drawn:
            work.workspace.draw(index, prompt)

    # -- masks from elsewhere

    def use_labels(self, layer: Any) -> list[int]:
        """Make each label of a Labels layer on the shown frame an object's mask.

        A label that was taken before, on any frame, is the same object again. The objects are in
        the list that is returned when the model has answered.
        """
        made: list[int] = []
        work = self.begin()
        found = masks_at(layer, work.workspace.image, self._dock.viewer.dims.point)
        index = work.workspace.step
        if found:
            self.act(lambda: made.extend(self._use_labels(work, index, layer, found)))
        else:
            self._dock.message.emit(f"{layer.name} has no label on this frame.")
        return made

    def _use_labels(
        self, work: Work, index: Index, layer: Any, found: Mapping[int, ObjectMask]
    ) -> list[int]:
        names = work.names
        source = work.source(layer)
        known = {value: work.taken.get((source, value)) for value in found}
        fresh = labels_of([n for n in found if known[n] not in names], names)
        for value, label in fresh.items():
            work.taken[source, int(value)] = label
            own = "object" if label == value else f"{layer.name}"
            names[label] = f"{own} {value}"
        masks = {work.taken[source, value]: mask for value, mask in found.items()}
        self.take(work, index, masks, f"masks of {layer.name}")
        return list(masks)

    def take(self, work: Work, index: Index, masks: Mapping[int, ObjectMask], title: str) -> None:
        """Give objects their masks on a frame, as if they had been painted."""
        change: Change = {}
        marks, line = work.workspace.marks(), Line.through(self._dock.axis, index)
        frame = line.frame(index) or 0
        for label, mask in masks.items():
            if not self._may_live(work, line, frame, label):
                continue
            work.session.let_live(label, work.session.time(line, frame))
            change[index, label] = before = work.store.put(index, label, mask)
            marks = marks.without(label, index)
            if before != mask or (index, label) not in work.session.painted:
                work.session.painted[index, label] = Painted(mask, before)
        work.workspace.set_marks(marks)
        work.history.record(title, change)
        if masks:
            self._dock.select(next(iter(masks)))
        self._dock.show(work)
        self._dock.objects_changed.emit()
        self.sync()


def _title(due: Pending) -> str:
    """Return the name of prompts for undo."""
    last = next((prompts[-1] for prompts in due.values() if prompts), None)
    if last is None:
        return "removal of prompts"
    return "click" if last.points else "box" if last.box else "mask"
