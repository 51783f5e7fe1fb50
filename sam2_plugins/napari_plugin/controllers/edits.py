"""Undo and redo of every change."""

from __future__ import annotations

from collections.abc import Callable

from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.controllers.tracks import TracksDrawing
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.history import Edit, History


class Edits:
    """Undoes and redoes changes."""

    def __init__(self, dock: DockModel, prompting: Prompting, tracks: TracksDrawing) -> None:
        self._dock = dock
        self._prompting = prompting
        self._tracks = tracks

    def undo(self) -> None:
        """Undo the last change."""
        self._prompting.act(lambda: self._step("There is nothing to undo.", "undone", History.undo))

    def redo(self) -> None:
        """Redo the change that was undone last."""
        self._prompting.act(lambda: self._step("There is nothing to redo.", "redone", History.redo))

    def _step(self, nothing: str, done: str, step: Callable[[History], Edit | None]) -> None:
        dock, work = self._dock, self._dock.work
        if dock.running:
            dock.failed.emit("Cancel the run first.")
            return
        edit = None if work is None else step(work.history)
        if work is None or edit is None:
            dock.message.emit(nothing)
            return
        gone = {*edit.before.names, *edit.after.names} - {*work.names}
        if dock.selected in gone and work.names:
            wanted = work.history.present.selected
            dock.select(wanted if wanted in work.names else next(reversed(work.names)))
        dock.daughters = []
        dock.message.emit(f"The {edit.title} is {done}.")
        if work.workspace.tracks in dock.viewer.layers:
            self._tracks.draw(work)
        dock.show(work)
        dock.objects_changed.emit()
        self._prompting.sync(replaying=True)
