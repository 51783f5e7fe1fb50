"""Judges the masks frame by frame, and leads to doubtful frames."""

from __future__ import annotations

from collections.abc import Callable

from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.frame_states import (
    Doubts,
    FrameState,
    doubtful,
    states_along,
)

Judge = Callable[[], list[FrameState]]


class Review:
    """Judges frames in a worker, one at a time, so that the window never waits."""

    def __init__(self, dock: DockModel, jobs: Jobs) -> None:
        self._dock = dock
        self._jobs = jobs
        self._doubts = Doubts()
        self._of: object = None
        self._version: object = None
        self._judging = False
        self._known: list[FrameState] = []

    def states(self, label: int | None = None) -> list[FrameState]:
        """Return the states of an object by frame; without one, the worst of all objects."""
        return self._judge(label)()

    def shown_states(self) -> list[FrameState]:
        """Return the known states of the selected object, or of all, for the strip."""
        dock = self._dock
        label = None if dock.all_objects else dock.selected
        if dock.here is None or (label is None and not dock.all_objects):
            return []
        work, line = dock.here
        prompts = work.session.prompts.along(line)
        lives = work.session.lives_along(line)
        version: object = (work.store.changes, prompts, list(work.names), lives)
        if dock.all_objects and dock.running:
            version = None  # all of them after every frame would slow the run down
        return self.known((work, line, label), version, self._judge(label))

    def known(self, of: object, version: object, judge: Judge) -> list[FrameState]:
        """Return the last known states; where masks have changed since, judge them in a worker.

        Parameters
        ----------
        of
            Whose states: with another one, what was known counts no more.
        """
        if of != self._of:
            self._of, self._version, self._known = of, None, []
        if version != self._version and not self._judging:
            self._judging, self._version = True, version
            self._jobs.call(judge, lambda states: self._on_judged(of, states), self._on_failed)
        return self._known

    def go_to_doubtful(self, forward: bool = True) -> None:
        """Show the next doubtful frame."""
        dock = self._dock
        if dock.here is None:
            return
        states = self.shown_states() if dock.all_objects else self.states(dock.selected)
        frames, here = doubtful(states), dock.frame
        after = [f for f in frames if f > here] if forward else [f for f in frames if f < here]
        if not after:
            dock.message.emit(f"No doubtful frame {'after' if forward else 'before'} this one.")
            return
        frame = after[0] if forward else after[-1]
        dock.go_to(frame)
        label = states[frame].label
        if label is not None and label != dock.selected:
            dock.select(label)

    def _judge(self, label: int | None) -> Judge:
        if self._dock.here is None:
            return list
        work, line = self._dock.here
        labels = list(work.names) if label is None else [label]
        prompts, lives = work.session.prompts.along(line), work.session.lives_along(line)
        length, doubts = self._dock.length, self._doubts
        return lambda: states_along(work.store, line, length, labels, prompts, doubts, lives)

    def _on_judged(self, of: object, states: list[FrameState]) -> None:
        self._judging = False
        if of == self._of:
            self._known = states
        self._dock.masks_changed.emit()

    def _on_failed(self, error: Exception) -> None:
        self._judging = False
        self._dock.fail(error)
