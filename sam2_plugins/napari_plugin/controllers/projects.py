"""Keeps the work on an image when the dock, a layer or napari is closed, or crashes."""

from __future__ import annotations

import time
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.napari_plugin.controllers.images import Images
from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.controllers.tracks import TracksDrawing
from sam2_plugins.napari_plugin.layers.mask_store import Index, MaskStore
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.project_file import (
    Project,
    Saved,
    read_facts,
    read_project,
    write_project,
)
from sam2_plugins.napari_plugin.models.project_places import (
    Places,
    digest_of,
    facts_of,
    holds,
    is_renamed,
)
from sam2_plugins.napari_plugin.models.requests import Choices
from sam2_plugins.napari_plugin.models.work import Work


@dataclass(frozen=True)
class _Kept:
    """Work whose dock or layer was closed, and its layers that are still in the viewer."""

    saved: Saved
    layers: tuple[Any, ...]
    path: Path | None
    store: MaskStore
    edited: Set[Index]
    """Frames on which a person has painted since."""


_KEPT: WeakKeyDictionary[Any, _Kept] = WeakKeyDictionary()
"""By image layer, as long as that exists; the dock may be closed meanwhile."""


class Projects:
    """Saves the work on each image continuously, and restores it."""

    recalled = Signal(object)
    """`project_file.Choices` of an earlier session, which is back."""
    unanswered = Signal()
    """Work is back with prompts that the model had not answered."""

    def __init__(self, dock: DockModel, jobs: Jobs, images: Images, tracks: TracksDrawing) -> None:
        self._dock = dock
        self._jobs = jobs
        self._images = images
        self._tracks = tracks
        self.places = Places()

    def begin(self) -> Work:
        """Return the chosen image's work with all its layers, restored if there is earlier work."""
        dock = self._dock
        if not dock.images:
            raise Sam2PluginsError("There is no image: open one, and choose it above.")
        self.bring_back()
        work = dock.work
        if work is None:
            work = self._images.open(dock.images[0])
            self._save(work)
            # Load the model while the person looks for where to click.
            self._jobs.call(dock.load_model, lambda _: None, dock.fail)
        work.workspace.complete()
        return work

    def save_as(self, path: Path) -> None:
        """Write all work on the chosen image to another file, and save further changes there.

        Raises
        ------
        Sam2PluginsError
            If there is no work, or the file cannot be written.
        """
        dock, work, path = self._dock, self._dock.work, Path(path)
        if work is None:
            raise Sam2PluginsError("There is nothing to save: click on an object first.")
        if work.project is not None and path.resolve() == work.project.path.resolve():
            dock.message.emit(f"All is saved in {path} already.")
            return
        image = work.workspace.image
        if not self.places.lock(path, image):
            raise Sam2PluginsError(
                f"{path} is open on another layer or in another window: choose another name."
            )
        write_project(path, work.saved(dock.choices))
        self._leave(work)
        self.places.choose(image, path)
        self._save_to(work, Project(path, work.facts))
        dock.message.emit(f"Saved: {path}. All that follows is saved there too.")

    def open(self, path: Path) -> None:
        """Restore the work of a project file on the chosen image.

        Raises
        ------
        Sam2PluginsError
            If it is no project file, or is of another image.
        """
        dock = self._dock
        if not dock.images:
            raise Sam2PluginsError("Open the image first, then its project.")
        saved, image = read_project(path), dock.images[0]
        facts = facts_of(image)
        if not holds(facts.shape, saved.image.shape):
            raise Sam2PluginsError(
                f"{path} is of {saved.image.name} with shape {saved.image.shape}, and "
                f"{facts.name} has shape {facts.shape}: choose the right image."
            )
        if not self.places.lock(path, image):
            raise Sam2PluginsError(
                f"{path} is open on another layer or in another window: close it there first."
            )
        if dock.work is not None:
            self._images.close(image)
            _KEPT.pop(image, None)
        self.places.choose(image, path)
        self._recall(saved, path)

    def bring_back(self) -> None:
        """Restore earlier work on the chosen image, if there is any and none is open."""
        dock = self._dock
        if not dock.images or dock.work is not None:
            return
        image = dock.images[0]
        kept = _KEPT.pop(image, None)
        if kept is not None and holds(facts_of(image).shape, kept.saved.image.shape):
            for layer in kept.layers:
                if layer in dock.viewer.layers:
                    dock.viewer.layers.remove(layer)
            look = replace(kept.saved.choices, limits=())  # as it is shown now
            path = kept.path if kept.path and kept.path.exists() else None
            self._recall(replace(kept.saved, choices=look), path)
            if dock.work is not None:
                for index in sorted(kept.edited):
                    dock.work.store[index] = kept.store[index]
                dock.show(dock.work)
            return
        found = self.places.find(image)
        path = next((path for path in found if self.places.lock(path, image)), None)
        if path is not None:
            try:
                self._recall(read_project(path), path)
            except Sam2PluginsError as error:
                dock.fail(error)
        elif found:
            dock.message.emit(
                f"{found[0]} is open on another layer or in another window: this work is saved "
                "beside it."
            )
        elif (longer := self.places.of_longer(image)) is not None:
            facts, here = read_facts(longer), facts_of(image)
            dock.message.emit(
                f"{longer} is of this file when its shape was {facts.shape}; it is {here.shape} "
                "now. That work stays as it is, and new work is saved beside it."
            )
        elif left := self.places.left_behind(image):
            dock.message.emit(
                f"There is unsaved work on an image like this one: Open project … shows {left[0]}."
            )

    def keep(self, image: Any, work: Work) -> None:
        """Keep the work on an image whose dock or layer is closed."""
        if work.project is not None:
            work.history.on_change()  # with what was chosen last
        project = work.project
        self._leave(work)
        saved = work.saved(self._dock.choices)
        path = None if project is None else project.path
        if project is not None and project.error is not None:
            path = self._rescue(image, saved, project.error)
            if path is not None:
                self.places.release(path)
        if saved.masks or saved.state.names:
            space = work.workspace
            layers = tuple(space.layers())
            _KEPT[image] = _Kept(saved, layers, path, space.store, space.edited)

    def _save(self, work: Work) -> None:
        """Append the work on an image to its project file from now on."""
        path = self.places.claim(work.workspace.image)
        project = None
        if path is not None:
            if work.names:
                write_project(path, work.saved(self._dock.choices))
            project = Project(path, work.facts)
        self._save_to(work, project)

    def _save_to(self, work: Work, project: Project | None) -> None:
        def choices() -> Choices:
            """Return the current choices, to be saved with every change; if saving fails, save
            all somewhere else.
            """
            error = None if work.project is None else work.project.error
            if error is not None:
                self._leave(work)
                image, saved = work.workspace.image, work.saved(self._dock.choices)
                if (path := self._rescue(image, saved, error)) is not None:
                    self._save_to(work, Project(path, work.facts))
            return self._dock.choices

        work.save_to(project, choices)

    def _rescue(self, image: Any, saved: Saved, error: Sam2PluginsError) -> Path | None:
        """Write all work to another place; return it, or None if none can be written."""
        for path in self.places.refuges(image):
            if self.places.lock(path, image):
                try:
                    write_project(path, saved)
                except Sam2PluginsError:
                    self.places.release(path)
                    continue
                self.places.choose(image, path)
                self._dock.failed.emit(f"{error} All your work is saved in {path} now.")
                return path
        self._dock.failed.emit(
            f"{error} Your work is not being saved: choose another place with Save project as."
        )
        return None

    def _recall(self, saved: Saved, path: Path | None) -> None:
        dock = self._dock
        dock.choices = saved.choices
        self.recalled.emit(saved.choices)
        work = self._images.open(dock.images[0])
        image, shape = work.workspace.image, saved.image.shape
        same = shape == work.store.shape
        digest = work.facts().digest if same else digest_of(image, shape)
        if others := len({saved.image.digest, digest} - {""}) > 1:
            # No mask follows from these pictures.
            saved = replace(saved, current={}, all_cells=None)
        work.recall(saved)
        if path is not None and self.places.lock(path, image):
            if saved.damaged or others or is_renamed(saved.image, image):
                write_project(path, work.saved(saved.choices))
            self._save_to(work, Project(path, work.facts))
        else:
            self._save(work)
        wanted, names = saved.state.selected, work.names
        if names:
            dock.select(wanted if wanted in names else next(iter(names)))
        self._tracks.draw(work)
        dock.show(work)
        dock.objects_changed.emit()
        when = ""
        if path is not None:
            then = time.strftime("%d %b %Y, %H:%M", time.localtime(path.stat().st_mtime))
            when = f", as saved on {then} in {path.name}"
        was, now = (shape[:-2] for shape in (saved.image.shape, work.store.shape))
        grown = " × ".join(map(str, was)) if was != now else ""
        more = f" The movie had {grown} frames then: track on through the others." if grown else ""
        if others:
            more += (
                " The movie had other pictures then: look whether the masks are right, or track "
                "again."
            )
        lost = f" {_count(saved.damaged, 'damaged line')} left out." if saved.damaged else ""
        missing = [name for name in saved.choices.channels if name not in dock.choices.channels]
        if missing:
            lost += f" Without its channels {', '.join(missing)}: open and choose them above."
        run = work.unfinished
        broken = f" All cells was broken off on frame {run.taken}: it can go on." if run else ""
        dock.message.emit(f"{_count(len(names), 'object')} back{when}.{more}{lost}{broken}")
        if work.waiting or work.due(dock.axis):
            self.unanswered.emit()

    def _leave(self, work: Work) -> None:
        if work.project is not None:
            path = work.project.path
            work.leave_project()
            self.places.release(path)


def _count(n: int, what: str) -> str:
    """Return a count of things with its verb, such as "1 object is" or "3 objects are"."""
    return f"1 {what} is" if n == 1 else f"{n} {what}s are"
