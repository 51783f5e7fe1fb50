"""Which format, where to, and prompts to a file and back."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from sam2_plugins.napari_plugin._controller import Controller
from sam2_plugins.napari_plugin._export import KINDS


class ExportView(QWidget):
    """Formats of the core, and prompts."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.kind = QComboBox()
        for kind, title in KINDS.items():
            self.kind.addItem(title, kind)
        self.kind.setMinimumContentsLength(8)
        self.export = _button("Export …", "Write the objects into a folder", self._ask_and_export)
        self.save = _button("Save prompts …", "All clicks, boxes and painted masks", self._ask_save)
        self.load = _button("Load prompts …", "Prompts of an earlier session", self._ask_load)
        first = QHBoxLayout()
        first.addWidget(self.kind, 1)
        first.addWidget(self.export)
        second = QHBoxLayout()
        second.addWidget(self.save)
        second.addWidget(self.load)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addLayout(second)

    def _ask_and_export(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results")
        if folder:
            self._controller.results.export(self.kind.currentData(), Path(folder))

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save prompts", "prompts.json", "*.json")
        if path:
            self._controller.results.save_prompts(Path(path))

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load prompts", "", "*.json")
        if path:
            self._controller.results.load_prompts(Path(path))


def _button(text: str, about: str, act: object) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(about)
    button.clicked.connect(act)
    return button
