"""All cells: a button, then a slider of sizes and what to do with what was proposed."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QLabeledRangeSlider
from superqt.utils import signals_blocked

from sam2_plugins.napari_plugin.controllers.controller import Controller


class ProposalsView(QWidget):
    """Propose all objects of the shown frame; sizes; make objects of them, or put them away."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._shown: object = None
        proposals = controller.proposals
        self.propose = QPushButton("All cells of this frame")
        self.propose.setToolTip("Let the model propose every cell that is not an object yet")
        self.propose.clicked.connect(lambda: controller.attempt(proposals.propose))
        self.sizes = QLabeledRangeSlider(Qt.Orientation.Horizontal)
        self.sizes.setToolTip("Diameters of the cells that are accepted, in pixels")
        self.sizes.valueChanged.connect(lambda ends: proposals.set_sizes(ends[0], ends[1] + 0.999))
        self.accept = QPushButton()
        self.accept.setToolTip("Make an object of each; those that are red are left out")
        self.accept.clicked.connect(lambda: controller.attempt(proposals.accept))
        self.dismiss = QPushButton("Put away")
        self.dismiss.setToolTip("Make no objects of them")
        self.dismiss.clicked.connect(proposals.dismiss)
        self._choice = QWidget()
        choice = QVBoxLayout(self._choice)
        row = QHBoxLayout()
        row.addWidget(self.accept, 1)
        row.addWidget(self.dismiss)
        choice.addWidget(QLabel("Click on those that are none. Sizes:"))
        choice.addWidget(self.sizes)
        choice.addLayout(row)
        layout = QVBoxLayout(self)
        for one in (choice, layout):
            one.setContentsMargins(0, 0, 0, 0)
            one.setSpacing(4)
        layout.addWidget(self.propose)
        layout.addWidget(self._choice)
        proposals.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is proposed."""
        proposals = self._controller.proposals
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
