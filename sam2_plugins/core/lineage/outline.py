"""The mean of two outlines of one object: what two views of it agree on is nearer to the truth."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy import ndimage

from sam2_plugins.core.masks import ObjectMask

BLUR = 0.04
"""Share of an object's diameter by which both are blurred, so that what only one has is decided by
what lies around it.
"""

ROUNDING = 1e-6
"""What only one has, and is far from both outlines, is left out, however a sum is rounded."""


def mean_outline(one: ObjectMask, other: ObjectMask) -> ObjectMask:
    """Return the mask between two of one object, with the scores of the second."""
    assert one.box is not None
    assert other.box is not None
    (x0, y0, x1, y1), (u0, v0, u1, v1) = one.box, other.box
    height, width = other.frame_size
    sigma = BLUR * math.sqrt(4 / math.pi * other.area)
    margin = math.ceil(sigma)
    left, top = max(0, min(x0, u0) - margin), max(0, min(y0, v0) - margin)
    box = (left, top, min(width, max(x1, u1) + margin), min(height, max(y1, v1) + margin))
    both = 1.0 * one.window(box) + other.window(box)
    # Beyond the frame an object goes on.
    mean = ndimage.gaussian_filter(both, sigma, mode="nearest") > 1 + ROUNDING
    # Of what is as thin as the blur nothing would be left.
    return replace(other, crop=mean, offset=(left, top)) if mean.any() else other
