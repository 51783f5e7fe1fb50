"""Clicks and boxes: what lies in a Points and a Shapes layer, as prompts, and back.

In napari a pixel's centre has whole coordinates (…, y, x); in the core a box counts from the
pixels' edges, so that half a pixel lies between them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin._frames import Line
from sam2_plugins.napari_plugin._store import Index

INCLUDE, EXCLUDE = "include", "exclude"
OBJECT, MEANING = "object", "meaning"

Drawn: TypeAlias = "dict[tuple[Index, int], tuple[Prompt, ...]]"
"""Prompts by frame and label: the box, then each click."""


def read_prompts(
    points: NDArray[Any],
    point_features: Mapping[str, Sequence[Any]],
    boxes: Sequence[NDArray[Any]],
    box_features: Mapping[str, Sequence[Any]],
    line: Line,
) -> Drawn:
    """Read what lies on the frames of a line.

    Parameters
    ----------
    points
        [n, leading + 2], in data coordinates.
    boxes
        Corners of each rectangle, [4, leading + 2].
    """
    drawn: defaultdict[tuple[Index, int], list[Prompt]] = defaultdict(list)
    for corners, label in zip(boxes, box_features.get(OBJECT, ()), strict=True):
        index = _index(corners[0])
        frame = line.frame(index)
        if frame is not None:
            drawn[index, int(label)].append(
                Prompt.of(frame, int(label), box=box_of_corners(corners))
            )
    about = (point_features.get(name, ()) for name in (OBJECT, MEANING))
    for at, label, meaning in zip(points, *about, strict=True):
        index = _index(at)
        frame = line.frame(index)
        if frame is not None:
            y, x = (float(n) for n in at[-2:])
            wanted = [0 if meaning == EXCLUDE else 1]
            drawn[index, int(label)].append(Prompt.of(frame, int(label), [(x, y)], wanted))
    return {key: tuple(prompts) for key, prompts in drawn.items()}


def box_of_corners(corners: NDArray[Any]) -> tuple[float, float, float, float]:
    """Box x0, y0, x1, y1 of a rectangle's corners [4, leading + 2]."""
    (y0, x0), (y1, x1) = corners[:, -2:].min(axis=0) + 0.5, corners[:, -2:].max(axis=0) + 0.5
    return float(x0), float(y0), float(x1), float(y1)


def corners_of_box(box: Sequence[float], index: Index) -> NDArray[np.float64]:
    """Corners [4, leading + 2] of a rectangle that stands for a box on a frame."""
    x0, y0, x1, y1 = (n - 0.5 for n in box)
    plane = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
    return np.array([(*index, *corner) for corner in plane], float)


def point_row(xy: Sequence[float], index: Index) -> tuple[float, ...]:
    """Row of a Points layer for a click at (x, y) on a frame."""
    return (*(float(n) for n in index), float(xy[1]), float(xy[0]))


def _index(at: NDArray[Any]) -> Index:
    return tuple(round(float(n)) for n in at[:-2])
