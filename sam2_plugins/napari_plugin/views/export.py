"""Export formats, prompt files, and projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from sam2_plugins.core.export import FORMATS
from sam2_plugins.napari_plugin.controllers.projects import Projects
from sam2_plugins.napari_plugin.controllers.results import Results
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.export import KINDS
from sam2_plugins.napari_plugin.models.project_file import SUFFIX
from sam2_plugins.napari_plugin.views.widgets import button, column, combo, row


class ExportView(QWidget):
    """Formats of the core, prompts, and projects."""

    def __init__(self, dock: DockModel, results: Results, projects: Projects) -> None:
        super().__init__()
        self._dock = dock
        self._results = results
        self._projects = projects
        self.kind = combo("")
        for kind, title in KINDS.items():
            self.kind.addItem(title, kind)
        self.kind.setCurrentIndex(self.kind.findData("tiff"))  # what most other programs open
        self.export = button("Export …", "Write the objects into a folder", self._export)
        self.save = button(
            "Save prompts …", "All clicks, boxes and painted masks", self._save_prompts
        )
        self.load = button("Load prompts …", "Prompts of an earlier session", self._load_prompts)
        self.save_project = button(
            "Save project as …",
            "All work on this image, in a file that is kept up to date from then on",
            self._save_project,
        )
        self.open_project = button(
            "Open project …", "Work of an earlier session on this image", self._open_project
        )
        column(
            self,
            row(self.kind, self.export, wide=self.kind),
            row(self.save, self.load),
            row(self.save_project, self.open_project),
        )

    def _export(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results")
        kind = self.kind.currentData()
        if folder and self._may_replace(Path(folder) / FORMATS[kind]):
            self._results.export(kind, Path(folder))

    def _may_replace(self, path: Path) -> bool:
        if not path.exists():
            return True
        question = f"{path.name} is in this folder already. Replace it?"
        return QMessageBox.question(self, "Export", question) == QMessageBox.StandardButton.Yes

    def _save_prompts(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save prompts", "prompts.json", "*.json")
        self._with(path, self._results.save_prompts)

    def _load_prompts(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load prompts", "", "*.json")
        self._with(path, self._results.load_prompts)

    def _save_project(self) -> None:
        images = self._dock.images
        name = f"{images[0].name}{SUFFIX}" if images else SUFFIX
        path, _ = QFileDialog.getSaveFileName(self, "Save project as", name, f"*{SUFFIX}")
        whole = path and path.removesuffix(SUFFIX) + SUFFIX
        if whole == path or self._may_replace(Path(whole)):  # the dialog asked for its own path
            self._with(whole, self._projects.save_as)

    def _open_project(self) -> None:
        recovery = str(self._projects.places.recovery or "")
        path, _ = QFileDialog.getOpenFileName(self, "Open project", recovery, f"*{SUFFIX}")
        self._with(path, self._projects.open)

    def _with(self, path: str, act: Callable[[Path], None]) -> None:
        """Call an action with the chosen file, if there is one."""
        if path:
            self._dock.attempt(lambda: act(Path(path)))
