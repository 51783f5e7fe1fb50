"""Buttons that pick the layer and its mode, so that a person need not know which is which."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from sam2_plugins.napari_plugin.controllers.controller import Controller


class ToolsView(QWidget):
    """Click, Box, Brush; Exclude; Labels as prompts; Undo."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.click = self._tool(
            "Click", "Click on the object; Ctrl-click on what is not of it; Shift-click adds"
        )
        self.box = self._tool(
            "Box", "Draw a box around the object; an ellipse or a polygon is its mask"
        )
        self.brush = self._tool(
            "Brush", "Paint the object's mask, or mend it (erase with label 0); it is kept as it is"
        )
        self._tools = QButtonGroup(self)
        first = QHBoxLayout()
        for button, pick in (
            (self.click, self.pick_click),
            (self.box, self.pick_box),
            (self.brush, self.pick_brush),
        ):
            self._tools.addButton(button)
            button.clicked.connect(lambda _, pick=pick: self._picked(pick))
            first.addWidget(button)
        self.exclude = self._tool("Exclude (Q)", "Clicks say what does not belong to the object")
        self.exclude.toggled.connect(controller.exclude)
        self.labels = QPushButton("From labels")
        self.labels.setToolTip("Take each label of a Labels layer on this frame for an object")
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._list_labels)
        self.labels.setMenu(self._menu)
        self.undo = QPushButton("Undo")
        self.undo.setToolTip("Take back the last change, whatever it is (Ctrl+Z)")
        self.undo.clicked.connect(controller.undo)
        self.redo = QPushButton("Redo")
        self.redo.setToolTip("Make the change again that was taken back (Ctrl+Shift+Z)")
        self.redo.clicked.connect(controller.redo)
        second = QHBoxLayout()
        for button in (self.exclude, self.labels, self.undo, self.redo):
            second.addWidget(button)
        self.one_per_click = QCheckBox("One cell per click")
        self.one_per_click.setToolTip(
            "A click well beside a new object begins another one, and a click on a mask selects "
            "its object; Shift-click always adds to the selected object"
        )
        self.one_per_click.setChecked(controller.one_per_click)
        self.one_per_click.toggled.connect(self._on_one_per_click)
        self.outlines = QCheckBox("Outlines")
        self.outlines.setToolTip("Draw masks as outlines, so that the cells under them are seen")
        self.outlines.toggled.connect(controller.outline)
        third = QHBoxLayout()
        third.addWidget(self.one_per_click)
        third.addWidget(self.outlines)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addLayout(second)
        layout.addLayout(third)

    def _on_one_per_click(self, on: bool) -> None:
        self._controller.one_per_click = on

    def pick_click(self) -> None:
        """Add points."""
        self._activate("points", "add")

    def pick_box(self) -> None:
        """Add rectangles."""
        self._activate("boxes", "add_rectangle")

    def pick_brush(self) -> None:
        """Paint."""
        self._activate("labels", "paint")

    def _activate(self, name: str, mode: str) -> None:
        controller = self._controller
        controller.begin()  # which may bring objects of an earlier session back
        if controller.selected is None:
            controller.new_object()
        else:
            controller.select(controller.selected)
        assert controller.work is not None
        layer: Any = getattr(controller.work.workspace, name)
        layer.visible = True
        controller.viewer.layers.selection.active = layer
        layer.mode = mode

    def _picked(self, pick: Any) -> None:
        if not self._controller.attempt(pick):
            self._tools.setExclusive(False)
            for button in self._tools.buttons():
                button.setChecked(False)
            self._tools.setExclusive(True)

    def _list_labels(self) -> None:
        """Offer the Labels layers that are not ours."""
        from napari.layers import Labels

        self._menu.clear()
        work = self._controller.work
        ours = work.workspace.labels if work else None
        others = [x for x in self._controller.viewer.layers if isinstance(x, Labels)]
        for layer in others:
            if layer is not ours:
                action = self._menu.addAction(layer.name)
                assert action is not None
                action.triggered.connect(lambda _=False, layer=layer: self._take(layer))
        if self._menu.isEmpty():
            nothing = self._menu.addAction("There is no other Labels layer")
            assert nothing is not None
            nothing.setEnabled(False)

    def _take(self, layer: Any) -> None:
        self._picked(lambda: self._controller.prompting.use_labels(layer))

    def _tool(self, text: str, about: str) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(True)
        button.setToolTip(about)
        return button
