"""A strip of all frames, coloured by how sure their masks are; a click shows a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from sam2_plugins.napari_plugin.models.frame_states import FrameState, Kind, worst_by_column

COLORS = {
    Kind.OUTSIDE: "transparent",
    Kind.UNKNOWN: "#4a4f5a",
    Kind.TRACKED: "#3fa46a",
    Kind.PROMPTED: "#4f9dff",
    Kind.LOST: "#9a7bd0",
    Kind.DOUBTFUL: "#ff9f43",
}
WORDS = {
    Kind.OUTSIDE: "before it begins, or after it ends",
    Kind.UNKNOWN: "not tracked yet",
    Kind.TRACKED: "tracked",
    Kind.PROMPTED: "prompted by you",
    Kind.LOST: "not in the frame",
    Kind.DOUBTFUL: "doubtful",
}


class FrameStrip(QWidget):
    """Emits `chosen` with the frame that was clicked."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._states: Sequence[FrameState] = ()
        self._frame = 0
        self._names: Mapping[int, str] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setToolTip("Frames, coloured by the state of their masks")

    def show_states(
        self, states: Sequence[FrameState], frame: int, names: Mapping[int, str] | None = None
    ) -> None:
        """Show frames, and mark the one that is shown; `names` of objects are for the tooltip."""
        self._names = names or {}
        if (states, frame) != (self._states, self._frame):
            self._states, self._frame = states, frame
            self.update()

    def sizeHint(self) -> QSize:
        """One line high."""
        return QSize(200, 18)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a cell a frame; of frames that share a pixel, the worst."""
        if not self._states:
            return
        painter = QPainter(self)
        cells = worst_by_column(self._states, min(len(self._states), self.width()))
        width = self.width() / len(cells)
        for column, kind in enumerate(cells):
            cell = QRectF(column * width, 2, max(width - (width > 4), 1.0), self.height() - 4)
            painter.fillRect(cell, QColor(COLORS[kind]))
        middle = (self._frame + 0.5) * self.width() / len(self._states)
        painter.fillRect(QRectF(middle - 1, 0, 2, self.height()), QColor("white"))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Show the clicked frame."""
        frame = self._frame_at(event)
        if frame is not None and event is not None and event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(frame)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Show the frame under the mouse in the tooltip."""
        frame = self._frame_at(event)
        if frame is not None and event is not None:
            state = self._states[frame]
            sure = "" if state.iou is None else f", predicted IoU {state.iou:.2f}"
            why = f": {', '.join(state.reasons)}" if state.reasons else ""
            who = self._names.get(state.label or 0, "")
            about = f"{who}{', ' if who else ''}{WORDS[state.kind]}{why}{sure}"
            QToolTip.showText(event.globalPosition().toPoint(), f"Frame {frame}: {about}", self)

    def _frame_at(self, event: QMouseEvent | None) -> int | None:
        if event is None or not self._states:
            return None
        frame = int(event.position().x() / self.width() * len(self._states))
        return min(max(frame, 0), len(self._states) - 1)
