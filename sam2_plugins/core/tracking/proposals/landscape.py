"""The landscape of a whole frame: what the object finder sees through overlapping windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import ObjectFinder
from sam2_plugins.core.runtime import in_inference
from sam2_plugins.core.tracking.feature_cache import FeatureCache
from sam2_plugins.core.tracking.windows.planner import Window, WindowPlanner

PROMINENCE = 0.2
"""Depth that lies between two tops, at least, if they are of two objects.

Chosen on synthetic pictures; see `benchmarks/object_finder.py`.
"""

NOTHING = 0.2
"""Probability of an object from further away, below which nothing is looked for enlarged."""

SMALLEST_HILL = 12
"""Cells; fewer are noise."""


@dataclass(frozen=True)
class Hill:
    """An object of a landscape.

    Attributes
    ----------
    presence
        Mean probability that an object is there, over its pixels.
    top
        Its greatest depth: the higher, the clearer it stands out.
    """

    mask: ObjectMask
    presence: float
    top: float


class Surveyor:
    """Makes landscapes of the frames of a movie."""

    def __init__(
        self, finder: ObjectFinder, features: FeatureCache, planner: WindowPlanner
    ) -> None:
        self.model = features.model
        self._finder = finder
        self._features = features
        self._planner = planner

    def hills(
        self, frame: int, side: int | None, windows: Sequence[Window] | None = None
    ) -> list[Hill]:
        """Find the objects of a frame.

        Parameters
        ----------
        side
            Of the windows through which it is seen, and of larger ones beside them; None: the whole
            frame at once.
        windows
            Look through these only.
        """
        sides = dict.fromkeys((self._planner.coarser(side), side))
        views = [
            [w for w in windows or windows_of(self._planner, one) if self._side_of(w) == one]
            for one in sides
        ]
        presence, depth = self._landscape(frame, side, views)
        there = presence > 0.5
        depth = ndimage.gaussian_filter(depth, 1)
        tops, _ = ndimage.label(there & (h_maxima(np.where(there, depth, 0), PROMINENCE) > 0))
        regions = watershed(-depth, tops, mask=there)
        size = self._planner.frame_size
        found = []
        for number, box in enumerate(ndimage.find_objects(regions), 1):
            if box is None:
                continue
            region = regions[box] == number
            if region.sum() >= SMALLEST_HILL:
                mask = _in_frame(region, box, regions.shape, size)
                sure = float(presence[box][region].mean())
                if mask.visible:  # cells may be finer than pixels
                    found.append(Hill(mask, sure, float(depth[box][region].max())))
        return found

    def _side_of(self, window: Window) -> int | None:
        return None if window == self._planner.whole else max(window.width, window.height)

    @in_inference
    def _landscape(
        self, frame: int, side: int | None, views: Sequence[Sequence[Window]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Presence and depth of a frame, in cells of so many pixels as the finder tells apart.

        What is seen from near and from further away counts alike: texture is no object from further
        away, and a gap between two objects shows from near.
        """
        height, width = self._planner.frame_size
        cell = (side or max(height, width)) / (self.model.image_size // 2)
        enlarged = self._planner.enlarges(side)
        shape = max(1, round(height / cell)), max(1, round(width / cell))
        both, seen = np.zeros((2, *shape), np.float32), np.full(shape, 1e-6, np.float32)
        for windows in views:
            total, weights = np.zeros((2, *shape), np.float32), np.zeros(shape, np.float32)
            for window in windows:
                rows = _cells(window.y, window.height, cell, shape[0])
                columns = _cells(window.x, window.width, cell, shape[1])
                known = enlarged and (seen[rows, columns] >= 1).all()
                if known and both[0, rows, columns].max() < NOTHING:
                    continue
                inner = rows.stop - rows.start, columns.stop - columns.start
                weight = _towards_middle(inner)
                total[:, rows, columns] += weight * self._look(frame, window, inner)
                weights[rows, columns] += weight
            both += total / np.maximum(weights, 1e-6)
            seen += weights > 0
        presence, depth = both / seen
        return presence, depth

    def _look(self, frame: int, window: Window, shape: tuple[int, int]) -> NDArray[np.float32]:
        pixels, features = self._features.seen(frame, window)
        found = self._finder(pixels, features)
        both = torch.stack((found.presence, found.depth), 1)
        resized = F.interpolate(both, size=shape, mode="bilinear")
        return np.asarray(resized[0].sigmoid().float().cpu().numpy())


def windows_of(planner: WindowPlanner, side: int | None) -> list[Window]:
    """Windows of a side that cover the frame, overlapping by half; None: the whole frame."""
    if side is None:
        return [planner.whole]
    height, width = planner.frame_size
    step = max(1, side // 2)
    corners = (
        (x, y)
        for y in range(0, max(1, height - step), step)
        for x in range(0, max(1, width - step), step)
    )
    return list(dict.fromkeys(planner.at(x, y, side) for x, y in corners))


def _cells(begin: int, length: int, cell: float, count: int) -> slice:
    """Cells that a window covers: one of them at least, be the frame as narrow as it may."""
    first = min(round(begin / cell), count - 1)
    return slice(first, max(round((begin + length) / cell), first + 1))


def _towards_middle(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Weights that fall towards the edges, where a window does not know what comes next."""
    rows, columns = (np.minimum(np.arange(n) + 1, n - np.arange(n)) / n for n in shape)
    return np.asarray(rows[:, None] * columns[None], np.float32)


def _in_frame(
    region: NDArray[np.bool_],
    box: tuple[slice, slice],
    shape: tuple[int, ...],
    frame_size: tuple[int, int],
) -> ObjectMask:
    """A region of cells as a mask of the frame."""
    scales = [n / m for n, m in zip(frame_size, shape, strict=True)]
    # Of cells that are finer than pixels a row or two may be nothing: one pixel then.
    top, left = (
        min(round(s.start * scale), n - 1)
        for s, scale, n in zip(box, scales, frame_size, strict=True)
    )
    bottom, right = (
        max(round(s.stop * scale), first + 1)
        for s, scale, first in zip(box, scales, (top, left), strict=True)
    )
    smooth = F.interpolate(
        torch.from_numpy(np.pad(region, 1).astype(np.float32))[None, None],
        size=(
            round((bottom - top) * (region.shape[0] + 2) / region.shape[0]),
            round((right - left) * (region.shape[1] + 2) / region.shape[1]),
        ),
        mode="bilinear",
    )[0, 0].numpy()
    dy, dx = (smooth.shape[0] - (bottom - top)) // 2, (smooth.shape[1] - (right - left)) // 2
    crop = smooth[dy : dy + bottom - top, dx : dx + right - left] > 0.5
    height, width = frame_size
    crop = crop[: height - top, : width - left]
    return ObjectMask(crop, (left, top), frame_size)
