"""Makes, renames, limits, cleans up and deletes objects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Index
from sam2_plugins.napari_plugin.models.cleanup import CLEANERS, clean
from sam2_plugins.napari_plugin.models.click_meaning import meaning_of_click
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.requests import Click
from sam2_plugins.napari_plugin.models.work import Work


class Objects:
    """Makes and changes the objects of the chosen image."""

    def __init__(self, dock: DockModel, prompting: Prompting) -> None:
        self._dock = dock
        self._prompting = prompting

    def new(self, name: str = "") -> int:
        """Make an object, or go on with one of which nothing was made yet, and select it."""
        work = self._prompting.begin()
        label = None if name else work.untouched()
        if label is None:
            label = work.add(name)
        self._dock.select(label)
        work.history.admit_objects()
        return label

    def ensure(self, clicking: bool = False) -> Work:
        """Return the chosen image's work, with an object selected; make one if there is none.

        Where there are others, a click tells which one it is of.
        """
        work = self._prompting.begin()  # which may bring objects of an earlier session back
        if self._dock.selected is not None:
            self._dock.select(self._dock.selected)
        elif not clicking or not work.names:
            self.new()
        return work

    def aim(
        self, index: Index, x: float, y: float, adds: bool = False, excluding: bool = False
    ) -> bool:
        """Before a click, select or make its object; return whether the click is a prompt now.

        While the model looks at another click it waits: on which object it is shows in the mask.
        """
        dock = self._dock
        if dock.here is None:
            return True
        if self._prompting.answering:
            work, click = dock.here[0], Click(index, x, y, adds, excluding)
            work.waiting.append(click)
            work.history.on_change()
            self._prompting.act(lambda: self._click(click))
            dock.message.emit("The model is still looking at your last click: this one waits …")
            return False
        known = dock.selected is not None
        if known and (adds or not dock.one_per_click or dock.daughters):
            return True
        work, line = dock.here[0], Line.through(dock.axis, index)
        drawn = work.prompts(line).items()
        mine = [prompt for (_, o), some in drawn if o == dock.selected for prompt in some]
        fresh = [one.frame for one in mine] == [line.frame(index)] and mine[0].points is not None
        meaning = meaning_of_click(x, y, work.store.on_frame(index), dock.selected, fresh)
        if meaning == "new":
            label = work.add()
            dock.select(label)
            dock.message.emit(
                f"This begins {work.names[label]}. Shift-click to add to the object before."
            )
        elif isinstance(meaning, int):
            dock.select(meaning)
            name = work.names.get(meaning, meaning)
            dock.message.emit(f"{name} is selected: click again to correct it.")
            return False
        return True

    def go_on(self) -> None:
        """Let the model answer what it had not when the work was closed, or napari crashed."""
        if (work := self._dock.work) is not None:
            for line in work.due(self._dock.axis):
                self._prompting.sync(line=line)
            for click in [*work.waiting]:
                self._prompting.act(partial(self._click, click))

    def _click(self, click: Click) -> None:
        """Click where a person did before the model had answered."""
        work, index, at = self._dock.work, click.index, (click.x, click.y)
        if work is None or self._dock.closed:  # it is kept
            return
        work.waiting.remove(click)
        if self.aim(index, *at, click.adds, click.excluding):
            prompt = Prompt.of(0, work.workspace.drawing, [at], [0 if click.excluding else 1])
            work.workspace.draw(index, prompt)
            self._prompting.sync(line=Line.through(self._dock.axis, index))

    def rename(self, label: int, name: str) -> None:
        """Rename an object."""
        name = name.strip()

        def act(work: Work, _: str) -> None:
            if name:  # an object without one is lost in lists
                work.names[label] = name
                work.history.record("name")
            self._dock.objects_changed.emit()

        self._prompting.change(label, act)

    def delete(self, label: int) -> None:
        """Remove an object with its masks and prompts."""
        self._prompting.change(label, lambda work, name: self._delete(work, label, name))

    def _delete(self, work: Work, label: int, name: str) -> None:
        dock = self._dock
        work.history.admit_objects()
        others = [work.names[o] for o in work.session.prompts.leaving_out(label) if o in work.names]
        work.history.record(f"removal of {name}", work.remove(label))
        told = f" {', '.join(others)} left its place out: click there to add it."
        dock.message.emit(f"{name} is removed. Undo brings it back.{told if others else ''}")
        if dock.selected == label:
            dock.selected = None
            if work.names:
                dock.select(next(iter(work.names)))
        dock.show(work)
        dock.objects_changed.emit()

    def live(self, label: int, life: Life) -> None:
        """Set the frames on which an object exists; its masks and prompts beyond them go.

        Raises
        ------
        PromptError
            If it would end before it begins.
        """
        if (line := self._dock.line) is not None:
            self._prompting.change(
                label, lambda work, name: self._live(work, line, label, name, life)
            )

    def _live(self, work: Work, line: Line, label: int, name: str, life: Life) -> None:
        dock = self._dock
        if life.first is not None and life.last is not None and life.first > life.last:
            raise PromptError(f"{name} cannot end on frame {life.last}, before it begins.")
        work.require_family(label, life)
        work.history.record(f"life of {name}", work.bound(line, label, life))
        dock.show(work)
        dock.objects_changed.emit()
        self._prompting.sync(replaying=True)

    def begin_here(self) -> None:
        """Make the shown frame the first one of the selected object."""
        self._bound_here("begins", lambda life, here: Life(here, life.last))

    def end_here(self) -> None:
        """Make the shown frame the last one of the selected object."""
        self._bound_here("ends", lambda life, here: Life(life.first, here))

    def _bound_here(self, verb: str, bounded: Callable[[Life, int], Life]) -> None:
        dock, label = self._dock, self._dock.selected
        if dock.here is None or label is None or label not in dock.objects:
            dock.failed.emit(f"Select the object that {verb} on this frame.")
            return
        (_, line), frame = dock.here, dock.frame  # as they are now; the person may go on

        def act(work: Work, name: str) -> None:
            life = bounded(work.session.lives.get(label, Life()), frame)
            self._live(work, line, label, name, life)
            dock.message.emit(f"{name} {verb} on frame {frame}: no run tracks it beyond.")

        self._prompting.change(label, act)

    def clean(self, kind: str, everywhere: bool = False) -> None:
        """Clean the selected object's masks up, on the shown frame or on all; see `CLEANERS`."""
        dock = self._dock
        work, label = dock.work, dock.selected
        if work is None or label is None or label not in work.names:
            dock.failed.emit("Select the object whose masks are to be cleaned up.")
            return
        index = None if everywhere else work.workspace.step
        self._prompting.change(
            label, lambda work, name: self._clean(work, label, name, kind, index)
        )

    def _clean(self, work: Work, label: int, name: str, kind: str, index: Index | None) -> None:
        dock = self._dock
        if dock.running:
            dock.failed.emit("Cancel the run first.")
            return
        indices = work.store.frames_of(label) if index is None else [index]
        change = clean(work.session, label, indices, CLEANERS[kind])
        work.history.record(kind.lower(), change, differ=True)
        changed = f"{len(change)} of {len(indices)} masks of {name} changed."
        dock.message.emit(f"{kind}: {changed}")
        dock.show(work)
        dock.objects_changed.emit()
        self._prompting.sync()
