"""A click on a mask that is there changes it only near the click.

A tracked or painted mask is right but near the click, and so is one that a small network made of a
box or of clicks, unless the click lies deep in what is wrong. What a network predicts from a click
may change it anywhere. As in FocalClick's progressive merge (Chen et al. 2022), only the
part of the change is taken that holds the click. How far it may reach follows from the click: who
clicks in the middle of what is wrong sees it go on as far beyond the click as the outline is away.
"""

from __future__ import annotations

from dataclasses import replace
from math import floor, inf, pi, sqrt

import numpy as np
from scipy import ndimage

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.object_mask import PixelBox, Pixels
from sam2_plugins.core.prompts import Click

REACH = 2.0
"""A click changes a mask within this many times its distance to the outline."""

DETAIL = 1 / 3
"""A click that is further from the outline, in radii of a disc of the mask's area, shows that the
mask is wrong as a whole."""


def obeys(mask: ObjectMask, click: Click) -> bool:
    """Whether a mask has, or leaves out, the very pixel of a click."""
    x, y, label = click
    return bool(mask.around(x, y, 0).any()) == bool(label)


def is_elsewhere(mask: ObjectMask, click: Click) -> bool:
    """Whether a click on the object is so far from a mask that this is no mask of the object.

    What lies between would be wider than the mask.
    """
    return bool(click[2]) and _depth(mask, click) > 1


def is_detail(mask: ObjectMask, click: Click) -> bool:
    """Whether a click leaves no doubt about a mask, but for a detail.

    One on what the mask has tells more of an object of which only clicks are known; one on what the
    mask leaves out tells nothing new.
    """
    return not click[2] if obeys(mask, click) else _depth(mask, click) <= DETAIL


def corrected(mask: ObjectMask, predicted: ObjectMask, click: Click) -> ObjectMask | None:
    """Take over what a prediction changes around a click; None if that does not meet the click."""
    box, near = _around(mask, click)
    before = mask.window(box)
    change = (predicted.window(box) != before) & (before != bool(click[2])) & near
    parts, _ = ndimage.label(change, np.ones((3, 3)))
    x, y = floor(click[0]) - box[0], floor(click[1]) - box[1]
    held = set(parts[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].ravel()) - {0}
    return _changed(mask, box, np.isin(parts, list(held))) if held else None


def brushed(mask: ObjectMask, click: Click) -> ObjectMask:
    """Change the disc around a click that touches the outline: what no prediction found."""
    box, near = _around(mask, click, 1.0)
    return _changed(mask, box, near & (mask.window(box) != bool(click[2])))


def _around(mask: ObjectMask, click: Click, reach: float = REACH) -> tuple[PixelBox, Pixels]:
    """A box around a click, cut at the frame, and the pixels in it that the click may change."""
    x, y = floor(click[0]), floor(click[1])
    radius = reach * _to_outline(mask, click)
    height, width = mask.frame_size
    x0, y0 = max(floor(x - radius), 0), max(floor(y - radius), 0)
    x1, y1 = min(floor(x + radius) + 1, width), min(floor(y + radius) + 1, height)
    rows, columns = np.ogrid[y0:y1, x0:x1]
    return (x0, y0, x1, y1), np.hypot(columns - x, rows - y) <= radius


def _depth(mask: ObjectMask, click: Click) -> float:
    """Radii of a disc of the mask's area from a click to the outline."""
    return _to_outline(mask, click) / sqrt(mask.area / pi)


def _to_outline(mask: ObjectMask, click: Click) -> float:
    """Pixels from a click to the nearest one on the other side of the outline; inf if none is."""
    x, y = floor(click[0]) - mask.offset[0], floor(click[1]) - mask.offset[1]
    there = np.pad(mask.crop, 1)
    rows, columns = np.nonzero(there if click[2] else ~there)
    return float(np.hypot(columns - 1 - x, rows - 1 - y).min(initial=inf))


def _changed(mask: ObjectMask, box: PixelBox, where: Pixels) -> ObjectMask:
    pixels = mask.to_array()
    x0, y0, x1, y1 = box
    pixels[y0:y1, x0:x1] ^= where
    return replace(mask, crop=pixels, offset=(0, 0))
