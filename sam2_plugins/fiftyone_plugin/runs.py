"""The current runs on a dataset, in its execution store: for the panel, and other processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sam2_plugins.fiftyone_plugin.request import Progress

STORE = "sam2_plugins"
_RUN, _STOP = "run/", "stop/"
"""Begin the keys of a run's record, and of the wish that it stops."""

_SILENCE = 120.0
"""Seconds without progress after which a run counts as killed."""

_MOST_PROBLEMS = 20
"""Lines of a report that the panel shows."""

_LOOK = 0.5
"""Seconds between two reads of the store, and between two messages."""


class Run:
    """One run of an operator; others may be at work beside it.

    Parameters
    ----------
    store
        From `ctx.store(STORE)`; it is of the dataset.
    """

    def __init__(self, store: Any) -> None:
        if not at_work(store):
            for key in store.list_keys():  # of runs that have ended, or were killed
                store.delete(key)
        self._store = store
        self._id = uuid4().hex
        self._looked = time.time()
        self._set("running", 0.0, "Starting")

    def due(self) -> bool:
        """Whether to show progress, and to check for a stop, now."""
        now = time.time()
        if now - self._looked < _LOOK:
            return False
        self._looked = now
        return True

    def show(self, progress: Progress) -> None:
        """Record the progress."""
        self._set("running", progress.share, str(progress))

    def is_to_stop(self) -> bool:
        """Whether a person has stopped this run."""
        return bool(self._store.has(_STOP + self._id))

    def end(self, summary: str, problems: Sequence[str] = ()) -> None:
        """Record that it has ended, and how."""
        self._set("ended", 1.0, summary, list(problems[:_MOST_PROBLEMS]))

    def _set(self, state: str, share: float, text: str, problems: Sequence[str] = ()) -> None:
        values = {"state": state, "share": share, "text": text, "problems": problems}
        self._store.set(_RUN + self._id, {**values, "at": time.time()})


def stop_runs(ctx: Any) -> None:
    """Stop every run on the dataset after its current frame, and notify the user."""
    store = ctx.store(STORE)
    for key in store.list_keys():
        if key.startswith(_RUN):
            store.set(_STOP + key.removeprefix(_RUN), True)
    ctx.ops.notify("SAM 2 stops after the frame at hand. What was done is kept.")


def ended(store: Any) -> list[dict[str, Any]]:
    """Return the records of the runs that have ended since there was none at work."""
    return [run for run in _records(store) if run["state"] == "ended"]


def at_work(store: Any) -> list[dict[str, Any]]:
    """Return the records of the current runs; not of those that were killed."""
    heard = time.time() - _SILENCE
    return [run for run in _records(store) if run["state"] == "running" and run["at"] >= heard]


def _records(store: Any) -> list[dict[str, Any]]:
    found = (store.get(key) for key in store.list_keys() if key.startswith(_RUN))
    return sorted(filter(None, found), key=lambda run: run["at"])
