"""Divisions: a mother ends, and two daughters begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_plugins.napari_plugin._store import Change
from sam2_plugins.napari_plugin._work import Work

if TYPE_CHECKING:
    from sam2_plugins.napari_plugin._controller import Controller


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
        if work is None or line is None or mother is None:
            control.failed.emit("Select the mother first: the cell that divides.")
            return
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
        ended = work.session.ends.get(mother)
        work.session.ends[mother] = frame - 1
        change: Change = {
            (index, mother): workspace.store.put(index, mother, None)
            for index in workspace.store.indices(mother)
            if (at := line.frame(index)) is not None and at >= frame
        }
        name = workspace.names[mother]
        daughters = [control.new_object(f"{name}.{n}") for n in (1, 2)]
        for daughter in daughters:
            workspace.lineage.add(mother, daughter)
        work.undo.append(lambda: self._join(work, mother, daughters, ended, change))
        self._due = daughters[1:]
        control.select(daughters[0])
        control.show(work)
        control.told.emit(f"{name} ends here. Click its first daughter, then the second.")

    def _join(
        self, work: Work, mother: int, daughters: list[int], ended: int | None, change: Change
    ) -> str:
        """Take a division back."""
        control = self._controller
        for daughter in daughters:
            work.workspace.erase(daughter)
            work.workspace.lineage.remove(daughter)
            work.workspace.names.pop(daughter, None)
            work.session.remove(daughter)
        if ended is None:
            work.session.ends.pop(mother, None)
        else:
            work.session.ends[mother] = ended
        work.workspace.store.swap(change)
        self._due = []
        control.select(mother)
        return "The division is taken back."

    def go_on(self, told: set[int]) -> None:
        """After a click on one daughter: the next click means the other."""
        if self._due and self._controller.selected in told:
            self._controller.select(self._due.pop(0))
            self._controller.told.emit("Now click the other daughter.")
