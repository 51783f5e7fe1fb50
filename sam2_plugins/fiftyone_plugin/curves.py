"""How sure each mask of a movie is, by frame: what the panel plots, and the frames to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import fiftyone as fo

from sam2_plugins.core.tracking.doubt import DOUBTFUL, LOST
from sam2_plugins.fiftyone_plugin.documents import value_of
from sam2_plugins.fiftyone_plugin.footage import Footage
from sam2_plugins.fiftyone_plugin.marks import DOUBT, DOUBT_REASONS, MARK
from sam2_plugins.fiftyone_plugin.objects import object_name

CONFIDENCE = "confidence"


@dataclass(frozen=True)
class DoubtfulFrame:
    """A frame to look at, from 1, with how doubtful a mask is there, and why."""

    frame: int
    name: str
    value: float
    reasons: str = ""

    def __str__(self) -> str:
        return f"Frame {self.frame}: {self.name}, {self.reasons or 'several small signs'}"


@dataclass
class Curve:
    """One object through the frames.

    Attributes
    ----------
    frames, values
        Frame numbers, from 1, and a score of each, 0 to 1; None where the tracker looked for the
        object and did not find it.
    doubtful
        Frames with a mask that should be looked at, by the core's rule.
    """

    name: str
    frames: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    doubtful: list[DoubtfulFrame] = field(default_factory=list)


def read_curves(footage: Footage, output_field: str, score: str = CONFIDENCE) -> list[Curve]:
    """Read the scores of a field of results, and its doubtful frames; people's masks have none."""
    labels = [(n, one) for n, value in footage.read(output_field) for one in value.detections]
    for n, value in footage.read(f"{output_field}_lost"):
        labels += [(n, one) for one in value.classifications]
    curves: dict[str, Curve] = {}
    for frame, label in sorted(labels, key=lambda row: row[0]):
        name, number = object_name(label.label, label.index), frame + 1
        curve = curves.setdefault(name, Curve(name))
        lost = isinstance(label, fo.Classification)
        known = None if lost else value_of(label, score)
        if lost or known is not None:
            curve.frames.append(number)
            curve.values.append(known)
        doubt, reasons = value_of(label, DOUBT), value_of(label, DOUBT_REASONS)
        if lost and value_of(label, MARK):
            doubt, reasons = LOST.value, ", ".join(LOST.reasons)
        if doubt is not None and doubt >= DOUBTFUL:
            curve.doubtful.append(DoubtfulFrame(number, name, doubt, reasons or ""))
    return [curves[name] for name in sorted(curves) if curves[name].frames]


def doubtful(curves: Iterable[Curve], count: int = 8) -> list[DoubtfulFrame]:
    """Return the frames to look at first; of frames that follow on one another, the worst."""
    found: list[DoubtfulFrame] = []
    for curve in curves:
        last = -1
        for one in curve.doubtful:
            if one.frame != last + 1:
                found.append(one)
            elif one.value > found[-1].value:
                found[-1] = one
            last = one.frame
    return sorted(found, key=lambda one: (-one.value, one.frame))[:count]
