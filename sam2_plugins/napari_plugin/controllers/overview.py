"""How objects fare, judged in a worker, so that the window never waits for it."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal

from sam2_plugins.napari_plugin.controllers.jobs import Failed, Jobs
from sam2_plugins.napari_plugin.models.frame_states import FrameState


class Overview:
    """What is known by now; judged again when something has changed, one judgement at a time."""

    changed = Signal()
    """More is known."""

    def __init__(self, jobs: Jobs, failed: Failed) -> None:
        self._jobs = jobs
        self._failed = failed
        self._of: object = None
        self._version: object = None
        self._judging = False
        self._known: list[FrameState] = []

    def states(
        self, of: object, version: object, judge: Callable[[], list[FrameState]]
    ) -> list[FrameState]:
        """Return the last known states, and have them judged where they are of another version.

        Parameters
        ----------
        of
            Whose states: with another one, what was known counts no more.
        """
        if of != self._of:
            self._of, self._version, self._known = of, None, []
        if version != self._version and not self._judging:
            self._judging, self._version = True, version
            self._jobs.call(judge, lambda states: self._know(of, states), self._fail)
        return self._known

    def _know(self, of: object, states: list[FrameState]) -> None:
        self._judging = False
        if of == self._of:
            self._known = states
        self.changed.emit()

    def _fail(self, error: Exception) -> None:
        self._judging = False
        self._failed(error)
