"""What was used last, and is soon wanted again: pictures of a few frames."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

MOST = 6
"""Kept at once: a frame and the next, three before it and a prompted one, which are seen again when
windows move."""

MEGABYTES = 96
"""Together, unless two of them are larger."""


class Sized(Protocol):
    """An array or a tensor."""

    @property
    def nbytes(self) -> int:
        """Its size."""


T = TypeVar("T", bound=Sized)


class Recent(Generic[T]):
    """The arrays that were used last, by what they are of."""

    def __init__(self, most: float = MOST, megabytes: float = MEGABYTES) -> None:
        self._most, self._megabytes = most, megabytes
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept, or make it."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = self._kept[key] = make()
        while len(self._kept) > 2 and self._is_full():
            self._kept.popitem(last=False)
        return made

    def _is_full(self) -> bool:
        megabytes = sum(kept.nbytes for kept in self._kept.values()) / 1e6
        return len(self._kept) > self._most or megabytes > self._megabytes
