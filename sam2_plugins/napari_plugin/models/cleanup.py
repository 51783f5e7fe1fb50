"""Clean-up of masks: fill holes, drop small parts, smooth outlines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import ceil, sqrt

import numpy as np
from scipy import ndimage

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin.layers.mask_store import Change, Index
from sam2_plugins.napari_plugin.models.session import Session, Tidied

SMOOTHING = 0.06
"""Width of the blur, as a share of the object's diameter."""


def fill_holes(mask: ObjectMask) -> ObjectMask:
    """Fill the holes of a mask."""
    return replace(mask, crop=ndimage.binary_fill_holes(mask.crop)) if mask.visible else mask


def largest_part(mask: ObjectMask) -> ObjectMask:
    """Return the largest part of a mask."""
    return mask.without_specks(1.0)


def smooth(mask: ObjectMask) -> ObjectMask:
    """Smooth the outline; at the frame's edge it stays straight."""
    if mask.box is None:
        return mask
    sigma = max(SMOOTHING * 2 * sqrt(mask.area / np.pi), 0.7)
    reach, (height, width), (x0, y0, x1, y1) = ceil(3 * sigma), mask.frame_size, mask.box
    box = max(x0 - reach, 0), max(y0 - reach, 0), min(x1 + reach, width), min(y1 + reach, height)
    blurred = ndimage.gaussian_filter(mask.window(box).astype(np.float32), sigma, mode="nearest")
    return replace(mask, crop=blurred > 0.5, offset=box[:2])


CLEANERS: Mapping[str, Callable[[ObjectMask], ObjectMask]] = {
    "Fill holes": fill_holes,
    "Drop small parts": largest_part,
    "Smooth outline": smooth,
}
"""By name."""


def clean(
    session: Session,
    label: int,
    indices: Iterable[Index],
    cleaner: Callable[[ObjectMask], ObjectMask],
) -> Change:
    """Clean an object's masks on some frames; return the masks that undo it.

    A mask never goes away altogether. What is cleaned stays so through later runs, as long as the
    model's own mask of that frame is the same; a painted mask is one still.
    """
    change: Change = {}
    for index in indices:
        entry = index, label
        before = session.store.get(*entry)
        after = before and cleaner(before)
        if before is None or after is None or after == before or not after.visible:
            continue
        change[entry] = session.store.put(*entry, after)
        if entry in session.painted:
            session.painted[entry] = replace(session.painted[entry], mask=after)
        else:
            earlier = session.tidied.get(entry)
            own = earlier.own if earlier is not None and earlier.shown == before else before
            session.tidied[entry] = Tidied(own, after)
    return change
