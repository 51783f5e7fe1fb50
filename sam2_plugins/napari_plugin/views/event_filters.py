"""Wheel and keys in the dock's fields, where those of the whole dock take precedence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QWidget


class QuietWheel(QObject):
    """Passes the wheel from combo boxes and number fields to the scroll area."""

    def watch(self, widget: QWidget) -> None:
        """Keep the wheel from all fields in a widget."""
        for kind in (QComboBox, QAbstractSpinBox):
            for field in widget.findChildren(kind):
                field.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Refuse the wheel: Qt offers it to the parent then."""
        if event is not None and event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)


class DockKeys(QObject):
    """Acts on keys that a table would otherwise use to search for a name.

    Fields in which one types are left alone.

    Parameters
    ----------
    keys
        As napari writes them ("Control-Shift-Z"), to what they do.
    """

    def __init__(self, keys: Mapping[str, Callable[[], object]], parent: QObject) -> None:
        super().__init__(parent)
        self._acts = {
            QKeySequence(key.replace("-", "+").replace("Control", "Ctrl")).toString(): act
            for key, act in keys.items()
        }

    def watch(self, widget: QWidget) -> None:
        """Listen in all parts of a widget in which one does not type."""
        for kind in (QAbstractButton, QAbstractItemView, QComboBox):
            for part in widget.findChildren(kind):
                if not (isinstance(part, QComboBox) and part.isEditable()):
                    part.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Act on a key that is one of ours."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            act = self._acts.get(QKeySequence(event.keyCombination()).toString())
            if act is not None:
                if not event.isAutoRepeat():  # held down; as in napari
                    act()
                return True
        return super().eventFilter(watched, event)
