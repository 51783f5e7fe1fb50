"""Clicks on an object of unknown size: what is found through windows of several sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Points
from sam2_plugins.core.tracking.windows.objectness import PhotographWindow
from sam2_plugins.core.tracking.windows.planner import (
    OBJECT_SHARE,
    Extent,
    Window,
    WindowPlanner,
    extent_of,
)

CLOSER_VIEW_MARGIN = 0.02
"""Trust within this is equal, and of equals the closer view has the finer outline."""

CONSENSUS_PRIOR = 0.5
"""One more witness, who always half agrees: what only one window can show is not sure for that."""

SIZE_LOG_SIGMA = 1.2
"""Natural logarithm by which an object may differ from the usual size in a window."""

PHOTOGRAPH_SHARE, PHOTOGRAPH_LOG_SIGMA = 0.4, 0.7
"""Usual share of its window's side that an object of a photograph has, and how far from it."""

COLOURFUL = 3.0
"""Mean distance of the channels from grey, of 255, from which a frame counts as a photograph."""

SURE_IN_PHOTOGRAPH = 0.8
"""Predicted IoU that a closer view of a photograph needs: texture is full of what looks like cells,
and what it shows of a large object is a patch.
"""


@dataclass(frozen=True)
class ScaleCandidate:
    """A mask that clicks found through a window.

    Attributes
    ----------
    unmet
        Clicks that the mask goes against.
    """

    window: Window
    mask: ObjectMask
    extent: Extent
    unmet: int = 0


def find_object(
    clicks: Points,
    windows: Sequence[Window],
    planner: WindowPlanner,
    candidates: Callable[[Window], Sequence[ObjectMask]],
    photograph: bool = False,
    judged: np.ndarray | None = None,
) -> ScaleCandidate | None:
    """Find the object under clicks; None if no window shows a whole one.

    A mask is trusted for its predicted IoU, for how nearly the other windows that would show it
    whole find it too, and for being of about the size at which objects are best seen. Through one
    window alone, cells that touch are often taken together, or a part for the whole. A mask that
    goes against fewer clicks comes before all others.

    Parameters
    ----------
    windows
        Around the clicks, largest first.
    candidates
        Gives the masks that a window shows, with their predicted IoU.
    photograph
        A closer view than the largest window has to be sure.
    judged
        The photograph [H, W, 3], for a model whose predicted IoU says little there: masks are
        trusted for their objectness instead.
    """
    seen = [_candidates(window, candidates(window), clicks) for window in windows]
    sure = photograph and judged is None
    best, trusted = None, -math.inf
    for through_one in filter(None, seen):
        if judged is None:
            trusts = [_trust(one, seen, planner) for one in through_one]
        else:
            shown = PhotographWindow(judged, through_one[0].window)
            trusts = [
                _trust(one, seen, planner, shown.objectness(one.mask, clicks.on_it[0]))
                for one in through_one
            ]
        trust = max(trusts)
        one = through_one[trusts.index(trust)]
        closer = one.window != windows[0]
        if planner.margin(one.window, one.extent.box) <= 0 or (
            sure and closer and one.mask.iou < SURE_IN_PHOTOGRAPH
        ):
            continue
        if trust > trusted - CLOSER_VIEW_MARGIN:
            trusted, best = max(trusted, trust), one
    return best


def is_photograph(image: np.ndarray) -> bool:
    """Whether a picture [H, W, 3] has the colours of a photograph."""
    pixels = _some(image)
    return bool(np.abs(pixels - pixels.mean(1, keepdims=True)).mean() > COLOURFUL)


def is_many_coloured(image: np.ndarray) -> bool:
    """Whether the colours of a picture [H, W, 3] tell more than its brightness: not of one dye."""
    pixels = _some(image)
    off = pixels - pixels.mean(0)
    bright = off.mean(1)
    # All channels of one dye become brighter, or darker, together.
    dye = (bright @ off / max(1.0, bright @ bright)).clip(0, 3)
    return bool(np.abs(off - np.outer(bright, dye)).mean() > COLOURFUL)


def _some(image: np.ndarray) -> np.ndarray:
    """Take pixels [n, 3] from all over a picture."""
    rows, columns = (max(1, side // 64) for side in image.shape[:2])
    return image[::rows, ::columns].reshape(-1, 3).astype(float)


def unmet_clicks(mask: ObjectMask, clicks: Points, reach: int) -> list[int]:
    """Indices of clicks that a mask goes against: on the object and left out, or beside and in it.

    Within `reach` pixels of its outline, the two are not distinguished.
    """
    unmet = []
    for index, ((x, y), label) in enumerate(zip(clicks.xy, clicks.labels, strict=True)):
        near = mask.around(x, y, reach)
        if not near.any() if label else near.all():
            unmet.append(index)
    return unmet


def _candidates(
    window: Window, masks: Sequence[ObjectMask], clicks: Points
) -> list[ScaleCandidate]:
    inside = next(iter(clicks.on_it), None)
    found = []
    for mask in masks:
        extent = extent_of(mask, inside)
        if extent is not None:
            unmet = len(unmet_clicks(mask, clicks, reach=1)) if len(clicks.xy) > 1 else 0
            found.append(ScaleCandidate(window, mask, extent, unmet))
    return found


def _usual(one: ScaleCandidate, share: float, sigma: float) -> float:
    """How nearly a mask has the usual size in its window, from 0 to 1."""
    side = max(one.window.width, one.window.height)
    return math.exp(-((math.log(one.extent.across / side / share) / sigma) ** 2) / 2)


def _trust(
    one: ScaleCandidate,
    seen: Sequence[Sequence[ScaleCandidate]],
    planner: WindowPlanner,
    objectness: float | None = None,
) -> float:
    consensus = _consensus(one, seen, planner)
    if objectness is None:
        return one.mask.iou * consensus * _usual(one, OBJECT_SHARE, SIZE_LOG_SIGMA) - one.unmet
    usual = _usual(one, PHOTOGRAPH_SHARE, PHOTOGRAPH_LOG_SIGMA)
    return objectness * consensus**0.5 * usual - one.unmet


def _consensus(
    one: ScaleCandidate, seen: Sequence[Sequence[ScaleCandidate]], planner: WindowPlanner
) -> float:
    """How nearly the other windows that would show a mask whole find it too, from 0 to 1."""

    def could_agree(them: Sequence[ScaleCandidate]) -> bool:
        # A window that is too small for the object is no witness.
        return them[0].window != one.window and (planner.margin(them[0].window, one.extent.box) > 0)

    others = [them for them in seen if them and could_agree(them)]
    shared = [max(one.mask.iou_with(other.mask) for other in them) for them in others]
    return fmean([*shared, CONSENSUS_PRIOR])
