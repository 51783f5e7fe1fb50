"""Draws the Tracks layer anew when masks have changed."""

from __future__ import annotations

from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.layers.lineage import Tracks, tracks_of
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.work import Work


class TracksDrawing:
    """Finds the objects' paths in a worker, because many masks take long."""

    def __init__(self, dock: DockModel, jobs: Jobs) -> None:
        self._dock = dock
        self._jobs = jobs
        self._wanted = 0

    def draw(self, work: Work) -> None:
        """Draw the objects' paths, and where they divide."""
        self._wanted += 1
        wanted = self._wanted

        def show(tracks: Tracks) -> None:
            if wanted == self._wanted and work in self._dock.works.values():
                work.workspace.show_tracks(tracks)

        self._jobs.call(
            lambda: tracks_of(work.store, work.lineage, list(work.names)), show, self._dock.fail
        )
