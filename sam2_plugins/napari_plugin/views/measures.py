"""The table of measures, and a plot of one of them over the frames."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QTableWidget, QTableWidgetItem, QWidget

from sam2_plugins.napari_plugin.controllers.results import Results
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.measures import Measures, title_of
from sam2_plugins.napari_plugin.views.plot import Lines, Plot
from sam2_plugins.napari_plugin.views.widgets import button, column, combo, row


class MeasureView(QWidget):
    """Measure; a quantity over the frames, all objects; the selected object's table; save."""

    def __init__(self, dock: DockModel, results: Results) -> None:
        super().__init__()
        self._dock = dock
        self._results = results
        self._drawn: tuple[object, ...] = ()
        self._shown: tuple[object, ...] = ()
        self.measure = button(
            "Measure",
            "Area, place, speed and brightness of every object on every frame",
            results.measure,
        )
        self.save = button("Save CSV …", "", self._save_table)
        self.quantity = combo("What is plotted over the frames")
        self.quantity.currentIndexChanged.connect(self.redraw)
        self.plot = Plot(lambda: dock.viewer.theme)
        self.table = QTableWidget()
        self.table.setMinimumHeight(120)
        self.table.setMaximumHeight(200)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.cellDoubleClicked.connect(self._on_cell)
        column(self, row(self.measure, self.save), self.quantity, self.plot, self.table)
        results.measured.connect(self._on_measured)
        self._on_measured()

    def redraw(self, *_: object) -> None:
        """Show the measures of the selected object, and mark the shown frame."""
        dock, measures, quantity = self._dock, self._results.table, self.quantity.currentData()
        if (measures, quantity) != self._drawn:
            self._drawn = measures, quantity
            axis = f"time ({measures.unit})" if measures.unit else "frame"
            lines = measures.lines(quantity) if quantity else {}
            self.plot.show_lines(Lines(lines, title_of(quantity or ""), axis, measures.spacing))
        self.plot.mark(dock.selected, dock.frame)
        self._fill_table(measures, dock.selected)

    def _on_measured(self) -> None:
        chosen = self.quantity.currentData()
        names = self._results.table.quantities
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
        for i, measured in enumerate(rows):
            for j, name in enumerate(names):
                self.table.setItem(i, j, QTableWidgetItem(_text(measured.get(name, ""))))
        self.table.verticalHeader().setVisible(False)
        self.table.resizeColumnsToContents()

    def _on_cell(self, cell_row: int, _: int) -> None:
        item = self.table.item(cell_row, 0)
        if item is not None:
            self._dock.go_to(int(item.text()))

    def _save_table(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the table", "cells.csv", "CSV (*.csv)")
        if path:
            self._results.save_table(Path(path))


def _text(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
