"""The table of measures, and a plot of one of them over the frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from qtpy.QtCore import QPointF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from sam2_plugins.napari_plugin._controller import Controller
from sam2_plugins.napari_plugin._measure import Row, quantities

_MARGIN = 6


class MeasureView(QWidget):
    """Measure; a quantity over the frames, all objects; the selected object's table; save."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._shown: tuple[object, ...] = ()
        self.measure = QPushButton("Measure")
        self.measure.setToolTip("Area, place, speed and brightness of every object on every frame")
        self.measure.clicked.connect(controller.results.measure)
        self.save = QPushButton("Save CSV …")
        self.save.clicked.connect(self._ask_and_save)
        self.quantity = QComboBox()
        self.quantity.setToolTip("What is plotted over the frames")
        self.quantity.setMinimumContentsLength(8)
        self.quantity.currentTextChanged.connect(self.redraw)
        self.plot = Plot()
        self.table = QTableWidget()
        self.table.setMinimumHeight(120)
        self.table.setMaximumHeight(200)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.cellDoubleClicked.connect(self._on_cell)
        row = QHBoxLayout()
        row.addWidget(self.measure)
        row.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        for part in (self.quantity, self.plot, self.table):
            layout.addWidget(part)
        controller.results.measured.connect(self._on_measured)
        self._on_measured()

    def redraw(self, *_: object) -> None:
        """Show the measures of the selected object, and mark the shown frame."""
        controller = self._controller
        rows, quantity = controller.results.measures, self.quantity.currentText()
        self.plot.show_lines(
            _lines(rows, quantity), controller.colors(), controller.selected, controller.frame
        )
        self._fill_table([row for row in rows if row["label"] == controller.selected])

    def _on_measured(self) -> None:
        chosen = self.quantity.currentText()
        names = quantities(self._controller.results.measures)
        self.quantity.clear()
        self.quantity.addItems(names)
        if chosen in names:
            self.quantity.setCurrentText(chosen)
        for part in (self.save, self.quantity, self.plot, self.table):
            part.setEnabled(bool(names))
        self.save.setToolTip("Save the table of all objects" if names else "Measure first.")
        self.redraw()

    def _fill_table(self, rows: Sequence[Row]) -> None:
        shown = (id(self._controller.results.measures), self._controller.selected, len(rows))
        if shown == self._shown:
            return
        self._shown = shown
        names = ["frame", *quantities(rows)] if rows else []
        self.table.setColumnCount(len(names))
        self.table.setHorizontalHeaderLabels(names)
        self.table.setRowCount(len(rows))
        for i, row in enumerate(rows):
            for j, name in enumerate(names):
                self.table.setItem(i, j, QTableWidgetItem(_text(row.get(name, ""))))
        self.table.verticalHeader().setVisible(False)
        self.table.resizeColumnsToContents()

    def _on_cell(self, row: int, _: int) -> None:
        item = self.table.item(row, 0)
        if item is not None:
            self._controller.go_to_frame(int(item.text()))

    def _ask_and_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the table", "cells.csv", "CSV (*.csv)")
        if path:
            self._controller.results.save_table(Path(path))


class Plot(QWidget):
    """Lines over frames, one an object; the selected one is thick."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: Mapping[int, Sequence[tuple[int, float]]] = {}
        self._colors: Mapping[int, tuple[float, float, float]] = {}
        self._selected: int | None = None
        self._frame = 0
        self.setMinimumHeight(90)

    def show_lines(
        self,
        lines: Mapping[int, Sequence[tuple[int, float]]],
        colors: Mapping[int, tuple[float, float, float]],
        selected: int | None,
        frame: int,
    ) -> None:
        """Show a line of (frame, value) for each label."""
        self._lines, self._colors = lines, colors
        self._selected, self._frame = selected, frame
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as the dock."""
        return QSize(200, 110)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the lines, the range of values and the shown frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor("#1b1e24"))
        values = [value for line in self._lines.values() for _, value in line]
        if not values:
            painter.setPen(QColor("#8a8f99"))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), "not measured yet")
            painter.end()
            return
        frames = [frame for line in self._lines.values() for frame, _ in line]
        low, high = min(values), max(values)
        first, last = min(frames), max(frames)

        def place(frame: float, value: float) -> QPointF:
            x = (frame - first) / max(last - first, 1)
            y = (value - low) / (high - low) if high > low else 0.5
            width, height = self.width() - 2 * _MARGIN, self.height() - 2 * _MARGIN
            return QPointF(_MARGIN + x * width, _MARGIN + (1 - y) * height)

        painter.setPen(QPen(QColor("#5a606b"), 1))
        painter.drawLine(place(self._frame, low), place(self._frame, high))
        for label, line in sorted(self._lines.items(), key=lambda one: one[0] == self._selected):
            color = QColor.fromRgbF(*self._colors.get(label, (0.8, 0.8, 0.8)))
            painter.setPen(QPen(color, 2.5 if label == self._selected else 1.0))
            painter.drawPolyline(QPolygonF([place(*point) for point in line]))
        painter.setPen(QColor("#c5c9d1"))
        rect = self.rect().adjusted(_MARGIN, 2, -_MARGIN, -2)
        painter.drawText(rect, int(Qt.AlignmentFlag.AlignTop), _text(high))
        painter.drawText(rect, int(Qt.AlignmentFlag.AlignBottom), _text(low))
        painter.end()


def _lines(rows: Sequence[Row], quantity: str) -> dict[int, list[tuple[int, float]]]:
    lines: dict[int, list[tuple[int, float]]] = {}
    for row in rows:
        value = row.get(quantity)
        if isinstance(value, (int, float)) and value == value:
            lines.setdefault(int(row["label"]), []).append((int(row["frame"]), float(value)))
    return lines


def _text(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
