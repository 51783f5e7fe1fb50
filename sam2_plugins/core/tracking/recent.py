"""What was used last, and is soon wanted again: pictures and features of a few frames."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

MOST = 6
"""Kept at once: a frame and the next, three before it and a prompted one, which are seen again when
windows move."""

MEGABYTES = 96
"""Together, unless two of them are larger."""


class Sized(Protocol):
    """An array, a tensor, or several of them."""

    @property
    def nbytes(self) -> int:
        """Its size."""


T = TypeVar("T", bound=Sized)


class Recent(Generic[T]):
    """What was used last, by what it is of, `least` or more at once; any thread may use it."""

    def __init__(self, most: float = MOST, megabytes: float = MEGABYTES, least: int = 2) -> None:
        self._most, self._limit, self._least = most, megabytes * 1e6, least
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def find(self, keys: Iterable[Hashable]) -> dict[Hashable, T]:
        """Return those of some that are here."""
        with self._lock:
            return {key: self._kept[key] for key in keys if key in self._kept}

    def keep(self, used: Mapping[Hashable, T]) -> None:
        """Keep these, and forget those whose last use is the longest ago."""
        least = max(self._least, len(used))
        with self._lock:
            for key, one in used.items():
                self._bytes += 0 if key in self._kept else one.nbytes
                self._kept[key] = one
                self._kept.move_to_end(key)
            while len(self._kept) > least and (
                len(self._kept) > self._most or self._bytes > self._limit
            ):
                self._bytes -= self._kept.popitem(last=False)[1].nbytes

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept, or make it."""
        found = self.find([key]) or {key: make()}
        self.keep(found)
        return found[key]
