"""Undo and redo of everything in one order: clicks, strokes, runs, divisions, names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.marks import Marks
from sam2_plugins.napari_plugin.layers.mask_store import Change, Entry, MaskStore, Patch, by_frame
from sam2_plugins.napari_plugin.models.requests import Click, Offer
from sam2_plugins.napari_plugin.models.session import Painted


@dataclass(frozen=True)
class State:
    """All of a person's work on an image, except the masks.

    Attributes
    ----------
    names
        Of the objects, by label, in their order.
    mothers
        Daughter to mother.
    lives
        Frames on which objects exist, of those that begin or end in the movie.
    painted
        Masks by a person.
    taken
        Objects by the Labels layer, and the label in it, from which they were taken.
    waiting
        Clicks that came while the model was looking at another one; they are no edit yet.
    selected
        The object that the next prompt is of; a change of it alone is no edit.
    offers
        Decisions that nobody has looked at yet; to look at one is no edit.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    mothers: Mapping[int, int] = field(default_factory=dict)
    lives: Mapping[int, Life] = field(default_factory=dict)
    painted: Mapping[Entry, Painted] = field(default_factory=dict)
    taken: Mapping[tuple[str, int], int] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)
    selected: int | None = field(default=None, compare=False)
    offers: tuple[Offer, ...] = field(default=(), compare=False)
    waiting: tuple[Click, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Edit:
    """One change: its name, the states before and after it, and the masks of the other side."""

    title: str
    before: State
    after: State
    masks: Patch


class History:
    """Edits that can be undone, and those that can be redone.

    Parameters
    ----------
    capture
        Returns the state as it is.
    apply
        Brings a state about.
    """

    def __init__(
        self, store: MaskStore, capture: Callable[[], State], apply: Callable[[State], None]
    ) -> None:
        self._store = store
        self._capture = capture
        self._apply = apply
        self._undo: list[Edit] = []
        self._redo: list[Edit] = []
        self.present = capture()
        """The state after the last edit."""
        self.under_way: Change = {}
        """Masks from before a run that is not recorded yet."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after an edit was made, taken back or made again."""

    def __len__(self) -> int:
        return len(self._undo)

    @property
    def latest(self) -> Edit | None:
        """The edit that would be undone next."""
        return self._undo[-1] if self._undo else None

    def record(self, title: str, masks: Change | None = None, differ: bool = False) -> None:
        """Record a change with the masks from before it, unless nothing changed.

        Edits that were undone before it cannot be redone any more.

        Parameters
        ----------
        differ
            All these masks are known to be other ones now.
        """
        now, changed = self._capture(), masks or {}
        if not differ:
            changed = {e: mask for e, mask in changed.items() if mask != self._store.get(*e)}
        if changed or now != self.present:
            self._undo.append(Edit(title, self.present, now, by_frame(changed)))
            self._redo.clear()
        self.present = now
        self.on_change()

    def settle(self) -> None:
        """Record what a run under way has done, so that an edit during it is undone before that.

        What is drawn and painted is of that edit.
        """
        made = {entry: self.under_way.pop(entry) for entry in list(self.under_way)}
        if made:
            before = self.present
            now = replace(self._capture(), marks=before.marks, painted=before.painted)
            self._undo.append(Edit("run", before, now, by_frame(made)))
            self._redo.clear()
            self.present = now

    def admit_objects(self) -> None:
        """Add the current objects and their mothers to the state before the next edit."""
        now = self._capture()
        self.present = replace(self.present, names=now.names, mothers=now.mothers)
        self.on_change()

    def undo(self) -> Edit | None:
        """Undo the last edit, or an unfinished one first; None if there is nothing to undo."""
        if self._capture() != self.present:
            now = self._capture()
            self._apply(self.present)
            return Edit("change", self.present, now, {})
        return self._step(self._undo, self._redo, forward=False)

    def redo(self) -> Edit | None:
        """Redo the edit that was undone last; None if there is none."""
        return self._step(self._redo, self._undo, forward=True)

    def _step(self, edits: list[Edit], others: list[Edit], forward: bool) -> Edit | None:
        if not edits:
            return None
        edit = edits.pop()
        others.append(replace(edit, masks=self._store.swap(edit.masks)))
        self.present = edit.after if forward else edit.before
        self._apply(self.present)
        self.on_change()
        return edit
