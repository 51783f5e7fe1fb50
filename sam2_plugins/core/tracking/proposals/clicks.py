"""All objects of a frame, without a prompt: grids of clicks through windows of several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.operations import Operations
from sam2_plugins.core.tracking.proposals.landscape import windows_of
from sam2_plugins.core.tracking.windows.planner import (
    CROWDED_SHARE,
    Window,
    WindowPlanner,
    extent_of,
)

WINDOW_POINTS = 8
"""Clicks along each side of a window: two across an object of the usual size."""

SMALLEST_SHARE = 0.08
"""Of its window's side; a smaller object is found through a smaller window, or is a speck."""

FLAT = 0.05
"""Deviation within a window, as a share of the frame's, below which there is nothing in it."""


@dataclass(frozen=True)
class ClickGrid:
    """Which masks are proposed; see `ImageSegmenter.everything`."""

    points_per_side: int = 32
    min_iou: float = 0.8
    min_stability: float = 0.95
    stability_offset: float = 1.0
    max_overlap: float = 0.7
    min_area: int = 0


def propose_by_clicks(
    operations: Operations,
    planner: WindowPlanner,
    frame: int,
    wanted: ClickGrid,
) -> list[ObjectMask]:
    """Return the masks of a frame, best first."""
    image = operations.features.picture(frame).astype(np.float32).mean(-1)
    found = _through(operations, frame, planner.whole, wanted.points_per_side, wanted)
    # Every other rung, for they overlap.
    for window in chain.from_iterable(windows_of(planner, side) for side in planner.ladder()[::2]):
        if window.crop(image).std() < FLAT * image.std():
            continue
        side = max(window.width, window.height)
        for mask in _through(operations, frame, window, WINDOW_POINTS, wanted):
            extent = extent_of(mask)
            assert extent is not None
            usual = SMALLEST_SHARE <= extent.across / side <= CROWDED_SHARE
            if usual and planner.margin(window, extent.box) > 0:
                found.append(mask)
    return without_repeats(found, wanted.max_overlap)


def without_repeats(masks: Sequence[ObjectMask], max_overlap: float) -> list[ObjectMask]:
    """Greedy non-maximum suppression by the IoU of the masks themselves."""
    kept: list[ObjectMask] = []
    for mask in sorted(masks, key=lambda m: -m.iou):
        if all(mask.iou_with(other) <= max_overlap for other in kept):
            kept.append(mask)
    return kept


def _through(
    operations: Operations, frame: int, window: Window, points_per_side: int, wanted: ClickGrid
) -> list[ObjectMask]:
    """Masks that a grid of clicks finds through a window."""
    at = (np.arange(points_per_side) + 0.5) / points_per_side
    x, y = np.meshgrid(window.x + at * window.width, window.y + at * window.height)
    found = []
    for decoded in operations.decode_each(frame, window, np.stack((x, y), -1).reshape(-1, 1, 2)):
        stability = _stability(decoded.candidates, wanted.stability_offset)
        good = (decoded.ious >= wanted.min_iou) & (stability >= wanted.min_stability)
        good &= decoded.object_score > 0
        for row, column in torch.nonzero(good).tolist():
            mask = operations.drawn(decoded, row, window, column)
            if mask.visible and mask.area >= wanted.min_area:
                found.append(mask)
    return found


def _stability(logits: Tensor, offset: float) -> Tensor:
    inner = (logits > offset).sum((-1, -2)).float()
    outer = (logits > -offset).sum((-1, -2)).float()
    return inner / outer.clamp(min=1)
