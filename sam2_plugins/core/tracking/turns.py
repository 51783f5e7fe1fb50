"""Turns on one processor: a click is answered between two frames of a run."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One piece of work at a time, in the order of requests; a mere lock may starve a thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int]] = []
        self._taken = False

    @contextmanager
    def turn(self, urgency: int = 0) -> Iterator[None]:
        """Wait for a turn, after those of lower numbers and the earlier; have it for the block."""
        with self._changed:
            ticket = (urgency, next(self._numbers))
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: not self._taken and min(self._waiting) == ticket)
                self._taken = True
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
