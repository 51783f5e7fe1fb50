"""A click on an object of unknown size: what is found through windows of several sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.windows.planner import (
    OBJECT_SHARE,
    Extent,
    Window,
    WindowPlanner,
    extent_of,
)

SURER = 0.02
"""Difference that decides between two windows: of equals, the closer look has the finer outline."""

DOUBT = 0.5
"""One witness more, who always half agrees: what only one window can show is not sure for that."""

SIZES = 1.2
"""Natural logarithm by which an object may differ from the usual size in a window."""


@dataclass(frozen=True)
class Sight:
    """A mask that a click found through a window."""

    window: Window
    mask: ObjectMask
    extent: Extent


def look(
    click: tuple[float, float],
    windows: Sequence[Window],
    planner: WindowPlanner,
    ask: Callable[[Window], Sequence[ObjectMask]],
) -> Extent | None:
    """Return the extent of the object under a click, or None if no window shows a whole one.

    A mask is trusted for its predicted IoU, for how nearly the other windows that would show it
    whole find it too, and for being of about the size at which objects are best seen. Through one
    window alone, cells that touch are often taken together, or a part for the whole.

    Parameters
    ----------
    click
        (x, y) in pixels of the frame.
    windows
        Around the click, largest first.
    ask
        Gives the candidate masks that a window shows, with their predicted IoU.
    """
    seen = [_sights(window, ask(window), click) for window in windows]
    best, found = -1.0, None
    for sights in seen:
        trusts = [_trust(sight, seen, planner) for sight in sights]
        if not trusts:
            continue
        trust = max(trusts)
        sight = sights[trusts.index(trust)]
        if planner.margin(sight.window, sight.extent.box) > 0 and trust > best - SURER:
            best, found = max(best, trust), sight.extent
    return found


def _sights(window: Window, masks: Sequence[ObjectMask], click: tuple[float, float]) -> list[Sight]:
    extents = [extent_of(mask, click) for mask in masks]
    return [
        Sight(window, mask, extent)
        for mask, extent in zip(masks, extents, strict=True)
        if extent is not None
    ]


def _trust(sight: Sight, seen: Sequence[Sequence[Sight]], planner: WindowPlanner) -> float:
    def could_agree(them: Sequence[Sight]) -> bool:
        # A window that is too small for the object is no witness.
        return them[0].window != sight.window and (
            planner.margin(them[0].window, sight.extent.box) > 0
        )

    others = [them for them in seen if them and could_agree(them)]
    side = max(sight.window.width, sight.window.height)
    unusual = math.log(sight.extent.across / side / OBJECT_SHARE) / SIZES
    shared = [max(sight.mask.iou_with(other.mask) for other in them) for them in others]
    consensus = fmean([*shared, DOUBT])
    return sight.mask.iou * consensus * math.exp(-(unusual**2) / 2)
