"""Results that are ready after their request was answered: stored through Label Studio's API.

A request that could not be answered in full is kept on disk until its result is stored, so that a
restarted backend takes it up.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sam2_plugins.core import files
from sam2_plugins.labelstudio_backend.errors import AwayError, ServerError

log = logging.getLogger(__name__)

WORKERS, MOST = 4, 100_000
ATTEMPTS, PAUSE, LONGEST_PAUSE = 12, 2.0, 120.0
"""Attempts to store a result that Label Studio refuses, and the seconds between them: a quarter of
an hour in all. While it does not answer at all, as during an upgrade, they do not count."""


class Pending:
    """Requests whose results are still to be stored, on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys = {path.stem for path in folder.glob("*.json")}
        self._lock = FileLock(folder.with_suffix(".lock"), thread_local=False)

    def claim(self) -> bool:
        """Whether no other backend has this folder: what it is still to store is its own."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:  # read-only, or of a network file system
            log.debug("%s cannot be locked: %s", self._folder, error)
        return True

    def close(self) -> None:
        """Leave the folder to the next backend."""
        self._lock.release()

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> frozenset[str]:
        """Return the names of those that are kept now."""
        return frozenset(self._keys)

    def put(self, key: str, request: Mapping[str, Any]) -> None:
        """Keep a request."""
        files.write_text(self._folder / f"{key}.json", json.dumps(request))
        self._keys.add(key)

    def remove(self, key: str) -> None:
        """Delete a request that is finished."""
        self._keys.discard(key)
        (self._folder / f"{key}.json").unlink(missing_ok=True)

    def all(self) -> dict[str, dict[str, Any]]:
        """Return those that are kept, by key; a damaged one is deleted."""
        found = {}
        for path in sorted(self._folder.glob("*.json")):
            request = files.read_object(path)
            if isinstance(request.get("task"), dict):
                found[path.stem] = request
            else:
                log.warning("%s is damaged, and deleted.", path)
                self.remove(path.stem)
        return found


class Deliveries:
    """Answers requests one after another, in threads of its own.

    Parameters
    ----------
    deliver
        Answers a request and stores the result; called with its key.
    """

    def __init__(self, deliver: Callable[[str, Any], None]) -> None:
        self._deliver = deliver
        self._queue: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    def add(self, key: str, request: Any) -> bool:
        """Queue a request, unless it is queued already; return whether it was.

        Beyond `MOST` requests, further ones are left to the next start.
        """
        with self._lock:
            if key in self._known or len(self._known) >= MOST or self._closing.is_set():
                return False
            self._known.add(key)
            if len(self._threads) < WORKERS:
                thread = threading.Thread(target=self._work, name="deliveries", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put((key, request))
        return True

    def stop(self) -> None:
        """Accept no more requests; queued ones are left to the next start."""
        with self._lock:
            self._closing.set()
            for _ in self._threads:
                self._queue.put(None)

    def join(self, patience: float = 5.0) -> None:
        """Wait up to `patience` seconds for the requests that are being answered."""
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (found := self._queue.get()) is not None and not self._closing.is_set():
            key, request = found
            refused, pause = 0, PAUSE
            while refused < ATTEMPTS:
                try:
                    self._deliver(key, request)
                except ServerError as error:
                    refused += not isinstance(error, AwayError)
                    log.warning("A result could not be stored yet: %s", error)
                    if self._closing.wait(pause):
                        break
                    pause = min(2 * pause, LONGEST_PAUSE)
                except Exception:
                    log.exception("A result could not be stored")
                    break
                else:
                    break
            with self._lock:
                self._known.discard(key)
