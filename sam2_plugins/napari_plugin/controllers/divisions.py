"""Divisions: a mother ends, and two daughters begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.models.session import free_label

if TYPE_CHECKING:
    from sam2_plugins.napari_plugin.controllers.controller import Controller


class Divisions:
    """Marks divisions, and waits for the clicks on the daughters."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._due: list[int] = []

    def divide(self) -> None:
        """Say that the selected cell has divided: on this frame there are two daughters."""
        control = self._controller
        work, line = control.work, control.line
        mother = control.selected
        if work is None or line is None or mother not in control.objects:
            control.failed.emit("Select the mother first: the cell that divides.")
            return
        assert mother is not None
        frame, workspace = control.frame, work.workspace
        if not any(
            line.frame(index) is not None and index[control.axis or 0] < frame
            for index in workspace.store.indices(mother)
        ):
            control.failed.emit(
                f"{workspace.names[mother]} is on no frame before this one. Go to the first frame "
                "that shows two cells, and select the mother."
            )
            return
        life = work.session.lives.get(mother, Life())
        change = control.bound(work, line, mother, Life(life.first, frame - 1))
        name = workspace.names[mother]
        daughters: list[int] = []
        for n in (1, 2):
            daughter = free_label(workspace.names)
            workspace.names[daughter] = f"{name}.{n}"
            workspace.lineage.add(mother, daughter)
            work.session.lives[daughter] = Life(frame, None)
            daughters.append(daughter)
        work.history.record("division", change)
        self._due = daughters[1:]
        control.select(daughters[0])
        control.show(work)
        control.objects_changed.emit()
        control.told.emit(f"{name} ends here. Click its first daughter, then the second.")
        control.prompting.sync(replaying=True)

    @property
    def due(self) -> bool:
        """Whether a daughter is to be clicked on."""
        return bool(self._due)

    def forget(self) -> None:
        """Wait for no daughter any more."""
        self._due = []

    def go_on(self, told: set[int]) -> None:
        """After a click on one daughter: the next click means the other."""
        if self._due and self._controller.selected in told:
            self._controller.select(self._due.pop(0))
            self._controller.told.emit("Now click the other daughter.")
