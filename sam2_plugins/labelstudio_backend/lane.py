"""Turns on a processor: one piece of work at a time, a click before the next step of a track."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CLICK, TRACK = 0, 1


class Lane:
    """Gives turns by urgency, then in the order of asking.

    A track asks for a turn for every frame, so that a click waits for one frame at most.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[int, int]] = []
        self._taken = False

    @contextmanager
    def turn(self, urgency: int) -> Iterator[None]:
        """Wait for a turn, and have it for the length of the block."""
        with self._condition:
            ticket = (urgency, next(self._numbers))
            heapq.heappush(self._waiting, ticket)
            try:
                self._condition.wait_for(lambda: not self._taken and self._waiting[0] == ticket)
            except BaseException:
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
                self._condition.notify_all()
                raise
            heapq.heappop(self._waiting)
            self._taken = True
        try:
            yield
        finally:
            with self._condition:
                self._taken = False
                self._condition.notify_all()
