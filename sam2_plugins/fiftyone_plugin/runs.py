"""What is at work on a dataset, told in its execution store: to the panel, to another process."""

from __future__ import annotations

import time
from typing import Any

from sam2_plugins.fiftyone_plugin.request import Progress, Report

STORE = "sam2_plugins"
_LOOK = 0.5
"""Seconds between two looks at the store, and between two messages."""


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
        store.set("run", {"state": "running", "share": 0.0, "text": "Starting"})

    def due(self) -> bool:
        """Whether it is time to tell of progress, and to ask whether to stop."""
        now = time.time()
        if now - self._looked < _LOOK:
            return False
        self._looked = now
        return True

    def tell(self, progress: Progress) -> None:
        """Tell how far the work is."""
        said = {"state": "running", "share": progress.share, "text": str(progress)}
        self._store.set("run", said)

    def stop_asked(self) -> bool:
        """Whether someone asked to stop since this run began."""
        return float(self._store.get("stop") or 0) >= self._began

    def end(self, report: Report, stopped: bool) -> None:
        """Tell how it ended."""
        state = "stopped" if stopped else "done"
        said = {"state": state, "share": 1.0, "text": str(report), "problems": report.problems}
        self._store.set("run", said)


def ask_to_stop(store: Any) -> None:
    """Let every run on a dataset end after the frame at hand."""
    store.set("stop", time.time())


def latest(store: Any) -> dict[str, Any] | None:
    """What the latest run told last."""
    return store.get("run")
