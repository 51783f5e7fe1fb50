"""What was decided of cells while all were tracked, under the strip: accept, refuse, accept all."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from sam2_plugins.napari_plugin.controllers.controller import Controller


class OffersView(QWidget):
    """One decision at a time; hidden where there is none."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        offers = controller.offers
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.show_it = _button("Show", "Go to the frame, and select the cell", offers.show)
        self.accept = _button("Accept", "It is so; on to the next", offers.accept)
        self.refuse = _button("Refuse", "It is not so; on to the next", offers.refuse)
        self.accept_all = _button("Accept all", "All are so", offers.accept_all)
        row = QHBoxLayout()
        for button in (self.show_it, self.accept, self.refuse, self.accept_all):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addLayout(row)
        offers.changed.connect(self.refresh)
        controller.objects_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the first decision that is due."""
        due = self._controller.offers.due
        self.setVisible(bool(due))
        if due:
            more = f" ({len(due) - 1} more)" if len(due) > 1 else ""
            self.text.setText(self._controller.offers.text(due[0]) + more)


def _button(text: str, about: str, act: object) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(about)
    button.clicked.connect(act)
    return button
