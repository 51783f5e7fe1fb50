"""Which format, where to, and prompts to a file and back."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from sam2_plugins.core.export import FORMATS
from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.models.export import KINDS
from sam2_plugins.napari_plugin.models.project_file import SUFFIX


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
        self.save_project = _button(
            "Save project as …",
            "All work on this image, in a file that is kept up to date from then on",
            self._ask_save_project,
        )
        self.open_project = _button(
            "Open project …", "Work of an earlier session on this image", self._ask_open_project
        )
        first = QHBoxLayout()
        first.addWidget(self.kind, 1)
        first.addWidget(self.export)
        second = QHBoxLayout()
        second.addWidget(self.save)
        second.addWidget(self.load)
        third = QHBoxLayout()
        third.addWidget(self.save_project)
        third.addWidget(self.open_project)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addLayout(second)
        layout.addLayout(third)

    def _ask_and_export(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results")
        kind = self.kind.currentData()
        if folder and self._may_replace(Path(folder) / FORMATS[kind]):
            self._controller.results.export(kind, Path(folder))

    def _may_replace(self, path: Path) -> bool:
        if not path.exists():
            return True
        question = f"{path.name} is in this folder already. Replace it?"
        return QMessageBox.question(self, "Export", question) == QMessageBox.StandardButton.Yes

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save prompts", "prompts.json", "*.json")
        if path:
            self._controller.results.save_prompts(Path(path))

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load prompts", "", "*.json")
        if path:
            self._controller.results.load_prompts(Path(path))

    def _ask_save_project(self) -> None:
        images = self._controller.images
        name = f"{images[0].name}{SUFFIX}" if images else SUFFIX
        path, _ = QFileDialog.getSaveFileName(self, "Save project as", name, f"*{SUFFIX}")
        if path:
            full = Path(path) if path.endswith(SUFFIX) else Path(path + SUFFIX)
            self._controller.attempt(lambda: self._controller.projects.save_as(full))

    def _ask_open_project(self) -> None:
        recovery = self._controller.projects.places.recovery
        path, _ = QFileDialog.getOpenFileName(
            self, "Open project", str(recovery or ""), f"*{SUFFIX}"
        )
        if path:
            self._controller.attempt(lambda: self._controller.projects.open(Path(path)))


def _button(text: str, about: str, act: object) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(about)
    button.clicked.connect(act)
    return button
