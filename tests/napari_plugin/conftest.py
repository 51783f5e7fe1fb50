from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.plugins import _initialize_plugins

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.layers.workspace import Workspace
from sam2_plugins.napari_plugin.models.session import Session
from sam2_plugins.napari_plugin.models.work import Work
from tests.cli.conftest import moving_discs

LEFT, RIGHT = (40.0, 40.0), (60.0, 85.0)
"""Where the discs of `moving_discs` are on frame 0: (y, x)."""


class Later:
    """Work that waits until it is asked for, as work in a thread comes back later."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def call(self, work: Any, done: Any, failed: Any) -> None:
        def run() -> None:
            try:
                result = work()
            except Exception as error:
                failed(error)
            else:
                done(result)

        self._waiting.append(run)

    def stream(self, work: Any, each: Any, done: Any, failed: Any) -> Stoppable:
        stop = Stoppable()

        def run() -> None:
            steps: Generator[Any, None, None] = work()
            try:
                for step in steps:
                    each(step)
                    if stop.asked:
                        steps.close()
                        break
            except Exception as error:
                failed(error)
            else:
                done(stop.asked)

        self._waiting.append(run)
        return stop

    def run(self) -> None:
        """Do all that waits, and what comes of it."""
        while self._waiting:
            self._waiting.pop(0)()


class Stoppable:
    asked = False

    def stop(self) -> None:
        self.asked = True


@dataclass
class Desk:
    """A controller without Qt, and what it told."""

    viewer: ViewerModel
    controller: Controller
    jobs: Later
    told: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def work(self) -> Work:
        assert self.controller.work is not None
        return self.controller.work

    @property
    def space(self) -> Workspace:
        return self.work.workspace

    @property
    def session(self) -> Session:
        return self.work.session

    def click(self, y: float, x: float, exclude: bool = False) -> None:
        """Click where the viewer is, on the selected object, and wait for the mask."""
        if self.controller.work is None:
            self.controller.new_object()
        self.controller.exclude(exclude)
        self.space.points.add([*self.space.step, y, x])
        self.jobs.run()

    def box(self, y0: float, x0: float, y1: float, x1: float) -> None:
        """Draw a box around pixels, ends exclusive, on the selected object."""
        at = self.space.step
        corners = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
        self.space.boxes.add_rectangles(np.array([(*at, y - 0.5, x - 0.5) for y, x in corners]))
        self.jobs.run()

    def track(self, direction: Any = "forward", start: Any = None, stop: Any = None) -> None:
        self.controller.runs.start(direction, start, stop)
        self.jobs.run()

    def track_all(self, **stop: int) -> None:
        self.controller.runs.track_all(**stop)
        self.jobs.run()

    def paint(self, at: tuple[int, int, int], label: int) -> None:
        """Paint a spot on a frame, (frame, y, x), and wait until it is taken."""
        self.space.labels.paint(at, label)
        self.sync()

    def sync(self) -> None:
        self.controller.prompting.sync()
        self.jobs.run()

    def undo(self) -> None:
        self.controller.undo()
        self.jobs.run()

    def redo(self) -> None:
        self.controller.redo()
        self.jobs.run()

    def area(self, frame: int, label: int) -> int:
        mask = self.space.store.get((frame,), label)
        return 0 if mask is None else mask.area


Open: TypeAlias = Callable[[Path], Desk]


@pytest.fixture(scope="session")
def nano() -> Sam2Model:
    return cached_model("nano", device="cpu")


@pytest.fixture
def make_desk(nano: Sam2Model) -> Callable[..., Desk]:
    def make(data: Any, **options: Any) -> Desk:
        viewer = ViewerModel()
        layers = viewer.add_image(data, **{"name": "movie", **options})
        return _desk(viewer, layers if isinstance(layers, list) else [layers], nano)

    return make


@pytest.fixture
def open_movie(nano: Sam2Model) -> Open:
    """Open a file in a viewer of its own, as another napari would."""

    def make(path: Path) -> Desk:
        _initialize_plugins()
        viewer = ViewerModel()
        viewer.open(path, plugin="napari", layer_type="image")
        return _desk(viewer, [viewer.layers[0]], nano)

    return make


def _desk(viewer: ViewerModel, images: list[Any], nano: Sam2Model) -> Desk:
    jobs = Later()
    controller = Controller(viewer, jobs, lambda: nano)
    desk = Desk(viewer, controller, jobs)
    controller.told.connect(desk.told.append)
    controller.failed.connect(desk.failures.append)
    controller.use(images)
    if viewer.dims.ndim > 2:
        viewer.dims.set_point(0, 0)
    return desk


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """A time-lapse of two discs that move apart, 8 frames, in half micrometres."""
    return make_desk(moving_discs(8)[0], scale=(1, 0.5, 0.5))
