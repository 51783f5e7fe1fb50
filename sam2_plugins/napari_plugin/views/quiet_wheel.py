"""The wheel scrolls the dock, and changes no field that happens to lie under the mouse."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QWidget


class QuietWheel(QObject):
    """Hands the wheel on from combo boxes and number fields to what scrolls."""

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
