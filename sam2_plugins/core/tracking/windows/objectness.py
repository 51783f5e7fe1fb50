"""Objectness of masks on a photograph: which of them is a whole object (Alexe et al. 2010).

On a photograph a small model is surest of patches of texture. A whole object has an outline that is
seen, other colours than its surroundings, and a person clicks near its middle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Box
from sam2_plugins.core.tracking.windows.planner import Window

LOOKED_AT = 160
"""Pixels along a window's longer side that are looked at."""

LEVELS = 8
"""Of each channel, that are told from each other."""

NEAR = 0.7
"""Width of the surroundings that colours are compared with, in half widths of the object."""

FAINT = 0.05
"""What a mask of the colours of its surroundings still counts."""

SHARP = 4.0
"""Mean slopes of a window that the slope across an outline has at least, which is seen clearly."""

GUESSED = 0.5
"""Share of its window's longer side that an object may have, which a click alone did not find."""

SHAPES = ((1.0, 1.0), (0.55, 1.0), (1.0, 0.55))
"""Widths and heights of such objects, as shares of their longer side."""


class PhotographWindow:
    """A window of a photograph, in which masks are judged.

    Parameters
    ----------
    picture
        The frame [H, W, 3].
    """

    def __init__(self, picture: NDArray[np.uint8], window: Window) -> None:
        self._box = window.box
        self._step = max(1, round(max(window.width, window.height) / LOOKED_AT))
        pixels = self._some(window.crop(picture))
        red, green, blue = np.moveaxis(pixels.astype(np.int64) * LEVELS // 256, -1, 0)
        self._colours = (red * LEVELS + green) * LEVELS + blue
        smooth = ndimage.gaussian_filter(pixels.astype(np.float32), (1, 1, 0))
        slopes = np.sqrt(sum(ndimage.sobel(smooth, axis) ** 2 for axis in (0, 1)).sum(-1))
        self._edges = slopes / max(1e-6, slopes.mean())

    def objectness(self, mask: ObjectMask, click: tuple[float, float]) -> float:
        """How much the part of a mask under a click looks like a whole object, from 0 to 1."""
        whole = self._some(mask.window(self._box))
        place = self._place(click, whole.shape)
        parts, _ = ndimage.label(whole)
        part = parts == parts[place] if parts[place] else whole
        if not part.any():
            return 0.0
        depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
        beside = ndimage.distance_transform_edt(~part)
        around = (beside > 1) & (beside <= 1 + max(2, NEAR * depth.max()))
        central = depth[place] / depth.max()
        distinct = min(1, 1 - self._shared(part, around) + FAINT)
        seen = min(1, self._edges[part & (depth <= 1)].mean() / SHARP) ** 0.5
        return float(central * distinct * seen)

    def _some(self, pixels: NDArray) -> NDArray:
        return pixels[:: self._step, :: self._step]

    def _place(self, click: tuple[float, float], shape: tuple[int, ...]) -> tuple[int, int]:
        """Row and column of a click among the pixels that are looked at."""
        x, y = (int(click[i] - self._box[i]) // self._step for i in (0, 1))
        return min(max(y, 0), shape[0] - 1), min(max(x, 0), shape[1] - 1)

    def _shared(self, part: NDArray[np.bool_], around: NDArray[np.bool_]) -> float:
        """Share of the colours that a part has in common with what is around it."""
        if not around.any():
            return 1.0
        own, other = (
            np.bincount(self._colours[some], minlength=LEVELS**3) / some.sum()
            for some in (part, around)
        )
        return float(np.minimum(own, other).sum())


def guessed_boxes(click: tuple[float, float], window: Window) -> list[Box]:
    """Boxes around a click that may be those of an object, as large as one may be in a window."""
    (x, y), (x0, y0, x1, y1) = click, window.box
    half = GUESSED * max(window.width, window.height) / 2
    return [
        Box(
            max(x0, x - half * w),
            max(y0, y - half * h),
            min(x1, x + half * w),
            min(y1, y + half * h),
        )
        for w, h in SHAPES
    ]
