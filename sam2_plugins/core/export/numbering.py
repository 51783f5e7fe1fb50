"""Numbers for objects, for formats that have no names."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from sam2_plugins.core.masks import LARGEST_LABEL, ObjectId, plain_id


class Numbering:
    """Gives every object a label, a positive integer, and keeps it.

    Parameters
    ----------
    objects
        Objects known beforehand. An id that is a positive integer of up to 32 bits is its own
        label; the others get the lowest free ones.
    """

    def __init__(self, objects: Iterable[ObjectId] = ()) -> None:
        self._labels: dict[ObjectId, int] = {}
        self._taken: set[int] = set()
        # Numbers first, so that no name takes the label of a number that comes later.
        for obj in sorted(objects, key=lambda obj: isinstance(obj, str)):
            self.label(obj)

    def label(self, obj: ObjectId) -> int:
        """Return the object's label, the same every time."""
        obj = plain_id(obj)
        if obj not in self._labels:
            is_label = isinstance(obj, int) and 0 < obj <= LARGEST_LABEL
            own = is_label and obj not in self._taken
            self._labels[obj] = self._take(int(obj)) if own else self.fresh()
        return self._labels[obj]

    @property
    def largest(self) -> int:
        """The largest label so far."""
        return max(self._taken, default=0)

    def fresh(self) -> int:
        """Return the lowest label that nothing has, and take it."""
        return self._take(next(label for label in count(1) if label not in self._taken))

    def _take(self, label: int) -> int:
        self._taken.add(label)
        return label
