"""Work that survives: a closed dock, a removed layer, a closed napari, a crash."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.models.project_file import (
    Choices,
    Project,
    Saved,
    read_project,
    write_project,
)
from sam2_plugins.napari_plugin.models.project_places import Places, facts_of
from sam2_plugins.napari_plugin.models.work import Work

if TYPE_CHECKING:
    from sam2_plugins.napari_plugin.controllers.controller import Controller


@dataclass(frozen=True)
class _Kept:
    """Work whose dock or layer is gone, and the layers that it left in the viewer."""

    saved: Saved
    layers: tuple[Any, ...]


_KEPT: WeakKeyDictionary[Any, _Kept] = WeakKeyDictionary()
"""By image layer: as long as that is there, whatever becomes of the dock."""


class Projects:
    """Saves the work on each image while it is done, and brings it back."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.places = Places()

    @property
    def choices(self) -> Choices:
        """What is chosen now, as it is saved."""
        control = self._controller
        channels = tuple(image.name for image in control.images[1:])
        return Choices(
            control.axis, control.over, channels, control.contrast, control.memory, control.model
        )

    def _choices_for(self, work: Work) -> Choices:
        """What is chosen, with every change that is saved; tells if saving does not work."""
        error = None if work.project is None else work.project.error
        if error is not None:
            self._leave(work)
            self._controller.fail(error)
        return self.choices

    def save(self, work: Work) -> None:
        """Append the work on an image to its project file from now on."""
        path = self.places.claim(work.workspace.image)
        project = None
        if path is not None:
            saved = work.saved(self.choices)
            if saved.masks:
                write_project(path, saved)
            project = Project(path, saved.image)
        work.save_to(project, lambda: self._choices_for(work))

    def save_as(self, path: Path) -> None:
        """Write all work on the chosen image to another file, and go on saving it there.

        Raises
        ------
        Sam2PluginsError
            If there is no work, or the file cannot be written.
        """
        work = self._controller.work
        if work is None:
            raise Sam2PluginsError("There is nothing to save: click on an object first.")
        path = Path(path)
        if work.project is not None and path.absolute() == work.project.path.absolute():
            self._controller.told.emit(f"All is saved in {path} already.")
            return
        if not self.places.lock(path):
            raise Sam2PluginsError(f"{path} is open in another window: choose another name.")
        write_project(path, work.saved(self.choices))
        self._leave(work)
        image = work.workspace.image
        self.places.choose(image, path)
        work.save_to(Project(path, facts_of(image)), lambda: self._choices_for(work))
        self._controller.told.emit(f"Saved: {path}. All that follows is saved there too.")

    def open(self, path: Path) -> None:
        """Bring the work in a project file back, onto the chosen image.

        Raises
        ------
        Sam2PluginsError
            If it is no project file, or is of another image.
        """
        control = self._controller
        if not control.images:
            raise Sam2PluginsError("Open the image first, then its project.")
        saved = read_project(path)
        facts = facts_of(control.images[0])
        if saved.image.shape != facts.shape:
            raise Sam2PluginsError(
                f"{path} is of {saved.image.name} with shape {saved.image.shape}, and "
                f"{facts.name} has shape {facts.shape}: choose the right image."
            )
        if control.work is not None:
            control.close_work(control.images[0])
            _KEPT.pop(control.images[0], None)
        if not self.places.lock(path):
            raise Sam2PluginsError(f"{path} is open in another window: close it there first.")
        self.places.choose(control.images[0], path)
        self._recall(saved, path)

    def bring_back(self) -> None:
        """Bring earlier work on the chosen image back, if there is any and none is open."""
        control = self._controller
        if not control.images or control.work is not None:
            return
        image = control.images[0]
        kept = _KEPT.pop(image, None)
        if kept is not None and kept.saved.image.shape == facts_of(image).shape:
            for layer in kept.layers:
                if layer in control.viewer.layers:
                    control.viewer.layers.remove(layer)
            self._recall(kept.saved, self.places.find(image))
            return
        path = self.places.find(image)
        if path is not None and self.places.lock(path):
            try:
                self._recall(read_project(path), path)
            except Sam2PluginsError as error:
                control.fail(error)
        elif path is not None:
            control.told.emit(f"{path} is open in another window: this work is saved beside it.")
        elif left := self.places.left_behind(image):
            control.told.emit(
                f"There is unsaved work on an image like this one: Open project … shows {left[0]}."
            )

    def keep(self, image: Any, work: Work) -> None:
        """Keep the work on an image whose dock or layer goes away."""
        saved = work.saved(self.choices)
        if saved.masks or saved.state.names:
            _KEPT[image] = _Kept(saved, tuple(work.workspace.layers()))
        if work.project is not None:
            work.history.on_change()  # with what was chosen last
        self._leave(work)

    def _recall(self, saved: Saved, path: Path | None) -> None:
        control = self._controller
        control.adopt(saved.choices)
        work = control.open_work(control.images[0])
        work.recall(saved)
        for line in {Line.through(control.axis, index) for index in _indices(work)}:
            work.session.recall(line, control.prompting.wanted(work, line), {})
        if path is not None and self.places.lock(path):
            if saved.damaged:
                write_project(path, work.saved(saved.choices))
            work.save_to(Project(path, saved.image), lambda: self._choices_for(work))
        else:
            self.save(work)
        wanted = saved.state.selected
        names = work.workspace.names
        if names:
            control.select(wanted if wanted in names else next(iter(names)))
        control.draw_tracks(work)
        control.show(work)
        control.objects_changed.emit()
        when = "" if path is None else f", as saved on {_date(path)} in {path.name}"
        lost = f" {count(saved.damaged, 'damaged line')} left out." if saved.damaged else ""
        control.told.emit(f"{count(len(names), 'object')} back{when}.{lost}")

    def _leave(self, work: Work) -> None:
        if work.project is not None:
            path = work.project.path
            work.leave_project()
            self.places.release(path)


def _indices(work: Work) -> set[tuple[int, ...]]:
    """Frames on which there is a prompt."""
    marks = work.workspace.marks()
    places = [at for at, _, _ in marks.clicks] + [corners[0] for _, corners, _ in marks.shapes]
    drawn = {tuple(round(n) for n in at[:-2]) for at in places}
    return drawn | {index for index, _ in work.session.painted}


def count(n: int, what: str) -> str:
    """Say how many things there are, such as "1 object is" or "3 objects are"."""
    return f"1 {what} is" if n == 1 else f"{n} {what}s are"


def _date(path: Path) -> str:
    return time.strftime("%d %b %Y, %H:%M", time.localtime(path.stat().st_mtime))
