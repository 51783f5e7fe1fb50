"""Buttons that choose the layer and its mode for drawing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QButtonGroup, QCheckBox, QMenu, QPushButton, QWidget

from sam2_plugins.napari_plugin.controllers.edits import Edits
from sam2_plugins.napari_plugin.controllers.images import Images
from sam2_plugins.napari_plugin.controllers.objects import Objects
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.views.widgets import button, column, row

_CLICK = "Click on the object; Ctrl-click on what does not belong to it; Shift-click adds"
_BOX = "Draw a box around the object; an ellipse or a polygon is its mask"
_BRUSH = "Paint the object's mask, or correct it (erase with label 0); no run replaces it"


class ToolsView(QWidget):
    """Click, Box, Brush; Exclude; Labels as prompts; Undo."""

    def __init__(
        self, dock: DockModel, images: Images, objects: Objects, prompting: Prompting, edits: Edits
    ) -> None:
        super().__init__()
        self._dock = dock
        self._objects = objects
        self._prompting = prompting
        self._tools = QButtonGroup(self)
        self.click = self._tool("Click", _CLICK, "points", "add")
        self.box = self._tool("Box", _BOX, "boxes", "add_rectangle")
        self.brush = self._tool("Brush", _BRUSH, "labels", "paint")
        self.exclude = button("Exclude (Q)", "Clicks mark what does not belong to the object")
        self.exclude.setCheckable(True)
        self.exclude.toggled.connect(dock.exclude)
        self.labels = button(
            "From labels", "Make each label of a Labels layer on this frame an object"
        )
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._list_labels)
        self.labels.setMenu(self._menu)
        self.undo = button("Undo", "Undo the last change (Ctrl+Z)", edits.undo)
        self.redo = button("Redo", "Redo the change that was undone (Ctrl+Shift+Z)", edits.redo)
        self.one_per_click = QCheckBox("One cell per click")
        self.one_per_click.setToolTip(
            "A click well beside a new object begins another one, and a click on a mask selects "
            "its object; Shift-click always adds to the selected object"
        )
        self.one_per_click.setChecked(dock.one_per_click)
        self.one_per_click.toggled.connect(lambda on: setattr(dock, "one_per_click", on))
        self.outlines = QCheckBox("Outlines")
        self.outlines.setToolTip("Draw masks as outlines, so that the cells under them are seen")
        self.outlines.toggled.connect(images.outline)
        dock.image_changed.connect(self._put_down)
        column(
            self,
            row(self.click, self.box, self.brush),
            row(self.exclude, self.labels, self.undo, self.redo),
            row(self.one_per_click, self.outlines),
        )

    def _tool(self, text: str, about: str, layer: str, mode: str) -> QPushButton:
        tool = button(text, about, lambda: self._pick(lambda: self._activate(layer, mode)))
        tool.setCheckable(True)
        self._tools.addButton(tool)
        return tool

    def _activate(self, name: str, mode: str) -> None:
        """Let the mouse draw in one of the layers."""
        layer: Any = self._objects.ensure(name == "points").workspace.layer_to_draw_in(name)
        self._dock.viewer.layers.selection.active = layer
        layer.mode = mode

    def _pick(self, act: Callable[[], object]) -> None:
        """Activate a tool; if that fails, none is picked."""
        if not self._dock.attempt(act):
            self._put_down()

    def _put_down(self) -> None:
        """Pick no tool."""
        self._tools.setExclusive(False)
        for tool in self._tools.buttons():
            tool.setChecked(False)
        self._tools.setExclusive(True)

    def _list_labels(self) -> None:
        """Offer the Labels layers that are not ours."""
        from napari.layers import Labels

        self._menu.clear()
        work = self._dock.work
        ours = work.workspace.labels if work else None
        for layer in self._dock.viewer.layers:
            if isinstance(layer, Labels) and layer is not ours:
                action = self._menu.addAction(layer.name)
                assert action is not None
                action.triggered.connect(lambda _=False, layer=layer: self._take(layer))
        if self._menu.isEmpty():
            nothing = self._menu.addAction("There is no other Labels layer")
            assert nothing is not None
            nothing.setEnabled(False)

    def _take(self, layer: Any) -> None:
        self._pick(lambda: self._prompting.use_labels(layer))
