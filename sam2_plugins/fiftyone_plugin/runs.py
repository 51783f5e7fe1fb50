"""The current run on a dataset, in its execution store: for the panel, and other processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sam2_plugins.fiftyone_plugin.request import Progress

STORE = "sam2_plugins"
_SILENCE = 120.0
"""Seconds without progress after which a run counts as killed."""

_MOST_PROBLEMS = 20
"""Lines of a report that the panel shows."""

_LOOK = 0.5
"""Seconds between two reads of the store, and between two messages."""


class Run:
    """One run of an operator.

    Parameters
    ----------
    store
        From `ctx.store(STORE)`; it is of the dataset.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._began = self._looked = time.time()
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
        return float(self._store.get("stop") or 0) >= self._began

    def end(self, summary: str, problems: Sequence[str] = ()) -> None:
        """Record that it has ended, and how."""
        self._set("ended", 1.0, summary, list(problems[:_MOST_PROBLEMS]))

    def _set(self, state: str, share: float, text: str, problems: Sequence[str] = ()) -> None:
        values = {"state": state, "share": share, "text": text, "problems": problems}
        self._store.set("run", {**values, "began": self._began, "at": time.time()})


def stop_runs(ctx: Any) -> None:
    """Stop every run on the dataset after its current frame, and notify the user."""
    ctx.store(STORE).set("stop", time.time())
    ctx.ops.notify("SAM 2 stops after the frame at hand. What was done is kept.")


def last_run(store: Any) -> dict[str, Any] | None:
    """Return the record of the last run; None if there was none, or it is still running."""
    last = store.get("run")
    return dict(last) if last is not None and last["state"] == "ended" else None


def at_work(store: Any) -> dict[str, Any] | None:
    """The record of the current run; None if there is none, or it was killed."""
    run = store.get("run")
    if run is None or run["state"] != "running" or time.time() - run["at"] > _SILENCE:
        return None
    return dict(run)
