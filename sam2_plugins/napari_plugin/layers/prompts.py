"""Clicks and boxes: what lies in a Points and a Shapes layer, as prompts, and back.

In napari, as in the core's clicks and polygons, a pixel's centre has whole coordinates; the core's
boxes count from the pixels' edges, so that half a pixel lies between them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Index

CLICKS_ALONG = 5
"""Clicks that stand for a line or a path."""
_REGIONS = ("ellipse", "polygon")

INCLUDE, EXCLUDE = "include", "exclude"
OBJECT, MEANING = "object", "meaning"

Drawn: TypeAlias = "dict[tuple[Index, int], tuple[Prompt, ...]]"
"""Prompts by frame and label: regions, boxes, then each click."""


def read_prompts(
    points: NDArray[Any],
    point_features: Mapping[str, Sequence[Any]],
    boxes: Sequence[NDArray[Any]],
    box_features: Mapping[str, Sequence[Any]],
    line: Line,
    kinds: Sequence[str] | None = None,
    frame_size: tuple[int, int] = (0, 0),
) -> Drawn:
    """Read what lies on the frames of a line.

    A rectangle is a box; an ellipse or a polygon is the mask itself; a line or a path is clicks
    along it.

    Parameters
    ----------
    points
        [n, leading + 2], in data coordinates.
    boxes
        Corners of each shape, [n, leading + 2]; four of a rectangle or an ellipse.
    kinds
        What each shape is, as napari calls it; rectangles if None.
    frame_size
        (height, width), for the masks.
    """
    drawn: defaultdict[tuple[Index, int], list[Prompt]] = defaultdict(list)
    kinds = kinds or ["rectangle"] * len(boxes)
    shapes = zip(kinds, boxes, box_features.get(OBJECT, ()), strict=True)
    for kind, corners, label in sorted(shapes, key=lambda shape: shape[0] not in _REGIONS):
        index = _index(corners[0])
        frame = line.frame(index)
        if frame is not None:
            drawn[index, int(label)].append(
                _prompt_of_shape(str(kind), np.asarray(corners), frame, int(label), frame_size)
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


def _prompt_of_shape(
    kind: str, corners: NDArray[Any], frame: int, label: int, frame_size: tuple[int, int]
) -> Prompt:
    xy = corners[:, :-3:-1].astype(float)
    if kind in _REGIONS:
        ring = _ellipse(xy) if kind == "ellipse" else xy
        return Prompt.of(frame, label, mask=ObjectMask.from_polygons([ring], frame_size))
    if kind in ("line", "path"):
        along = np.linspace(0, len(xy) - 1, CLICKS_ALONG)
        clicks = [np.interp(along, np.arange(len(xy)), xy[:, axis]) for axis in (0, 1)]
        return Prompt.of(frame, label, np.stack(clicks, axis=1))
    return Prompt.of(frame, label, box=box_of_corners(corners))


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ring [n, 2] of an ellipse in a parallelogram of four corners [4, 2], in their order."""
    centre = corners.mean(axis=0)
    across, along = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * across + np.sin(angle) * along)


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
