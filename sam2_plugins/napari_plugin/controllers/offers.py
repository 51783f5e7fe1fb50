"""What happened to cells while all were tracked: accepted, or refused, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psygnal import Signal

from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Change
from sam2_plugins.napari_plugin.models.work import Work

if TYPE_CHECKING:
    from sam2_plugins.napari_plugin.controllers.controller import Controller


@dataclass(frozen=True)
class Offer:
    """A decision that a person may refuse.

    Attributes
    ----------
    kind
        "born", "divided" or "ended", as `core.lineage.Event` has it.
    labels
        What was born or ended, or the daughters.
    """

    kind: str
    frame: int
    labels: tuple[int, ...]
    reason: str
    mother: int | None = None


class Offers:
    """The decisions that nobody has looked at yet, in the order of frames."""

    changed = Signal()
    """There are more, or fewer."""

    def __init__(self, control: Controller) -> None:
        self._control = control
        self._offers: list[Offer] = []

    @property
    def due(self) -> list[Offer]:
        """Those whose objects are still there."""
        names = {*self._control.objects, None}
        return [offer for offer in self._offers if {*offer.labels, offer.mother} <= names]

    def add(self, offer: Offer) -> None:
        """Offer one more decision."""
        self._offers = sorted([*self._offers, offer], key=lambda one: one.frame)
        self.changed.emit()

    def clear(self) -> None:
        """Another image is chosen: nothing was decided of its cells."""
        self._offers = []
        self.changed.emit()

    def text(self, offer: Offer) -> str:
        """Say what was decided."""
        names = [self._control.objects[label] for label in offer.labels]
        if offer.mother is not None:
            said = f"{self._control.objects[offer.mother]} divided into {' and '.join(names)}"
        else:
            said = f"{names[0]} {'is new' if offer.kind == 'born' else 'has ended'}"
        return f"Frame {offer.frame}: {said} ({offer.reason})"

    def show(self) -> None:
        """Go to the first decision, and select its object."""
        if self.due:
            offer = self.due[0]
            self._control.go_to_frame(offer.frame)
            self._control.select(offer.labels[0])

    def accept(self) -> None:
        """Leave the first decision as it is."""
        self._drop(self.due[:1])
        self.show()

    def accept_all(self) -> None:
        """Leave all as they are."""
        self._drop(self.due)

    def refuse(self) -> None:
        """Take the first decision back: a newcomer is removed, a mother goes on as its larger
        daughter, and what ended may go on.
        """
        work, line = self._control.work, self._control.line
        if not self.due or work is None or line is None:
            return
        offer = self.due[0]
        self._drop([offer])
        self._take_back(work, line, offer)
        self.show()

    def _take_back(self, work: Work, line: Line, offer: Offer) -> None:
        control = self._control
        if offer.kind == "born":
            control.delete(offer.labels[0])
        elif offer.mother is None:
            life = work.session.lives.get(offer.labels[0], Life())
            control.live(offer.labels[0], Life(life.first, None))
        else:
            change = self._rejoin(work, line, offer, offer.mother)
            work.history.record("division that is none", change)
            control.show(work)
            control.draw_tracks(work)
            control.objects_changed.emit()

    def _rejoin(self, work: Work, line: Line, offer: Offer, mother: int) -> Change:
        """Let the mother be what its larger daughter is; the other one is a newcomer."""
        store, session, index = work.workspace.store, work.session, line.index(offer.frame)

        def area(label: int) -> int:
            mask = store.get(index, label)
            return 0 if mask is None else mask.area

        same = max(offer.labels, key=area)
        for label in offer.labels:
            work.workspace.lineage.mothers.pop(label, None)
        for daughter, other in list(work.workspace.lineage.mothers.items()):
            if other == same:
                work.workspace.lineage.mothers[daughter] = mother
        change: Change = {}
        for at in store.indices(same):
            change[at, mother] = store.put(at, mother, store.get(at, same))
        last = session.lives.get(same, Life()).last
        session.lives[mother] = Life(session.lives.get(mother, Life()).first, last)
        change.update(session.remove(same))
        work.workspace.erase(same)
        del work.workspace.names[same]
        self._control.select(mother)
        return change

    def _drop(self, offers: list[Offer]) -> None:
        self._offers = [offer for offer in self._offers if offer not in offers]
        self.changed.emit()
