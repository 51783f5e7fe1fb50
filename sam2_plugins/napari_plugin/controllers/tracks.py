"""Draws the Tracks layer anew when masks have changed."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

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
        self._drawn: WeakKeyDictionary[Work, tuple[Any, ...]] = WeakKeyDictionary()
        dock.objects_changed.connect(self._follow)

    def draw(self, work: Work) -> None:
        """Draw the objects' paths, and where they divide."""
        self._wanted += 1
        wanted = self._wanted
        self._drawn[work] = _fates(work)

        def show(tracks: Tracks) -> None:
            if wanted == self._wanted and work in self._dock.works.values():
                work.workspace.show_tracks(tracks)

        self._jobs.call(
            lambda: tracks_of(work.store, work.lineage, list(work.names)), show, self._dock.fail
        )

    def _follow(self) -> None:
        """Draw anew when one is gone, ends or divides; what comes is drawn after its run."""
        work = self._dock.work
        if work is None or self._dock.running or work not in self._drawn:
            return
        (names, *then), (now_there, *now) = self._drawn[work], _fates(work)
        if (names - now_there or then != now) and work.workspace.tracks in work.workspace.layers():
            self.draw(work)


def _fates(work: Work) -> tuple[Any, ...]:
    return set(work.names), dict(work.lineage.mothers), dict(work.session.lives)
