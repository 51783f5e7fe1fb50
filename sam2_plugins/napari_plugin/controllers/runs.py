"""Tracking: started, watched, stopped and taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.tracking.schedule import Direction
from sam2_plugins.napari_plugin.controllers.jobs import Handle
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Change
from sam2_plugins.napari_plugin.models.all_cells import LineageStep, Taking, follow_all
from sam2_plugins.napari_plugin.models.session import Request, Session, Step
from sam2_plugins.napari_plugin.models.volumes import largest, track_volumes
from sam2_plugins.napari_plugin.models.work import Work

if TYPE_CHECKING:
    from sam2_plugins.napari_plugin.controllers.controller import Controller


@dataclass(frozen=True)
class RunProgress:
    """How far a run is; rate in frames a second."""

    done: int
    total: int
    rate: float

    @property
    def seconds_left(self) -> float:
        """Time that the rest will take; 0 if that is not known."""
        return (self.total - self.done) / self.rate if self.rate else 0.0


class Runs:
    """One run at a time, over the objects along the line that is shown."""

    def __init__(self, control: Controller) -> None:
        self._control = control
        self._run: Handle | None = None

    @property
    def running(self) -> bool:
        """Whether objects are being tracked."""
        return self._run is not None

    def why_not(self) -> str:
        """Why tracking cannot start; "" if it can."""
        if not self._control.images:
            return "Choose an image first."
        if self.running:
            return "Tracking already."
        work, line = self._control.work, self._control.line
        if work is None or line is None:
            return "Click on an object first."
        if not self._said(work, line) and not (
            self._control.over is not None and self._shown(work, line)
        ):
            return "Click on an object first, or draw a box around it."
        if max(self._control.length, self.length) < 2:
            return "There is only one frame."
        return ""

    @property
    def length(self) -> int:
        """Number of frames among which a run's range is chosen, or of time points with stacks."""
        control = self._control
        return control.length if control.over is None else control.length_of(control.over)

    def _said(self, work: Work, line: Line) -> bool:
        return bool(work.session.said(line) or self._control.prompting.untold(work, line))

    def _shown(self, work: Work, line: Line) -> bool:
        store = work.workspace.store
        return any(largest(store, line, label) is not None for label in work.workspace.names)

    @property
    def corrections(self) -> dict[int, int]:
        """By object, the frame of a correction that was not tracked on from there."""
        work, line = self._control.work, self._control.line
        return {} if work is None or line is None else work.session.corrections(line)

    def track_on(self) -> None:
        """Track on from the corrections; what is before them, and other objects, stay as it is."""
        work, line, since = self._control.work, self._control.line, self.corrections
        if work is None or line is None or not since:
            self._control.told.emit("There is no correction to track on from.")
            return
        last = work.session.after(line, since)
        self._run_through(
            Request(self._control.view(), line, "forward", min(since.values()), last, since)
        )

    def start(
        self, direction: Direction, start: int | None = None, stop: int | None = None
    ) -> None:
        """Track all objects; masks appear as they come."""
        line = self._control.line
        reason = self.why_not()
        if reason or line is None:
            self._control.failed.emit(reason)
            return
        self._run_through(
            Request(self._control.view(), line, direction, start, stop, over=self._control.over)
        )

    def track_all(self, stop: int | None = None) -> None:
        """Track all cells from the shown frame on, with those that come, divide and go.

        Raises
        ------
        Sam2PluginsError
            If there is nothing to track through.
        """
        control = self._control
        work, frame = control.begin(), control.frame
        line = Line.through(control.axis, work.workspace.step)
        last = control.length - 1 if stop is None else stop
        if control.over is not None or frame >= last:
            raise Sam2PluginsError(
                "All cells are tracked to later frames: go to an earlier frame, and choose one "
                "axis to track along."
            )
        request = Request(control.view(), line, "forward", frame, last)
        names, here = work.workspace.names, work.workspace.store.on_frame(line.index(frame))
        masks = {label: mask for label, mask in here.items() if mask.visible and label in names}
        change: Change = {}
        taking = Taking(work, request, masks, change)

        def each(step: Step) -> None:
            known = len(names)
            assert isinstance(step, LineageStep) and step.found is not None
            for offer in taking.take(step.found):
                control.offers.add(offer)
            if len(names) > known:
                control.objects_changed.emit()

        self._start(work, lambda: follow_all(work.session, request, masks), request, change, each)

    def _run_through(self, request: Request) -> None:
        work = self._control.work
        if work is None:
            self._control.failed.emit(self.why_not())
            return
        session, names = work.session, list(work.workspace.names)
        begins = self._said(work, request.line)
        change: Change = {}

        def steps() -> Generator[Step, None, None]:
            if request.over is None:
                return session.run(request, change)
            return track_volumes(session, request, names, begins, change)

        self._start(work, steps, request, change)

    def _start(
        self,
        work: Work,
        steps: Callable[[], Generator[Step, None, None]],
        request: Request,
        change: Change,
        on_step: Callable[[Step], None] = lambda step: None,
    ) -> None:
        if self.running:
            self._control.failed.emit(self.why_not())
            return
        self._control.prompting.sync()
        computed = 0
        frames = set()
        began = time.perf_counter()

        def each(step: Step) -> None:
            nonlocal computed
            on_step(step)
            computed += step.computed
            frames.add(step.index)
            rate = step.done / max(time.perf_counter() - began, 1e-6)
            self._control.shown_is_stale |= step.index == work.workspace.step
            self._control.progressed.emit(RunProgress(step.done, step.total, rate))
            self._control.masks_changed.emit()

        def done(stopped: bool) -> None:
            self._run = None
            work.history.record(
                "run", _tracked(change, work.session, request.line.axis), differ=True
            )
            self._control.show(work)
            self._control.progressed.emit(None)
            kept = "Stopped; what is done is kept: " if stopped else ""
            if computed or stopped or not frames:
                self._control.told.emit(f"{kept}{len(frames)} frames tracked.")
            else:
                self._control.told.emit(
                    "Nothing had to be tracked: all masks follow from the prompts already."
                )
            self._control.draw_tracks(work)

        def failed(error: Exception) -> None:
            done(True)
            self._control.fail(error)

        self._control.progressed.emit(RunProgress(0, 0, 0.0))
        self._run = _STARTING
        handle = self._control.jobs.stream(steps, each, done, failed)
        if self._run is not None:
            self._run = handle

    def cancel(self) -> None:
        """Stop the run at the next frame; what is done is kept."""
        if self._run is not None:
            self._run.stop()


def _tracked(change: Change, session: Session, axis: int | None) -> Change:
    """Leave out what a person did meanwhile: taking the run back leaves it alone."""
    prompted = session.prompted(axis)
    return {
        entry: mask
        for entry, mask in change.items()
        if entry not in prompted and entry not in session.painted
    }


class _Starting:
    def stop(self) -> None:
        """Nothing runs yet."""


_STARTING = _Starting()
