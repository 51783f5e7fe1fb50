"""What comes of the masks: measures, files, and prompts to replay."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.placement import step_along
from sam2_plugins.napari_plugin.models.export import Result, export, load_said, save_said
from sam2_plugins.napari_plugin.models.measures import Measures, Row, measure, save_csv
from sam2_plugins.napari_plugin.models.session import Painted

if TYPE_CHECKING:
    from sam2_plugins.napari_plugin.controllers.controller import Controller


class Results:
    """Measures, exports and prompt files of the objects along the line that is shown."""

    measured = Signal()
    """There are new measures."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.table = Measures()

    @property
    def measures(self) -> Sequence[Row]:
        """Rows of the table: an object on a frame."""
        return self.table.rows

    def measure(self) -> None:
        """Measure all objects along the line, in a worker."""
        control = self._controller
        work, line = control.work, control.line
        if work is None or line is None:
            control.failed.emit("There is nothing to measure: track an object first.")
            return
        found: list[Measures] = []
        store, names = work.workspace.store, dict(work.workspace.names)
        images, length = control.images, control.length

        def done(stopped: bool) -> None:
            if stopped:
                return
            (self.table,) = found
            work.workspace.show_features(self.table)
            self.measured.emit()
            control.told.emit(f"{len(self.measures)} masks measured.")

        def steps() -> Generator[int, None, None]:
            rows: list[Row] = []
            for frame, of_frame in enumerate(measure(store, images, line, length, names)):
                rows += of_frame
                yield frame
            found.append(Measures.of(rows, *step_along(images[0], line.axis)))

        control.jobs.stream(
            steps,
            lambda frame: control.told.emit(f"Measuring: {frame + 1} of {length} frames"),
            done,
            control.fail,
        )

    def forget(self) -> None:
        """Another image is chosen: there are no measures of it."""
        if self.measures:
            self.table = Measures()
            self.measured.emit()

    def save_table(self, path: Path) -> None:
        """Save the measures."""
        control = self._controller
        try:
            save_csv(path, self.measures)
        except Sam2PluginsError as error:
            control.fail(error)
        else:
            control.told.emit(f"Written: {path}")

    def export(self, kind: str, folder: Path) -> None:
        """Write the objects along the line in one of the core's formats, in a worker."""
        control = self._controller
        work, line = control.work, control.line
        if work is None or line is None:
            control.failed.emit("There is nothing to export: track an object first.")
            return
        space = work.workspace
        result = Result(space.store, control.view(), line, dict(space.names), space.lineage)
        frames, told = control.length, list[str]()

        def steps() -> Generator[int, None, None]:
            told.extend((yield from export(result, kind, folder)))

        control.jobs.stream(
            steps,
            lambda frame: control.told.emit(f"Writing: {frame + 1} of {frames} frames"),
            lambda _: control.told.emit("\n".join(told)),
            control.fail,
        )

    def save_prompts(self, path: Path) -> None:
        """Save all that was said along the line, with names and lineage."""
        control = self._controller
        work, line = control.work, control.line
        if work is None or line is None:
            control.failed.emit("There are no prompts to save.")
            return
        height, width = work.workspace.store.frame_size
        facts = {"name": control.images[0].name, "frames": control.length}
        try:
            save_said(
                path,
                work.session.said(line),
                work.workspace.names,
                work.workspace.lineage,
                work.session.lives,
                {**facts, "height": height, "width": width},
            )
        except Sam2PluginsError as error:
            control.fail(error)
        else:
            control.told.emit(f"Written: {path}")

    def load_prompts(self, path: Path) -> None:
        """Take the prompts of a file, as further objects; those that are there already are not
        taken again.
        """
        control = self._controller
        try:
            work = control.begin()
            space = work.workspace
            line = Line.through(control.axis, space.step)
            loaded = load_said(path, space.names, control.prompting.wanted(work, line))
            for prompt in loaded.prompts:
                prompt.check_fits(space.store.frame_size, control.length)
        except Sam2PluginsError as error:
            control.fail(error)
            return
        space.names.update({o: name for o, name in loaded.names.items() if o not in space.names})
        space.lineage.mothers.update(loaded.mothers)
        work.session.lives.update(loaded.lives)
        for prompt in loaded.prompts:
            index, label = line.index(prompt.frame), int(prompt.obj)
            if prompt.mask is not None:
                work.session.painted[index, label] = Painted(prompt.mask, None)
            space.draw(index, label, prompt)
        if loaded.names:
            control.select(next(iter(loaded.names)))
        if not loaded.prompts:
            control.told.emit("All prompts of this file are here already.")
        control.prompting.sync()
