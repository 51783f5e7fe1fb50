"""Divisions: a mother ends, and two daughters begin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.work import Work


class Divisions:
    """Marks divisions; the next clicks then prompt the daughters."""

    def __init__(self, dock: DockModel, prompting: Prompting) -> None:
        self._dock = dock
        self._prompting = prompting

    def divide(self) -> None:
        """Divide the selected cell: on this frame there are two daughters.

        The division of one that has divided already is moved here.
        """
        dock, mother = self._dock, self._dock.selected
        if dock.here is None or mother is None or mother not in dock.objects:
            dock.failed.emit("Select the mother first: the cell that divides.")
            return
        (_, line), frame = dock.here, dock.frame  # as they are now; the person may go on
        self._prompting.change(
            mother, lambda work, name: self._divide(work, line, mother, name, frame)
        )

    def _divide(self, work: Work, line: Line, mother: int, name: str, here: int) -> None:
        dock = self._dock
        earlier = (line.frame(index) for index in work.store.frames_of(mother))
        if not any(frame is not None and frame < here for frame in earlier):
            dock.failed.emit(
                f"{name} is on no frame before this one. Go to the first frame that shows two "
                "cells, and select the mother."
            )
            return
        lives, daughters = work.session.lives, work.daughters(mother)
        if len(daughters) > 1 and {lives.get(d, Life()).first for d in daughters} == {here}:
            dock.message.emit(f"{name} divides here already.")
            return
        change = work.bound(line, mother, Life(lives.get(mother, Life()).first, here - 1))
        for daughter in daughters:
            last = lives.get(daughter, Life()).last
            change |= work.bound(line, daughter, Life(here, last))
        names = (f"{name}.{n}" for n in count(1))
        free = (one for one in names if one not in work.names.values())
        for _ in range(2 - len(daughters)):
            daughters.append(work.add(next(free)))
            work.lineage.add(mother, daughters[-1])
            lives[daughters[-1]] = Life(here, None)
        work.history.record("division", change)
        dock.daughters = [label for label in daughters if not work.store.frames_of(label)]
        if dock.daughters:
            which = "its first daughter, then the second" if dock.daughters[1:] else "its daughter"
            dock.select(dock.daughters.pop(0))
            dock.message.emit(f"{name} ends here. Click {which}.")
        else:
            dock.message.emit(f"{name} divides here now.")
        dock.show(work)
        self._prompting.sync(replaying=True)

    def go_on(self, labels: Sequence[int]) -> None:
        """After a click on one daughter, select the other for the next click."""
        dock = self._dock
        dock.daughters = [label for label in dock.daughters if label in dock.objects]
        if dock.daughters and dock.selected in labels:
            dock.select(dock.daughters.pop(0))
            dock.message.emit("Now click the other daughter.")
