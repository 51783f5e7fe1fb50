"""Which masks of a tracked object should be looked at: one rule for every host.

The score that a model predicts for its own mask is not enough: it is high for a mask that has
slipped onto a neighbour. A mask is doubtful by several signs together. Their weights were fitted on
real movies with known truth, and `benchmarks/doubt.py` measures what the rule finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, isnan, log2, sqrt

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import POSITIVE, Prompt

DOUBTFUL = 0.37
"""From this value on, a mask should be looked at."""

_WEIGHTS: Mapping[str, float] = {
    "low predicted IoU": 0.9,
    "low object score": 0.5,
    "jump of area": 0.3,
    "jump of shape": 0.7,
    "jump of place": 0.2,
    "overlap with another object": 0.85,
    "another size than when prompted": 0.25,
}
_FULL = 2.0
"""Weighted signs that make a mask as doubtful as can be."""
_NOTABLE = 0.3
"""From this strength on, a sign is named as a reason."""


@dataclass(frozen=True)
class Doubt:
    """How doubtful one mask is.

    Attributes
    ----------
    value
        From 0, no sign of an error, to 1.
    reasons
        Signs of an error, the strongest first.
    """

    value: float = 0.0
    reasons: tuple[str, ...] = ()

    @property
    def doubtful(self) -> bool:
        """Whether the mask should be looked at."""
        return self.value >= DOUBTFUL


LOST = Doubt(1.0, ("lost",))
DISOBEYED = Doubt(1.0, ("a click is not obeyed",))


def doubt_of(
    mask: ObjectMask,
    before: ObjectMask | None = None,
    reference: ObjectMask | None = None,
    others: Iterable[ObjectMask] = (),
) -> Doubt:
    """Judge one tracked mask.

    Parameters
    ----------
    before
        Of the frame from which the object was tracked to this one.
    reference
        Of the frame with the nearest prompt.
    others
        Of the other objects on the same frame.
    """
    if not mask.visible:
        return LOST
    area = mask.area
    signs = dict.fromkeys(_WEIGHTS, 0.0)
    if not isnan(mask.iou):
        signs["low predicted IoU"] = _share(0.9 - mask.iou, 0.5)
    if not isnan(mask.score):
        signs["low object score"] = _share(12 - mask.score, 15)
    if before is not None and before.visible:
        signs["jump of area"] = _share(abs(log2(area / before.area)), 1.5)
        signs["jump of shape"] = 1 - _alike(mask, before)
        signs["jump of place"] = _share(_moved(mask, before), 1.0)
    elif before is not None:
        signs["jump of shape"] = 1.0
    if reference is not None and reference.visible:
        signs["another size than when prompted"] = _share(abs(log2(area / reference.area)), 2.0)
    signs["overlap with another object"] = _covered(mask, others)
    weighted = {name: _WEIGHTS[name] * strength for name, strength in signs.items()}
    reasons = [name for name, strength in signs.items() if strength >= _NOTABLE]
    reasons.sort(key=lambda name: -weighted[name])
    return Doubt(min(sum(weighted.values()) / _FULL, 1.0), tuple(reasons))


def neighbours(frame: int, origins: Sequence[int]) -> tuple[int, int]:
    """Return the frame from which one was tracked, and the prompted frame nearest to it."""
    nearest = min(origins, key=lambda origin: abs(origin - frame), default=-1)
    return (frame - 1 if nearest < frame else frame + 1), nearest


def obeyed(mask: ObjectMask, prompts: Iterable[Prompt]) -> bool:
    """Whether a mask has every click that includes in it, and every one that excludes beside it."""
    return all(
        bool(mask.around(x, y, 1 if label == POSITIVE else 0).any()) == (label == POSITIVE)
        for prompt in prompts
        if prompt.points is not None
        for (x, y), label in zip(prompt.points.xy, prompt.points.labels, strict=True)
    )


def _share(value: float, full: float) -> float:
    return min(max(value / full, 0.0), 1.0)


def _alike(mask: ObjectMask, before: ObjectMask) -> float:
    """IoU of two masks with their middles laid on one another."""
    (x, y), (u, v) = mask.centroid or (0.0, 0.0), before.centroid or (0.0, 0.0)
    dx, dy = round(x - u), round(y - v)
    x0, y0, x1, y1 = mask.box or (0, 0, 0, 0)
    moved = before.window((x0 - dx, y0 - dy, x1 - dx, y1 - dy))
    common = int((moved & mask.crop).sum())
    return common / (mask.area + before.area - common)


def _moved(mask: ObjectMask, before: ObjectMask) -> float:
    """How far the middle of an object moved, in its own sizes."""
    (x, y), (u, v) = mask.centroid or (0.0, 0.0), before.centroid or (0.0, 0.0)
    return hypot(x - u, y - v) / sqrt(max(mask.area, before.area))


def _covered(mask: ObjectMask, others: Iterable[ObjectMask]) -> float:
    """Largest share of this mask, or of another one, that the two have in common."""
    seen = (other for other in others if other.visible)
    shares = (mask.intersection_with(o) / min(mask.area, o.area) for o in seen)
    return max(shares, default=0.0)
