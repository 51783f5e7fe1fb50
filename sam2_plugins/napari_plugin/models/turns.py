"""A fair lock, so that a click is answered between two frames of a run."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """A lock that is acquired in the order of requests; Python's own may starve a thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    def __enter__(self) -> None:
        me = object()
        with self._changed:
            self._queue.append(me)
            self._changed.wait_for(lambda: self._queue[0] is me)

    def __exit__(self, *about: object) -> None:
        with self._changed:
            self._queue.popleft()
            self._changed.notify_all()
