"""The folder of one video's results: it appears under its name only when it is complete."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sam2_plugins.batch.report import Report
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export.writer import naming

STATUS, JOURNAL = "status.json", "masks.jsonl"


class VideoFolder:
    """`OUT/NAME`, which is made as `OUT/.NAME.part`."""

    def __init__(self, out: Path, name: str) -> None:
        self.path = out / name
        self.part = out / f".{name}.part"
        self.journal = self.part / JOURNAL

    def finished(self) -> Report | None:
        """Return the record of a complete result; None if there is none."""
        return Report.load(self.path / STATUS)

    @contextmanager
    def working(self, started: Report) -> Iterator[None]:
        """Work in the part folder: go on with what is there if it is of the same job.

        Raises
        ------
        ExportError
            If another worker is at it, or the folder cannot be made.
        """
        with naming(self.part):
            self.part.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.part / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ExportError(
                f"Another process is working on {self.path}. Wait for it, or stop it."
            ) from error
        with lock:
            before = Report.load(self.part / STATUS)
            if before is None or before.fingerprint != started.fingerprint:
                self.journal.unlink(missing_ok=True)
            started.save(self.part / STATUS)
            yield

    def fail(self, report: Report) -> None:
        """Keep what was done, and why it ended, in the part folder."""
        report.save(self.part / STATUS)

    def publish(self, report: Report) -> None:
        """Put the complete folder in its place; an older result goes away."""
        report.save(self.part / STATUS)
        self.journal.unlink(missing_ok=True)
        old = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.old")
        with naming(self.path):
            if self.path.exists():
                os.replace(self.path, old)
            os.replace(self.part, self.path)
            (self.path / ".lock").unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)
