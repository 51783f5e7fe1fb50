"""How sure each mask of a movie is, by frame: what the panel plots, and the frames to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sam2_plugins.fiftyone_plugin.footage import Footage

CONFIDENCE = "confidence"


@dataclass
class Curve:
    """One object through the frames.

    Attributes
    ----------
    frames, values
        Frame numbers, from 1, and a score of each, 0 to 1; None where the tracker looked for the
        object and did not find it.
    """

    name: str
    frames: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class Doubt:
    """A frame to look at."""

    frame: int
    name: str
    value: float | None

    def __str__(self) -> str:
        told = "lost" if self.value is None else f"{self.value:.2f}"
        return f"Frame {self.frame}: {self.name}, {told}"


def read_curves(footage: Footage, output_field: str, score: str = CONFIDENCE) -> list[Curve]:
    """Read the scores of a field of results; what was prompted is sure and has none."""
    rows: list[tuple[int, str, float | None]] = []
    for frame, value in footage.read(output_field):
        for label in value.detections:
            if score in label.field_names and label[score] is not None:
                rows.append((frame + 1, object_name(label), float(label[score])))
    for frame, value in footage.read(f"{output_field}_lost"):
        rows += [(frame + 1, object_name(label), None) for label in value.classifications]
    curves: dict[str, Curve] = {}
    for number, name, known in sorted(rows, key=lambda row: row[:2]):
        curve = curves.setdefault(name, Curve(name))
        curve.frames.append(number)
        curve.values.append(known)
    return [curves[name] for name in sorted(curves)]


def doubtful(curves: Iterable[Curve], count: int = 8) -> list[Doubt]:
    """Return the frames to look at first: where an object gets lost, and the lowest scores.

    Of neighbouring frames of one object only the worst is told.
    """
    found: list[Doubt] = []
    for curve in curves:
        points = list(zip(curve.frames, curve.values, strict=True))
        for place, (frame, value) in enumerate(points):
            around = [known for _, known in points[max(place - 1, 0) : place + 2]]
            if _is_worst(value, around, place > 0 and points[place - 1][1] is None):
                found.append(Doubt(frame, curve.name, value))
    return sorted(found, key=lambda one: (one.value is not None, one.value or 0.0))[:count]


def _is_worst(value: float | None, around: Sequence[float | None], lost_before: bool) -> bool:
    if value is None:
        return not lost_before
    return value == min(known for known in around if known is not None)


def object_name(label: Any) -> str:
    """Return what a person calls the object of a label."""
    return f"{label.label or 'object'} {label.index}"
