"""Outlines of masks, exact in both directions.

A ring is an array [n, 2] of (x, y), closed from its last vertex to its first. Pixel centres are at
whole numbers (a format whose pixels span [i, i + 1] wants 0.5 added), so a ring that runs half-way
between pixels touches no centre, and filling it is not a matter of rounding. Rings are filled by
the even-odd rule: a hole is a ring inside a ring.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ring = NDArray[np.float64]


def trace(mask: NDArray[np.bool_], tolerance: float = 0.0) -> list[Ring]:
    """Return the rings around the pixels of a mask [h, w], in its own coordinates.

    Parameters
    ----------
    tolerance
        Greatest distance in pixels between a dropped vertex and the simplified ring. With 0 the
        outline is exact.
    """
    # skimage.measure takes half a second to import, and most uses of masks need no polygon.
    from skimage.measure import approximate_polygon, find_contours

    rings = []
    for contour in find_contours(np.pad(mask, 1).astype(np.uint8), 0.5):
        closed = contour[:, ::-1] - 1.0
        if tolerance > 0:
            closed = approximate_polygon(closed, tolerance)
        ring = _without_straight_vertices(closed[:-1])
        if len(ring) >= 3:
            rings.append(ring)
    return rings


def fill(
    rings: Sequence[ArrayLike], frame_size: tuple[int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Fill rings by the even-odd rule.

    Returns
    -------
    crop, offset
        bool [h, w] around all the rings, cut at the frame, and (x, y) of its first pixel.

    Raises
    ------
    ValueError
        If a ring is not [n, 2] with three vertices or more, or has a vertex that is not finite.
    """
    from skimage.draw import polygon

    vertices = [_checked(ring) for ring in rings]
    if not vertices:
        return np.zeros((0, 0), bool), (0, 0)
    points = np.concatenate(vertices)
    limits = np.array(frame_size)[::-1]
    first = np.clip(np.floor(points.min(axis=0)), 0, limits).astype(int)
    last = np.clip(np.ceil(points.max(axis=0)) + 1, first, limits).astype(int)
    width, height = last - first
    crop = np.zeros((height, width), bool)
    for ring in vertices:
        columns, rows = (ring - first).T
        inside = polygon(rows, columns, shape=crop.shape)
        crop[inside] ^= True
    return crop, (int(first[0]), int(first[1]))


def _checked(ring: ArrayLike) -> Ring:
    vertices = np.asarray(ring, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
        raise ValueError(
            f"A polygon ring is three or more (x, y) vertices, not an array of {vertices.shape}."
        )
    if not np.isfinite(vertices).all():
        raise ValueError("A polygon ring has a vertex that is not finite.")
    return vertices


def ring_area(ring: NDArray[np.float64]) -> float:
    """Return the area inside a ring that does not cross itself."""
    x, y = ring.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _without_straight_vertices(ring: Ring) -> Ring:
    """Drop the vertices in the middle of a straight line: the outline stays the same."""
    before = ring - np.roll(ring, 1, axis=0)
    after = np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(ring[turns])
