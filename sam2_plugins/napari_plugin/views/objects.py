"""The tree of objects: mothers over daughters, with prompts, frames and IoU."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QHeaderView, QMenu, QTreeWidget, QTreeWidgetItem, QWidget

from sam2_plugins.napari_plugin.controllers.divisions import Divisions
from sam2_plugins.napari_plugin.controllers.objects import Objects
from sam2_plugins.napari_plugin.layers.colors import color_of
from sam2_plugins.napari_plugin.layers.mask_store import MaskStore
from sam2_plugins.napari_plugin.models.cleanup import CLEANERS
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.work import Work
from sam2_plugins.napari_plugin.views.widgets import button, column, row

_LABEL = Qt.ItemDataRole.UserRole
_COLUMNS = ("Object", "Prompts", "Frames", "IoU")
_ABOUT_COLUMNS = (
    "",
    "Clicks, boxes and painted masks",
    "Frames with a mask",
    "Mean IoU that the model predicts for its masks: 1 is best",
)
_DIVIDE = "On the first frame with two cells: the selected cell ends, its daughters begin"
_BEGINS = "The selected object enters on this frame: no run tracks it to earlier ones"
_ENDS = "The selected object leaves after this frame: no run tracks it to later ones"
_CLEAN = "Clean up the selected object's masks; Undo restores them"
_DELETE = "Remove the selected object, its masks and prompts"


class ObjectsView(QWidget):
    """Tree, and the buttons New, Divide, Delete."""

    def __init__(self, dock: DockModel, objects: Objects, divisions: Divisions) -> None:
        super().__init__()
        self._dock = dock
        self._objects = objects
        self._filling = False
        self._fared: dict[tuple[MaskStore, int], _Fared] = {}
        self._family: list[tuple[int, int | None]] = []
        self._items: dict[int, QTreeWidgetItem] = {}
        self.tree = QTreeWidget()
        self.tree.setColumnCount(len(_COLUMNS))
        self.tree.setHeaderLabels(list(_COLUMNS))
        self.tree.setIndentation(12)  # the names of daughters need the room
        self.tree.setMinimumHeight(96)
        self.tree.setMaximumHeight(220)
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for i in range(1, len(_COLUMNS)):
            header.setSectionResizeMode(i, QHeaderView.ResizeMode.Interactive)
            self.tree.resizeColumnToContents(i)
            self.tree.headerItem().setToolTip(i, _ABOUT_COLUMNS[i])
        self.tree.setToolTip("Double-click: show the object's first frame. F2: another name.")
        self.tree.currentItemChanged.connect(self._on_current)
        self.tree.itemDoubleClicked.connect(self._on_double_click)
        self.tree.itemChanged.connect(self._on_renamed)
        self.new = button(
            "New (N)",
            "Begin another object: click on it in the image",
            lambda: dock.attempt(objects.new),
        )
        self.divide = button("Divide (U)", "", lambda: dock.attempt(divisions.divide))
        self.delete = button("Delete", "", self._on_delete)
        self.begins = button("Begins here", "", lambda: dock.attempt(objects.begin_here))
        self.ends = button("Ends here", "", lambda: dock.attempt(objects.end_here))
        self.clean = button("Clean up")
        self.clean.setMenu(self._cleaners())
        column(
            self,
            self.tree,
            row(self.new, self.divide, self.delete),
            row(self.begins, self.ends, self.clean),
        )
        dock.objects_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the objects as they are."""
        work = self._dock.work
        self._filling = True
        try:
            if work is None:
                self.tree.clear()
                self._items.clear()
            else:
                self._show(work)
            current = self._items.get(self._dock.selected or 0)
            if current is not None:
                self.tree.setCurrentItem(current)
        finally:
            self._filling = False
        selected = self._dock.selected is not None
        for each, about in (
            (self.divide, _DIVIDE),
            (self.delete, _DELETE),
            (self.begins, _BEGINS),
            (self.ends, _ENDS),
            (self.clean, _CLEAN),
        ):
            each.setEnabled(selected)
            each.setToolTip(about if selected else "There is no object yet: click on one.")

    def _show(self, work: Work) -> None:
        """Rebuild the tree only if objects were added, removed or divided."""
        mothers = work.lineage.mothers
        family = [(label, mothers.get(label)) for label in work.names]
        if family != self._family or not self._items:
            self._family = family
            self._items.clear()
            self.tree.clear()
            for label, _ in family:
                self._add(work, label)
            self.tree.expandAll()
        line = self._dock.line
        prompts = work.session.prompts.along(line) if line else {}
        counts = Counter(label for (_, label), of_object in prompts.items() for _ in of_object)
        changed = False
        for label, item in self._items.items():
            for i, text in enumerate(self._row(work, label, counts[label])):
                if item.text(i) != text:
                    item.setText(i, text)
                    changed = True
        # Once: a header that fits itself looks at all rows again for every text.
        for i in range(1, len(_COLUMNS)) if changed else ():
            self.tree.resizeColumnToContents(i)
            self.tree.headerItem().setToolTip(i, _ABOUT_COLUMNS[i])

    def _add(self, work: Work, label: int) -> QTreeWidgetItem:
        if label in self._items:
            return self._items[label]
        mother = work.lineage.mothers.get(label)
        above = self._add(work, mother) if mother in work.names else None
        item = QTreeWidgetItem()
        item.setData(0, _LABEL, label)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        swatch = QPixmap(12, 12)
        swatch.fill(QColor.fromRgbF(*(float(n) for n in color_of(label)[:3])))
        item.setIcon(0, QIcon(swatch))
        for i in range(1, len(_COLUMNS)):
            item.setTextAlignment(i, int(Qt.AlignmentFlag.AlignRight))
        self._items[label] = item
        if above is None:
            self.tree.addTopLevelItem(item)
        else:
            above.addChild(item)
        return item

    def _row(self, work: Work, label: int, prompts: int) -> list[str]:
        """Name, prompts, frames, mean predicted IoU; computed again only if a mask has changed."""
        store = work.store
        fared = self._fared.get((store, label))
        if fared is None or fared.version != store.version(label):
            fared = self._fared[store, label] = _Fared.of(store, label)
        mean = "" if fared.iou is None else f"{fared.iou:.2f}"
        return [work.names[label], str(prompts or ""), str(fared.frames or ""), mean]

    def _on_current(self, item: QTreeWidgetItem | None, _: Any) -> None:
        if item is not None and not self._filling:
            self._dock.select(int(item.data(0, _LABEL)))

    def _on_double_click(self, item: QTreeWidgetItem, column: int) -> None:
        if column:
            self._dock.go_to_first(int(item.data(0, _LABEL)))

    def _on_renamed(self, item: QTreeWidgetItem, column: int) -> None:
        if not self._filling and column == 0:
            self._objects.rename(int(item.data(0, _LABEL)), item.text(0))

    def _cleaners(self) -> QMenu:
        menu = QMenu(self)
        for title, everywhere in (("On this frame", False), ("On all frames", True)):
            menu.addSection(title)
            for kind in CLEANERS:
                action = menu.addAction(kind if not everywhere else f"{kind}, all frames")
                assert action is not None
                action.triggered.connect(partial(self._clean, kind, everywhere))
        return menu

    def _clean(self, kind: str, everywhere: bool, *_: object) -> None:
        self._dock.attempt(lambda: self._objects.clean(kind, everywhere))

    def _on_delete(self) -> None:
        if self._dock.selected is not None:
            self._objects.delete(self._dock.selected)


@dataclass(frozen=True)
class _Fared:
    """Frames on which an object is seen, and the mean of the IoU predicted there."""

    version: int
    frames: int
    iou: float | None

    @classmethod
    def of(cls, store: MaskStore, label: int) -> _Fared:
        version = store.version(label)
        masks = [store.get(index, label) for index in store.frames_of(label)]
        seen = [mask for mask in masks if mask is not None and mask.visible]
        sure = [mask.iou for mask in seen if mask.iou == mask.iou]
        return cls(version, len(seen), sum(sure) / len(sure) if sure else None)
