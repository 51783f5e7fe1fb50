"""Where a thing went from one frame to the next, when the stage or the camera jumped."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.feature import match_template

from sam2_plugins.core.masks.object_mask import PixelBox

CONTEXT, REACH = 0.75, 1.0
"""Shares of an object's longer side: what is looked at around it, and how far it is looked for."""

COARSE_PIXELS = 16
"""Pixels of the object's longer side at which it is looked for: coarse, and so quick."""

SAMPLES = 4
"""Rows and columns of each of these coarse pixels that are looked at, if it has that many."""

GLANCES = (24, 1, 0.75), (12, 3, 0.85)
"""Cells a side that a glance looks at, pixels across each of them, and the correlation from which
on nothing jumped. A second glance, at what the first did not find the same, is not misled by what
moves by a pixel or two: means of pixels are more alike."""

MIN_CORRELATION, MIN_GAIN = 0.6, 0.3
"""Correlation from which on a place counts as found; and how much higher than the old place's."""


def stayed(
    before: NDArray[np.uint8], after: NDArray[np.uint8], boxes: Sequence[PixelBox]
) -> NDArray[np.bool_]:
    """Tell at a glance which boxes look the same on both frames, [n]; noise hides that.

    Parameters
    ----------
    before, after
        [H, W, C], of one size; the first channel is looked at.
    boxes
        x0, y0, x1, y1, ends exclusive.
    """
    corners = np.array(boxes, float)
    margin = CONTEXT * (corners[:, 2:] - corners[:, :2]).max(1, keepdims=True)
    first, extent = corners[:, :2] - margin, corners[:, 2:] - corners[:, :2] + 2 * margin
    found = np.zeros(len(corners), bool)
    for cells, across, alike in GLANCES:
        left = np.flatnonzero(~found)
        if not len(left):
            break
        one, other = (
            _glance(image, first[left], extent[left], cells, across) for image in (before, after)
        )
        spread = np.sqrt((one**2).sum(1) * (other**2).sum(1))
        found[left] = (one * other).sum(1) >= alike * np.maximum(spread, 1)
    return found


def _glance(
    image: NDArray[np.uint8],
    first: NDArray[np.float64],
    extent: NDArray[np.float64],
    cells: int,
    across: int,
) -> NDArray[np.float32]:
    """Cells of n parts of an image [H, W, C], less their mean: [n, cells²]."""
    height, width, channels = image.shape
    steps = (np.arange(cells * across) + 0.5) / (cells * across)
    at = (first[:, None] + extent[:, None] * steps[:, None]).clip(0, (width - 1, height - 1))
    x, y = at.astype(np.intp).transpose(2, 0, 1)
    seen = image.reshape(-1).take((y[:, :, None] * width + x[:, None]) * channels)
    seen = seen.astype(np.float32)
    if across > 1:
        mean = np.kron(np.eye(cells, dtype=np.float32), np.full((1, across), 1 / across, "f"))
        seen = mean @ seen @ mean.T
    seen = seen.reshape(len(seen), -1)
    return seen - seen.mean(1, keepdims=True)


def displacement(
    before: NDArray[np.uint8], after: NDArray[np.uint8], box: PixelBox
) -> tuple[int, int]:
    """Return by how many pixels (x, y) a box and what is around it jumped between two frames.

    (0, 0) if it still looks the same at its place, or is found nowhere: small motions are the
    model's to follow.

    Parameters
    ----------
    before, after
        [H, W, C], of one size.
    box
        x0, y0, x1, y1 in `before`, ends exclusive.
    """
    longer = max(box[2] - box[0], box[3] - box[1])
    step = max(1, round(longer / COARSE_PIXELS))
    around = _grown(box, CONTEXT * longer, before.shape)
    searched = _grown(around, REACH * longer, after.shape)
    # Both are cut on one lattice, so that the old place is a whole number of steps into the new.
    around = _on_lattice(around, searched, step)
    pattern, same_place = _shrunk(before, around, step), _shrunk(after, around, step)
    if min(pattern.shape) < 3 or np.ptp(pattern) == 0:
        return 0, 0  # there is nothing to see
    if _correlation(pattern, same_place) >= MIN_CORRELATION:
        return 0, 0
    around_it = _shrunk(after, searched, step)
    # Sums of small numbers are exact enough in single precision, which takes half the time.
    alike = match_template(around_it - around_it.mean(), pattern)
    old = ((around[1] - searched[1]) // step, (around[0] - searched[0]) // step)
    new = np.unravel_index(int(alike.argmax()), alike.shape)
    if alike[new] < MIN_CORRELATION or alike[new] < alike[old] + MIN_GAIN:
        return 0, 0
    return int(new[1] - old[1]) * step, int(new[0] - old[0]) * step


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """From −1 to 1; 0 if the other is flat."""
    one, other = (each.ravel() - each.mean() for each in (one, other))
    spread = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / spread if spread > 0 else 0.0


def _grown(box: PixelBox, by: float, shape: tuple[int, ...]) -> PixelBox:
    height, width = shape[:2]
    margin = round(by)
    return (
        max(0, box[0] - margin),
        max(0, box[1] - margin),
        min(width, box[2] + margin),
        min(height, box[3] + margin),
    )


def _on_lattice(box: PixelBox, origin: PixelBox, step: int) -> PixelBox:
    """The part of a box whose corners are whole steps from the corner of another around it."""
    x0, y0, x1, y1 = (value - origin[i % 2] for i, value in enumerate(box))
    x0, y0 = -(-x0 // step) * step, -(-y0 // step) * step
    x1, y1 = x1 // step * step, y1 // step * step
    return origin[0] + x0, origin[1] + y0, origin[0] + x1, origin[1] + y1


def _shrunk(image: NDArray[np.uint8], box: PixelBox, step: int) -> NDArray[np.float32]:
    """Mean brightness of blocks of a part of an image, each of `step` pixels a side."""
    apart = max(1, step // SAMPLES)
    block = step // apart
    height, width = ((box[i + 2] - box[i]) // step * step for i in (1, 0))
    part = image[box[1] : box[1] + height, box[0] : box[0] + width]
    if apart > 1:  # of each block so many rows and columns
        part = part.reshape(height // step, step, width // step, step, -1)
        part = part[:, : block * apart : apart, :, : block * apart : apart]
    rows, columns, channels = height // step, width // step, image.shape[2]
    across = part.reshape(rows, block, columns * block * channels).sum(1, dtype=np.uint32)
    return across.reshape(rows, columns, block * channels).mean(2, "f4")
