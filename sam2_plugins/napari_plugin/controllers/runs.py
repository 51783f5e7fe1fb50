"""Starts, watches, stops and undoes tracking."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from psygnal import Signal

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.lineage import LineageJournal
from sam2_plugins.core.tracking.schedule import Direction, jumps
from sam2_plugins.napari_plugin.controllers.jobs import Handle, Jobs
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.controllers.tracks import TracksDrawing
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Change
from sam2_plugins.napari_plugin.models.all_cells import LineageStep, Taking, all_cells, follow_all
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.requests import AllCells, Request, Step
from sam2_plugins.napari_plugin.models.volumes import largest, track_volumes
from sam2_plugins.napari_plugin.models.work import Work


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run; rate in frames a second."""

    done: int
    total: int
    rate: float

    @property
    def seconds_left(self) -> float:
        """Estimated seconds for the rest; 0 if not known."""
        return (self.total - self.done) / self.rate if self.rate else 0.0


class Runs:
    """One run at a time, over the objects along the line that is shown."""

    progressed = Signal(object)
    """A `RunProgress`, or None when a run ends."""

    def __init__(
        self,
        dock: DockModel,
        jobs: Jobs,
        prompting: Prompting,
        tracks: TracksDrawing,
    ) -> None:
        self._dock = dock
        self._jobs = jobs
        self._prompting = prompting
        self._tracks = tracks
        self._run: Handle | None = None

    @property
    def running(self) -> bool:
        """Whether objects are being tracked."""
        return self._dock.running

    def why_not(self) -> str:
        """Why tracking cannot start; "" if it can."""
        dock = self._dock
        if not dock.images:
            return "Choose an image first."
        if dock.running:
            return "Tracking already."
        if dock.here is None:
            return "Click on an object first."
        work, line = dock.here
        if not _prompted(work, line) and (dock.over is None or not _seen(work, line)):
            return "Click on an object first, or draw a box around it."
        if max(dock.length, self.length) < 2:
            return "There is only one frame."
        return ""

    @property
    def length(self) -> int:
        """Number of frames among which a run's range is chosen, or of time points with stacks."""
        dock = self._dock
        return dock.length_of(dock.axis if dock.over is None else dock.over)

    @property
    def corrections(self) -> dict[int, int]:
        """By object, the frame of a correction that was not tracked on from there."""
        if self._dock.here is None:
            return {}
        work, line = self._dock.here
        found = work.session.prompts.corrections(line)
        # While an undo is told of, the model may still know objects that are gone.
        return {label: frame for label, frame in found.items() if label in work.names}

    def track_on(self) -> None:
        """Track on from the corrections; earlier frames and other objects stay unchanged."""
        dock, since = self._dock, self.corrections
        if dock.here is None or not since:
            dock.message.emit("There is no correction to track on from.")
            return
        work, line = dock.here
        last = work.session.prompts.last_outdated(line, since)
        first = min(since.values())
        self._track(work, Request(dock.view(), line, "forward", first, last, since))

    def start(
        self, direction: Direction, start: int | None = None, stop: int | None = None
    ) -> None:
        """Track all objects; masks appear as they come."""
        dock, reason = self._dock, self.why_not()
        if reason or dock.here is None:
            dock.failed.emit(reason)
            return
        work, line = dock.here
        request = Request(dock.view(), line, direction, start, stop, over=dock.over)
        self._track(work, request)

    @property
    def broken_off(self) -> AllCells | None:
        """The run over all cells that `track_all` would go on with, to the same end.

        None if there is none, or something was changed since that it hangs on.
        """
        dock, work = self._dock, self._dock.work
        run = None if work is None else work.unfinished
        known = run is not None and run.journal is not None and run.journal.exists()
        return run if run and known and run.choices == dock.choices else None

    def track_all(self, stop: int | None = None) -> None:
        """Track all cells from the shown frame on, with those that come, divide and go.

        Raises
        ------
        Sam2PluginsError
            If there is nothing to track through.
        """
        dock, work = self._dock, self._prompting.begin()
        if dock.running:
            raise Sam2PluginsError(self.why_not())
        run = self.broken_off or self._all_cells(work, stop)
        request = Request(dock.view(), run.line, "forward", run.first, run.last)
        change: Change = {}
        taking = Taking(work, request, run, change)

        def steps() -> Generator[Step, None, None]:
            if work.project is not None:
                work.project.put_all_cells(run.begun())
            return follow_all(work.session, request, run)

        def each(step: Step) -> None:
            assert isinstance(step, LineageStep) and step.found is not None
            if taking.take(step.found):
                if work is dock.work and dock.selected in taking.heirs:
                    dock.select(taking.heirs.pop(dock.selected))
                dock.objects_changed.emit()

        def ended(whole: bool) -> None:
            run.running, run.latest = False, work.history.latest
            if whole or run.taken >= run.last:
                work.all_cells = None
                work.history.on_change()
                if run.journal is not None:
                    LineageJournal(run.journal).delete()
            dock.objects_changed.emit()

        run.running = True
        self._start(work, steps, change, each, ended)

    def _all_cells(self, work: Work, stop: int | None) -> AllCells:
        dock = self._dock
        line, frame = Line.through(dock.axis, work.workspace.step), dock.frame
        last = dock.length - 1 if stop is None else stop
        if dock.over is not None or frame >= last:
            raise Sam2PluginsError(
                "All cells are tracked to later frames: go to an earlier frame, and choose one "
                "axis to track along."
            )
        return all_cells(work, line, frame, last, dock.choices)

    def cancel(self) -> None:
        """Stop the run at the next frame; what is done is kept."""
        if self._run is not None:
            self._run.stop()

    def _track(self, work: Work, request: Request) -> None:
        session, names = work.session, list(work.names)
        begins = _prompted(work, request.line)
        change: Change = {}

        def steps() -> Generator[Step, None, None]:
            if request.over is None:
                return session.run(request, change)
            return track_volumes(session, request, names, begins, change)

        self._start(work, steps, change, about=_jumps(work, request))

    def _start(
        self,
        work: Work,
        steps: Callable[[], Generator[Step, None, None]],
        change: Change,
        on_step: Callable[[Step], None] = lambda step: None,
        on_end: Callable[[bool], None] = lambda whole: None,
        about: str = "",
    ) -> None:
        dock = self._dock
        if dock.running:
            dock.failed.emit(self.why_not())
            return
        self._prompting.sync()
        computed, note = 0, ""
        frames = set()
        began = time.perf_counter()

        def each(step: Step) -> None:
            nonlocal computed, note
            on_step(step)
            computed += step.computed
            if step.note != note:
                note = step.note
                dock.message.emit(note)
            frames.add(step.index)
            rate = step.done / max(time.perf_counter() - began, 1e-6)
            dock.shown_is_stale |= step.index == work.workspace.step
            self.progressed.emit(RunProgress(step.done, step.total, rate))
            dock.masks_changed.emit()

        def done(stopped: bool) -> None:
            self._prompting.after(lambda: record(stopped))  # also of an image chosen no more

        def record(stopped: bool) -> None:
            self._run, dock.running = None, False
            self.progressed.emit(None)
            self._prompting.end_stroke()  # is an edit of its own
            work.history.under_way = {}
            work.history.record("run", change, differ=True)
            on_end(not stopped)
            dock.show(work)
            kept = "Stopped; what is done is kept: " if stopped else ""
            if computed or stopped or not frames:
                count = "1 frame" if len(frames) == 1 else f"{len(frames)} frames"
                told = (f"{kept}{count} tracked.", note, about)
                dock.message.emit(" ".join(filter(None, told)))
            else:
                dock.message.emit(
                    "Nothing had to be tracked: all masks follow from the prompts already."
                )
            self._tracks.draw(work)

        def failed(error: Exception) -> None:
            done(True)
            self._prompting.after(lambda: dock.fail(error))

        self.progressed.emit(RunProgress(0, 0, 0.0))
        dock.running, work.history.under_way = True, change
        handle = self._jobs.stream(steps, each, done, failed)
        if dock.running:  # it may be over already
            self._run = handle


def _jumps(work: Work, request: Request) -> str:
    """Note the objects between whose last mask and the range frames are left out."""
    if request.since is not None or request.over is not None:
        return ""
    line, tracked = request.line, work.session.prompts.tracked
    seen = {
        name: [f for f, o in work.prompts(line) if o == label] + [*tracked.get((line, label), ())]
        for label, name in work.names.items()
    }
    return " ".join(jumps(seen, request.direction, request.start, request.stop))


def _prompted(work: Work, line: Line) -> bool:
    return bool(work.session.prompts.along(line) or work.pending(line))


def _seen(work: Work, line: Line) -> bool:
    return any(largest(work.store, line, label) is not None for label in work.names)
