"""What a batch tells while it runs, and the status record that stays beside each result."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sam2_plugins.core.files import write_text

State: TypeAlias = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class Progress:
    """A video has come to `done` of `total` frames; the total is None if not known."""

    name: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Report:
    """How a video went: the content of `status.json`.

    Attributes
    ----------
    fingerprint
        See `job.fingerprint`.
    frames, computed
        Frames in the result, and those that this run had to compute.
    seconds
        That this run took.
    error
        What went wrong, for a person; "" if nothing did.
    objects
        A `MaskletSummary` of each.
    files
        Names in the video's folder.
    """

    name: str
    source: str
    state: State
    fingerprint: str
    model: str
    frames: int = 0
    computed: int = 0
    seconds: float = 0.0
    error: str = ""
    objects: tuple[Mapping[str, Any], ...] = ()
    files: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        write_text(path, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Report | None:
        """Read a record; None if there is none that can be read."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            lists = {key: tuple(values[key]) for key in ("objects", "files")}
            return cls(**{**values, **lists})
        except (OSError, ValueError, TypeError, KeyError):
            return None


Event: TypeAlias = "Progress | Report"
Events: TypeAlias = Generator[Event, None, None]
