"""Choices of a person, requests for tracking, and their progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.prompt_files import prompt_to_json, prompts_from_json
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Direction, Life
from sam2_plugins.napari_plugin.layers.frames import Line, View
from sam2_plugins.napari_plugin.layers.mask_store import Index

CELLS_SUFFIX = ".cells.jsonl"
"""Of the journal of a run over all cells, after the name of its project."""


@dataclass(frozen=True)
class Click:
    """A click at a place on a frame, of which it is not known yet on which object it is.

    Attributes
    ----------
    adds
        It is on the selected object, wherever it is.
    excluding
        It is on what does not belong to the object.
    """

    index: Index
    x: float
    y: float
    adds: bool = False
    excluding: bool = False


@dataclass(frozen=True)
class Choices:
    """The choices in the form, with the contrast limits of the layers; channels by name."""

    axis: int | None = None
    over: int | None = None
    channels: tuple[str, ...] = ()
    contrast: str = "layer"
    memory: str = "sam2"
    model: str = "nano"
    limits: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Choices:
        """Make choices from saved plain values."""
        limits = tuple((float(low), float(high)) for low, high in values.get("limits", ()))
        return cls(**{**values, "channels": tuple(values["channels"]), "limits": limits})


@dataclass(frozen=True)
class Request:
    """A request for tracking, with the view of the image."""

    view: View
    line: Line
    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None
    since: Mapping[int, int] | None = None
    """By object, the first frame whose mask may change; None: all of all objects may."""
    over: int | None = None
    """Axis of the time points whose whole stacks are tracked, one after the other."""


@dataclass(frozen=True)
class Step:
    """A frame of a run is done."""

    index: Index
    done: int
    total: int
    """Of the frames on which a mask has to be computed."""
    computed: int = 0
    """Objects whose masks are new."""
    note: str = ""
    """What a person should know of the run."""


@dataclass
class AllCells:
    """An unfinished run over all cells, which can go on exactly where it stopped.

    Attributes
    ----------
    line, first, last
        The frames that it tracks.
    choices, prompts, lives
        What it hangs on, as it was when the run began; of each object, its first mask is a prompt.
    journal
        The file of its decided frames, with what it remembers beside it.
    labels
        Labels of the objects, by what the tracker calls them; negative: a person has removed it.
    taken
        The last frame whose masks and decisions the objects have.
    running
        It goes on now.
    latest
        The last edit before it was broken off: after another one it does not go on.
    """

    line: Line
    first: int
    last: int
    choices: Choices
    prompts: tuple[Prompt, ...]
    lives: Mapping[int, Life]
    journal: Path | None
    taken: int
    labels: dict[ObjectId, int] = field(default_factory=dict)
    running: bool = False
    latest: object = None

    def begun(self) -> dict[str, Any]:
        """Return what it depends on, as plain values."""
        return {
            "axis": self.line.axis,
            "at": list(self.line.at),
            "frames": [self.first, self.last],
            "choices": vars(self.choices),
            "prompts": [prompt_to_json(prompt) for prompt in self.prompts],
            "lives": [[label, life.first, life.last] for label, life in self.lives.items()],
            "journal": self.journal and str(self.journal),
            **self.reached(),
        }

    def give_away(self, label: int, heir: int | None = None) -> None:
        """Let what goes on as an object go on as another one; without one, its masks are dropped.

        The label may be another object's then, and is not given to what comes.
        """
        for obj, known in self.labels.items():
            if known == label:
                self.labels[obj] = -label if heir is None else heir

    def reached(self) -> dict[str, Any]:
        """Return its progress as plain values."""
        return {"taken": self.taken, "labels": list(self.labels.items())}

    @classmethod
    def of(cls, values: Mapping[str, Any], beside: Path) -> AllCells:
        """Make it of what `begun` and `reached` return, saved in a file that may have moved.

        The journal beside that file is its own; where it was before, there may be the original.
        """
        first, last = values["frames"]
        journal, beside = Path(values["journal"]) if values["journal"] else None, Path(beside)
        moved = [beside.with_name(f"{beside.name}{CELLS_SUFFIX}")]
        moved += [beside.with_name(journal.name), journal] if journal else []
        return cls(
            Line(values["axis"], tuple(values["at"])),
            first,
            last,
            Choices.of(values["choices"]),
            prompts_from_json(values["prompts"]),
            {label: Life(*life) for label, *life in values["lives"]},
            next((path for path in moved if journal and path.exists()), journal),
            values["taken"],
            dict(values["labels"]),
        )


@dataclass(frozen=True)
class Offer:
    """A decision of such a run, which a person may refuse.

    Attributes
    ----------
    kind
        "born", "divided" or "ended", as `core.lineage.Event` has it.
    labels
        What was born or ended, or the daughters.
    """

    kind: str
    frame: int
    labels: tuple[int, ...]
    reason: str
    mother: int | None = None
