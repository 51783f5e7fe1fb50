"""Results: measures, files, and prompts to replay."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from psygnal import Signal

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.placement import step_along
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.export import export, read_prompts, write_prompts
from sam2_plugins.napari_plugin.models.measures import Measures, Row, measure, save_csv
from sam2_plugins.napari_plugin.models.session import Painted
from sam2_plugins.napari_plugin.models.work import Work


class Results:
    """Measures, exports and prompt files of the objects along the line that is shown."""

    measured = Signal()
    """There are new measures."""

    def __init__(self, dock: DockModel, jobs: Jobs, prompting: Prompting) -> None:
        self._dock = dock
        self._jobs = jobs
        self._prompting = prompting
        self.table = Measures()
        self._measured_of: object = None

    @property
    def measures(self) -> Sequence[Row]:
        """Rows of the table: an object on a frame."""
        return self.table.rows

    def measure(self) -> None:
        """Measure all objects along the line, in a worker."""
        dock = self._dock
        if dock.here is None:
            dock.failed.emit("There is nothing to measure: track an object first.")
            return
        work, line = dock.here
        found: list[Measures] = []
        names, images, length = dict(work.names), dock.images, dock.length
        measured_of = _version(work)

        def done(stopped: bool) -> None:
            if stopped or work is not dock.work:  # another image is chosen by now
                return
            (self.table,), self._measured_of = found, measured_of
            work.workspace.labels.features = self.table.features(work.names)
            self.measured.emit()
            dock.message.emit(
                f"{len(self.measures)} masks measured. {work.elsewhere(line)}".rstrip()
            )

        def steps() -> Generator[int, None, None]:
            rows: list[Row] = []
            for frame, of_frame in enumerate(measure(work.store, images, line, length, names)):
                rows += of_frame
                yield frame
            found.append(Measures.of(rows, *step_along(images[0], line.axis)))

        self._jobs.stream(
            steps,
            lambda frame: dock.message.emit(f"Measuring: {frame + 1} of {length} frames"),
            done,
            dock.fail,
        )

    def forget(self) -> None:
        """Drop the measures, when another image is chosen."""
        if self.measures:
            self.table = Measures()
            self.measured.emit()

    def save_table(self, path: Path) -> None:
        """Save the measures; those of masks that are other ones now are saved with a warning."""
        work = self._dock.work
        changed = work is not None and self._measured_of != _version(work)
        again = " Objects have changed since they were measured: press Measure, and save again."
        self._write(path, lambda: save_csv(path, self.measures), again if changed else "")

    def export(self, kind: str, folder: Path) -> None:
        """Write the objects along the line in one of the core's formats, in a worker."""
        dock = self._dock
        if dock.here is None:
            dock.failed.emit("There is nothing to export: track an object first.")
            return
        work, line = dock.here
        view, length, notes = dock.view(), dock.length, list[str]()

        def steps() -> Generator[int, None, None]:
            notes.extend((yield from export(work, view, line, kind, folder)))

        self._jobs.stream(
            steps,
            lambda frame: dock.message.emit(f"Writing: {frame + 1} of {length} frames"),
            lambda _: dock.message.emit("\n".join(notes)),
            dock.fail,
        )

    def save_prompts(self, path: Path) -> None:
        """Save all prompts along the line, with names and lineage."""
        dock = self._dock
        if dock.here is None:
            dock.failed.emit("There are no prompts to save.")
            return
        work, line = dock.here
        height, width = work.store.frame_size
        facts = {"name": dock.images[0].name, "frames": dock.length}
        facts |= {"height": height, "width": width}
        note = work.elsewhere(line)
        self._write(path, lambda: write_prompts(path, work, line, facts), note and f" {note}")

    def load_prompts(self, path: Path) -> None:
        """Load the prompts of a file as further objects, except those that exist already."""
        self._dock.attempt(lambda: self._load_prompts(path))

    def _load_prompts(self, path: Path) -> None:
        work = self._prompting.begin()
        line = Line.through(self._dock.axis, work.workspace.step)
        self._prompting.act(lambda: self._add_prompts(path, work, line))

    def _add_prompts(self, path: Path, work: Work, line: Line) -> None:
        dock = self._dock
        loaded = read_prompts(path, work, line)
        for prompt in loaded.prompts:
            prompt.check_fits(work.store.frame_size, dock.length)
        work.names.update({o: name for o, name in loaded.names.items() if o not in work.names})
        work.lineage.mothers.update(loaded.mothers)
        if self._dock.over in (None, line.axis):  # else they are planes, and lives count in time
            work.session.lives.update(loaded.lives)
        marks = work.workspace.marks()
        for prompt in loaded.prompts:
            index = line.index(prompt.frame)
            if prompt.mask is not None:
                work.session.painted[index, int(prompt.obj)] = Painted(prompt.mask, None)
            marks = marks.adding(index, prompt)
        work.workspace.set_marks(marks)
        if loaded.names:
            dock.select(next(iter(loaded.names)))
        if not loaded.prompts:
            dock.message.emit("All prompts of this file are here already.")
        self._prompting.sync(line=line)

    def _write(self, path: Path, write: Callable[[], None], note: str = "") -> None:
        try:
            write()
        except Sam2PluginsError as error:
            self._dock.fail(error)
        else:
            self._dock.message.emit(f"Written: {path}.{note}" if note else f"Written: {path}")


def _version(work: Work) -> object:
    """Return what is another one when a mask or a name is."""
    return work, work.store.changes, dict(work.names)
