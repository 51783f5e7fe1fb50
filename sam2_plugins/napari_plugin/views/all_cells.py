"""All cells: proposals on a frame, and decisions of a run over all cells."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGroupBox, QLabel, QWidget
from superqt import QLabeledRangeSlider
from superqt.utils import signals_blocked

from sam2_plugins.napari_plugin.controllers.offers import Offers
from sam2_plugins.napari_plugin.controllers.proposals import Proposals
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.views.widgets import button, column, row


class ProposalsView(QWidget):
    """Propose all objects of the shown frame; sizes; make objects of them, or put them away."""

    def __init__(self, dock: DockModel, proposals: Proposals) -> None:
        super().__init__()
        self._proposals = proposals
        self._shown: object = None
        self.propose = button(
            "All cells of this frame",
            "Let the model propose every cell that is not an object yet",
            lambda: dock.attempt(proposals.propose),
        )
        self.sizes = QLabeledRangeSlider(Qt.Orientation.Horizontal)
        self.sizes.setEdgeLabelMode(QLabeledRangeSlider.EdgeLabelMode.NoLabel)
        self.sizes.setToolTip("Diameters of the cells that are accepted, in pixels")
        self.sizes.valueChanged.connect(lambda ends: proposals.set_sizes(ends[0], ends[1] + 0.999))
        self.accept = button(
            "",
            "Make an object of each, except of the red ones",
            lambda: dock.attempt(proposals.accept),
        )
        self.dismiss = button("Put away", "Make no objects of them", proposals.dismiss)
        self._choice = column(
            QWidget(),
            QLabel("Click on what is no cell. Diameters in pixels:"),
            self.sizes,
            row(self.accept, self.dismiss, wide=self.accept),
        )
        column(self, self.propose, self._choice)
        proposals.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the proposals."""
        proposals = self._proposals
        self._choice.setVisible(bool(proposals.masks))
        self.propose.setVisible(not proposals.masks)
        accepted = len(proposals.accepted)
        self.accept.setText(f"Accept {accepted} of {len(proposals.masks)}")
        self.accept.setEnabled(accepted > 0)
        if proposals.masks and proposals.masks is not self._shown:
            ends = [int(d) for d in proposals.diameters.values()]
            with signals_blocked(self.sizes):
                self.sizes.setRange(min(ends), max(ends) + 1)
                self.sizes.setValue((min(ends), max(ends) + 1))
        self._shown = proposals.masks


class OffersView(QGroupBox):
    """One decision at a time: accept, refuse, accept all; hidden where there is none."""

    def __init__(self, dock: DockModel, offers: Offers) -> None:
        super().__init__()
        self._offers = offers
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.show_it = button("Show", "Go to the frame, and select the cell", offers.show)
        self.accept = button("Accept", "The decision is right; show the next", offers.accept)
        self.refuse = button(
            "Refuse", "The decision is wrong: undo it", lambda: dock.attempt(offers.refuse)
        )
        self.accept_all = button("Accept all", "All decisions are right", offers.accept_all)
        buttons = row(self.show_it, self.accept, self.refuse, self.accept_all)
        column(self, self.text, buttons, margin=4)
        dock.objects_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the first open decision."""
        due = self._offers.due
        self.setVisible(bool(due))
        if due:
            self.setTitle(f"Decided by the run: {len(due)} to review")
            self.text.setText(self._offers.text(due[0]))
