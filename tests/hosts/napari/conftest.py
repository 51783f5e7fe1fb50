"""A real napari window on a virtual screen, used with mouse and keys as a person does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.views.dock import Sam2Widget
from sam2_plugins.napari_plugin.views.image_form import SETTINGS
from tests.cli.conftest import moving_discs

PATIENCE_MS = 120_000
"""For a busy machine; nothing waits longer than it has to."""


@dataclass
class Bench:
    """A viewer with the dock, and a person's hands."""

    viewer: Any
    widget: Sam2Widget
    qtbot: Any

    @property
    def controller(self) -> Controller:
        return self.widget.controller

    @property
    def canvas(self) -> QWidget:
        (canvas,) = (
            widget
            for widget in QApplication.allWidgets()
            if type(widget).__name__.startswith("CanvasBackend") and widget.isVisible()
        )
        return canvas

    def until(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=PATIENCE_MS)

    def rest(self) -> None:
        """Wait until nothing is told, tracked or written any more."""
        self.until(lambda: not self.widget.jobs.busy)

    def place(self, y: float, x: float) -> QPoint:
        """Where a pixel of the image is on the canvas."""
        image = self.controller.images[0]
        index = (*[0] * (image.ndim - 2), y, x)
        world = np.asarray(image.data_to_world(index))[-2:]
        middle = np.asarray(self.viewer.camera.center)[-2:]
        dy, dx = (world - middle) * self.viewer.camera.zoom
        return QPoint(round(self.canvas.width() / 2 + dx), round(self.canvas.height() / 2 + dy))

    def click(self, y: float, x: float, *, control: bool = False) -> None:
        """Click on a pixel, and wait for the answer."""
        keys = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier
        place = self.place(y, x)
        QTest.mouseMove(self.canvas, place)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, keys, place)
        self.rest()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at one pixel, and let go at another."""
        ends = self.place(*start), self.place(*end)
        middle = QPoint((ends[0].x() + ends[1].x()) // 2, (ends[0].y() + ends[1].y()) // 2)
        QTest.mouseMove(self.canvas, ends[0])
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, pos=ends[0])
        for place in (middle, ends[1]):
            QTest.mouseMove(self.canvas, place)
            QApplication.processEvents()
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, pos=ends[1])
        QApplication.processEvents()

    def press(self, button: QWidget) -> None:
        assert button.isEnabled(), button.toolTip()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def key(self, key: Any, shift: bool = False) -> None:
        """Press a key with the mouse over the canvas."""
        self.canvas.setFocus()
        keys = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.canvas, key, keys)

    def show_frame(self, frame: int) -> None:
        self.viewer.dims.set_point(0, frame * self.controller.images[0].scale[0])

    def mask(self, frame: int, label: int) -> ObjectMask | None:
        work = self.controller.work
        return None if work is None else work.workspace.store.get((frame,), label)

    def iou(self, frame: int, label: int, truth: np.ndarray) -> float:
        mask = self.mask(frame, label)
        found = np.zeros(truth.shape, bool) if mask is None else mask.to_array()
        return float((found & truth).sum() / (found | truth).sum())


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that a person has chosen counts in tests, and theirs is left alone."""
    from qtpy.QtCore import QSettings

    folder = str(tmp_path_factory.mktemp("settings"))
    QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, folder)
    assert not QSettings(*SETTINGS).contains("model")


@pytest.fixture
def make_bench(make_napari_viewer_proxy: Any, qtbot: Any) -> Callable[..., Bench]:
    """Open napari with a movie and the dock. The proxy refuses what is not public of napari."""

    def make(data: Any, **options: Any) -> Bench:
        viewer = make_napari_viewer_proxy(show=True)
        viewer.window.resize(1400, 900)
        viewer.add_image(data, **{"name": "movie", "contrast_limits": (0, 255), **options})
        _, widget = viewer.window.add_plugin_dock_widget("sam2-plugins", "SAM 2")
        if viewer.layers[0].ndim > 2:
            viewer.dims.set_point(0, 0)
        bench = Bench(viewer, widget, qtbot)
        bench.until(lambda: bench.canvas.width() > 300)
        QApplication.processEvents()
        viewer.reset_view()
        return bench

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """Two discs that move apart, 12 frames, in half micrometres."""
    units = ("s", "um", "um")
    return make_bench(moving_discs(12)[0], scale=(2, 0.5, 0.5), translate=(0, 7, 3), units=units)
