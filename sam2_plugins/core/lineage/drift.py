"""How far a whole frame moved from one to the next: the stage drifts, and takes all cells along."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation

SEEN_AT = 256
"""Pixels of a frame's longer side at which it is compared."""


def drift(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[int, int]:
    """Return by how many pixels (x, y) a frame [H, W, 3] moved as a whole; (0, 0) if it did not."""
    step = max(1, max(before.shape) // SEEN_AT)
    one, other = (frame[::step, ::step].mean(-1) for frame in (before, after))
    shift, _, _ = phase_cross_correlation(one, other, normalization=None)
    dy, dx = (-round(float(n)) for n in shift)
    if not _explains(one, other, dx, dy):
        return 0, 0
    return dx * step, dy * step


def _explains(one: NDArray[np.floating], other: NDArray[np.floating], dx: int, dy: int) -> bool:
    """Whether a shift makes two frames more alike than they are, and by much."""
    height, width = one.shape
    if not (dx or dy) or 2 * abs(dx) >= width or 2 * abs(dy) >= height:
        return False
    here = one[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    there = other[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
    moved = np.abs(here - there).mean()
    stayed = np.abs(one - other).mean()
    return bool(moved < 0.8 * stayed)
