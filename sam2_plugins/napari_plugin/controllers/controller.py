"""The parts of the dock, made and connected; and the names under which scripts use them."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from warnings import warn

from sam2_plugins.core.model import Sam2Model
from sam2_plugins.napari_plugin.controllers.divisions import Divisions
from sam2_plugins.napari_plugin.controllers.edits import Edits
from sam2_plugins.napari_plugin.controllers.images import Images
from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.controllers.objects import Objects
from sam2_plugins.napari_plugin.controllers.offers import Offers
from sam2_plugins.napari_plugin.controllers.projects import Projects
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.controllers.proposals import Proposals
from sam2_plugins.napari_plugin.controllers.results import Results
from sam2_plugins.napari_plugin.controllers.review import Review
from sam2_plugins.napari_plugin.controllers.runs import Runs
from sam2_plugins.napari_plugin.controllers.tracks import TracksDrawing
from sam2_plugins.napari_plugin.models.dock import DockModel


def _of_the_dock(name: str) -> Any:
    """Make an attribute of the dock's model available as one of the controller."""
    return property(
        lambda self: getattr(self.dock, name), lambda self, value: setattr(self.dock, name, value)
    )


_OLD_NAMES = {
    "close_work": "layers.close",
    "draw_tracks": "tracks.draw",
    "edited": "dock.painted",
    "fail": "dock.fail",
    "go_to_first": "dock.go_to_first",
    "length_of": "dock.length_of",
    "open_work": "layers.open",
    "outlines": "dock.outlines",
    "recalled": "projects.recalled",
    "shown_is_stale": "dock.shown_is_stale",
    "show": "dock.show",
}
"""Earlier names of attributes, which scripts still use."""


class Controller:
    """What the dock does, without Qt.

    No part refers to the controller: each is given what it needs.

    Parameters
    ----------
    viewer
        A `ViewerModel`.
    jobs
        Where long work runs.
    load_model
        Returns the chosen model; called in a worker.
    """

    images, axis, over = (_of_the_dock(name) for name in ("images", "axis", "over"))
    contrast, memory, model = (_of_the_dock(name) for name in ("contrast", "memory", "model"))
    features, load_model = (_of_the_dock(name) for name in ("features", "load_model"))
    work, line, frame, length = (_of_the_dock(name) for name in ("work", "line", "frame", "length"))
    objects, selected = (_of_the_dock(name) for name in ("objects", "selected"))
    excluding, one_per_click = (_of_the_dock(name) for name in ("excluding", "one_per_click"))
    all_objects, closed = (_of_the_dock(name) for name in ("all_objects", "closed"))

    def __init__(self, viewer: Any, jobs: Jobs, load_model: Callable[[], Sam2Model]) -> None:
        self.viewer, self.jobs = viewer, jobs
        self.dock = dock = DockModel(viewer, load_model)
        self.tracks = tracks = TracksDrawing(dock, jobs)
        self.layers = Images(dock)
        self.projects = Projects(dock, jobs, self.layers, tracks)
        self.prompting = Prompting(dock, jobs, self.projects.begin)
        self.editing = Objects(dock, self.prompting)
        self.divisions = Divisions(dock, self.prompting)
        self.edits = Edits(dock, self.prompting, tracks)
        self.review = Review(dock, jobs)
        self.offers = Offers(dock, self.prompting, self.editing)
        self.proposals = Proposals(dock, jobs, self.prompting)
        self.runs = Runs(dock, jobs, self.prompting, tracks)
        self.results = Results(dock, jobs, self.prompting)
        self._connect()
        self._name_for_scripts()

    def _connect(self) -> None:
        dock, layers = self.dock, self.layers
        dock.viewer.layers.events.removed.connect(self._on_layer_removed)
        dock.viewer.layers.selection.events.active.connect(layers.follow)
        layers.aim = self.editing.aim
        layers.drawn.connect(lambda: dock.attempt(self.prompting.sync))
        layers.painted.connect(self.prompting.on_painted)
        layers.closing.connect(self.runs.cancel)
        layers.closing.connect(self.projects.keep)
        dock.channels_changed.connect(self.results.forget)
        dock.image_changed.connect(self.proposals.dismiss)
        dock.image_changed.connect(lambda: dock.attempt(self.projects.bring_back))
        self.prompting.answered.connect(self.divisions.go_on)
        self.projects.unanswered.connect(lambda: dock.attempt(self.editing.go_on))

    def _name_for_scripts(self) -> None:
        dock = self.dock
        self.told, self.failed = dock.message, dock.failed
        self.objects_changed, self.masks_changed = dock.objects_changed, dock.masks_changed
        self.progressed = self.runs.progressed
        self.use, self.begin = self.layers.use, self.projects.begin
        self.outline = self.layers.outline
        self.select, self.exclude = dock.select, dock.exclude
        self.new_object, self.rename = self.editing.new, self.editing.rename
        self.delete, self.live = self.editing.delete, self.editing.live
        self.begin_here, self.end_here = self.editing.begin_here, self.editing.end_here
        self.clean = self.editing.clean
        self.undo, self.redo = self.edits.undo, self.edits.redo
        self.states, self.shown_states = self.review.states, self.review.shown_states
        self.go_to_doubtful, self.go_to_frame = self.review.go_to_doubtful, dock.go_to
        self.attempt, self.view = dock.attempt, dock.view

    if not TYPE_CHECKING:  # so that a mistyped name is still found

        def __getattr__(self, name: str) -> Any:
            if name not in _OLD_NAMES:
                raise AttributeError(f"A Controller has no {name}.")
            new = _OLD_NAMES[name]
            warn(f"Controller.{name} is Controller.{new} now.", DeprecationWarning, stacklevel=2)
            return attrgetter(new)(self)

    def close(self) -> None:
        """Let go of the viewer: stop the run, disconnect everything."""
        dock = self.dock
        if dock.closed:
            return
        dock.closed = True
        for signal in (
            dock.message,
            dock.failed,
            dock.objects_changed,
            dock.masks_changed,
            dock.painted,
            self.results.measured,
            self.projects.recalled,
            self.projects.unanswered,
            self.runs.progressed,
            self.proposals.changed,
            self.layers.wanted,
        ):
            signal.disconnect()
        dock.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        dock.viewer.layers.selection.events.active.disconnect(self.layers.follow)
        self.prompting.finish()
        for image in list(dock.works):
            self.layers.close(image)

    def _on_layer_removed(self, event: Any) -> None:
        self.proposals.leave(event.value)
        self.layers.leave(event.value)
