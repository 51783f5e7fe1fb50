"""What a batch reports while it runs, and the status record that stays beside each result."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sam2_plugins.core.files import write_text

State: TypeAlias = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Progress:
    """A video has come to `done` of `total` frames; the total is None if not known."""

    name: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Report:
    """The result of a video: the content of `status.json`.

    Attributes
    ----------
    inputs
        Digests of all that the masks depend on; see `inputs.digest_inputs`.
    content
        The signature and the digest of the source, so that one that is unchanged is not read again.
    frames, computed
        Frames in the result, and those that this run had to compute.
    complete
        Whether every frame was tracked: then another format needs no model.
    spans
        First and last of the frames in the result, run by run.
    seconds
        That this run took.
    error
        What went wrong, for a person; "" if nothing did.
    notes
        What was lost or assumed while the movie was read.
    objects
        `Masklet.summary` of each.
    lineage
        Births, divisions and ends that were decided, as `Event.as_json` gives them.
    files
        Names in the video's folder; while it runs, those that are being made.
    made
        Name of each finished file to its `files.signature`.
    unfinished
        The same of files that could not be finished.
    """

    name: str
    source: str
    state: State
    model: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, str] = field(default_factory=dict)
    frames: int = 0
    computed: int = 0
    complete: bool = False
    spans: tuple[tuple[int, int], ...] = ()
    seconds: float = 0.0
    error: str = ""
    notes: tuple[str, ...] = ()
    objects: tuple[Mapping[str, Any], ...] = ()
    lineage: tuple[Mapping[str, Any], ...] = ()
    files: tuple[str, ...] = ()
    made: Mapping[str, str] = field(default_factory=dict)
    unfinished: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        write_text(path, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Report | None:
        """Read a record; None if there is none that can be read."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            lists = {key: tuple(values[key]) for key in ("notes", "objects", "files")}
            spans = tuple((first, last) for first, last in values["spans"])
            lineage = tuple(values.get("lineage", ()))  # earlier versions had none
            return cls(**{**values, **lists, "spans": spans, "lineage": lineage})
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


Event: TypeAlias = "Progress | Report"
Events: TypeAlias = Generator[Event, None, None]
