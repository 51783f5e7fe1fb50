"""What was decided of cells while all were tracked, under the strip: accept, refuse, accept all."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QWidget

from sam2_plugins.napari_plugin.controllers.offers import Offers
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.views.widgets import button, column, row


class OffersView(QWidget):
    """One decision at a time; hidden where there is none."""

    def __init__(self, dock: DockModel, offers: Offers) -> None:
        super().__init__()
        self._offers = offers
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.show_it = button("Show", "Go to the frame, and select the cell", offers.show)
        self.accept = button("Accept", "It is so; on to the next", offers.accept)
        self.refuse = button("Refuse", "It is not so; on to the next", offers.refuse)
        self.accept_all = button("Accept all", "All are so", offers.accept_all)
        column(self, self.text, row(self.show_it, self.accept, self.refuse, self.accept_all))
        offers.changed.connect(self.refresh)
        dock.objects_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the first decision that is due."""
        due = self._offers.due
        self.setVisible(bool(due))
        if due:
            more = f" ({len(due) - 1} more)" if len(due) > 1 else ""
            self.text.setText(self._offers.text(due[0]) + more)
