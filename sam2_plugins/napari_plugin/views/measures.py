"""The table of measures, and a plot of one of them over the frames."""

from __future__ import annotations

from pathlib import Path

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

from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.models.measures import Measures, title_of
from sam2_plugins.napari_plugin.views.plot import Lines, Plot


class MeasureView(QWidget):
    """Measure; a quantity over the frames, all objects; the selected object's table; save."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._drawn: tuple[object, ...] = ()
        self._shown: tuple[object, ...] = ()
        self.measure = QPushButton("Measure")
        self.measure.setToolTip("Area, place, speed and brightness of every object on every frame")
        self.measure.clicked.connect(controller.results.measure)
        self.save = QPushButton("Save CSV …")
        self.save.clicked.connect(self._ask_and_save)
        self.quantity = QComboBox()
        self.quantity.setToolTip("What is plotted over the frames")
        self.quantity.setMinimumContentsLength(8)
        self.quantity.currentIndexChanged.connect(self.redraw)
        self.plot = Plot(lambda: controller.viewer.theme)
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
        measures, quantity = controller.results.table, self.quantity.currentData()
        if (measures, quantity) != self._drawn:
            self._drawn = measures, quantity
            axis = f"time ({measures.unit})" if measures.unit else "frame"
            lines = measures.lines(quantity) if quantity else {}
            self.plot.show_lines(Lines(lines, title_of(quantity or ""), axis, measures.spacing))
        self.plot.mark(controller.selected, controller.frame)
        self._fill_table(measures, controller.selected)

    def _on_measured(self) -> None:
        chosen = self.quantity.currentData()
        names = self._controller.results.table.quantities
        self.quantity.clear()
        for name in names:
            self.quantity.addItem(title_of(name), name)
        self.quantity.setCurrentIndex(max(self.quantity.findData(chosen), 0))
        for part in (self.save, self.quantity, self.plot, self.table):
            part.setEnabled(bool(names))
        self.save.setToolTip("Save the table of all objects" if names else "Measure first.")
        self.redraw()

    def _fill_table(self, measures: Measures, label: int | None) -> None:
        if (measures, label) == self._shown:
            return
        self._shown = measures, label
        rows = measures.by_label.get(label or 0, ())
        names = ["frame", *measures.quantities] if rows else []
        self.table.setColumnCount(len(names))
        self.table.setHorizontalHeaderLabels([title_of(name) for name in names])
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


def _text(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
