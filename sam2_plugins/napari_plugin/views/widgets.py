"""Building blocks of the dock."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLayout, QPushButton, QVBoxLayout, QWidget


def button(text: str, about: str = "", act: Callable[[], object] | None = None) -> QPushButton:
    """Make a button, with a tooltip and what it does."""
    made = QPushButton(text)
    made.setToolTip(about)
    if act is not None:
        made.clicked.connect(lambda _=False: act())
    return made


def combo(about: str) -> QComboBox:
    """Make a list to choose from, which may be narrower than what is in it."""
    made = QComboBox()
    made.setToolTip(about)
    made.setMinimumContentsLength(8)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return made


def offer(choice: QComboBox, text: str, about: str) -> None:
    """Add what can be chosen, with a tooltip."""
    choice.addItem(text)
    choice.setItemData(choice.count() - 1, about, Qt.ItemDataRole.ToolTipRole)


def row(*parts: QWidget, wide: QWidget | None = None) -> QHBoxLayout:
    """Put widgets side by side; `wide` gets all the room that is left."""
    layout = QHBoxLayout()
    for part in parts:
        layout.addWidget(part, int(part is wide))
    return layout


def column(widget: QWidget, *parts: QWidget | QLayout | None, margin: int = 0) -> QWidget:
    """Put widgets and rows into a widget, one below the other; None is all the room left."""
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(4)
    for part in parts:
        if part is None:
            layout.addStretch()
        elif isinstance(part, QWidget):
            layout.addWidget(part)
        else:
            layout.addLayout(part)
    return widget
