"""Decisions of a run over all cells, which a person accepts or refuses one by one."""

from __future__ import annotations

from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.controllers.objects import Objects
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Change
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.requests import Offer
from sam2_plugins.napari_plugin.models.work import Work


class Offers:
    """The decisions on the chosen image's cells that are not reviewed yet."""

    def __init__(self, dock: DockModel, prompting: Prompting, objects: Objects) -> None:
        self._dock = dock
        self._prompting = prompting
        self._objects = objects

    @property
    def due(self) -> list[Offer]:
        """Those whose objects are still there, in the order of frames; none is of a plane."""
        work, names = self._dock.work, {*self._dock.objects, None}
        offers = [] if work is None or self._dock.over is not None else work.offers
        return [offer for offer in offers if {*offer.labels, offer.mother} <= names]

    def text(self, offer: Offer) -> str:
        """Return a decision as a line of text."""
        objects = self._dock.objects
        names = [objects[label] for label in offer.labels]
        if offer.mother is not None:
            what = f"{objects[offer.mother]} divided into {' and '.join(names)}"
        else:
            what = f"{names[0]} {'is new' if offer.kind == 'born' else 'has ended'}"
        return f"Frame {offer.frame}: {what} ({offer.reason})"

    def show(self) -> None:
        """Go to the first decision, and select its object."""
        if self.due:
            offer = self.due[0]
            self._dock.go_to(offer.frame)
            self._dock.select(offer.labels[0])

    def accept(self) -> None:
        """Accept the first decision."""
        self._accept(self.due[:1])
        self._prompting.act(self.show)

    def accept_all(self) -> None:
        """Accept all decisions."""
        self._accept(self.due)

    def refuse(self) -> None:
        """Take the first decision back: a newcomer is removed, a mother goes on as its larger
        daughter, and what ended may go on.
        """
        if not self.due or self._dock.here is None:
            return
        (work, line), offer = self._dock.here, self.due[0]

        def act() -> None:
            if offer in self.due:  # else it was answered, or its objects are gone
                work.offers.remove(offer)
                self._take_back(work, line, offer)
                self.show()

        self._prompting.act(act)

    def _take_back(self, work: Work, line: Line, offer: Offer) -> None:
        if offer.kind == "born":
            self._objects.delete(offer.labels[0])
        elif offer.mother is None:
            life = work.session.lives.get(offer.labels[0], Life())
            self._objects.live(offer.labels[0], Life(life.first, None))
        else:
            change = self._rejoin(work, line, offer, offer.mother)
            work.history.record("division that is none", change)
            self._dock.show(work)
            self._dock.objects_changed.emit()
            self._prompting.sync(replaying=True)

    def _rejoin(self, work: Work, line: Line, offer: Offer, mother: int) -> Change:
        """Join the mother with its larger daughter; the other daughter becomes a newcomer.

        What a person drew and painted of that daughter is the mother's.
        """
        store, lives, mothers = work.store, work.session.lives, work.lineage.mothers
        painted = work.session.painted
        index = line.index(offer.frame)

        def area(label: int) -> int:
            mask = store.get(index, label)
            return 0 if mask is None else mask.area

        same = max(offer.labels, key=area)
        for label in offer.labels:
            mothers.pop(label, None)
        for daughter, other in list(mothers.items()):
            if other == same:
                mothers[daughter] = mother
        change: Change = {}
        for at in store.frames_of(same):
            change[at, mother] = store.put(at, mother, store.get(at, same))
        last = lives.get(same, Life()).last
        lives[mother] = Life(lives.get(mother, Life()).first, last)
        work.workspace.set_marks(work.workspace.marks().given(same, mother))
        painted.update({(at, mother): one for (at, o), one in painted.items() if o == same})
        change.update(work.remove(same, heir=mother))
        self._dock.select(mother)
        return change

    def _accept(self, offers: list[Offer]) -> None:
        def act() -> None:
            if (work := self._dock.work) is not None:
                work.accepted.update(offers)
                work.offers = [offer for offer in work.offers if offer not in offers]
                work.history.on_change()
            self._dock.objects_changed.emit()

        self._prompting.act(act)
