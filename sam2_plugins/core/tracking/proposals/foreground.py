"""What stands out of a frame by its brightness, where that is what the frame's objects do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_li
from skimage.measure import regionprops

from sam2_plugins.core.masks import ObjectMask, compose_label_image
from sam2_plugins.core.tracking.proposals.landscape import SMALLEST_HILL, Hill

AGREEMENT = 0.6
"""IoU with all hills from which on the foreground is believed."""

COVERED = 0.3
"""Share of a part of the foreground that hills cover, below which it is an object of its own."""

SOLID = 0.93
"""Solidity from which on a part of the foreground has no neck; two discs that touch have .85."""

STRETCHED = 1.5
"""Factor by which one object may be more elongated than the usual one."""


def mended(hills: Sequence[Hill], usual: float, picture: NDArray[np.uint8]) -> list[Hill]:
    """Return hills with those that were left out, and with parts of one object as one.

    Nothing changes where neither the bright nor the dark pixels of the picture agree with them.

    Parameters
    ----------
    usual
        Diameter of the frame's usual object, in pixels.
    picture
        uint8 [H, W, 3].
    """
    numbered = _numbered(hills, (picture.shape[0], picture.shape[1]))
    smooth = ndimage.gaussian_filter(picture.mean(2, dtype=np.float32), 1)
    above = smooth - np.median(smooth)
    both = [_standing_out(above), _standing_out(-above)]
    agreeing = ((_iou(pixels, numbered > 0), pixels) for pixels in both)
    agreement, pixels = max(agreeing, key=lambda one: one[0])
    if agreement < AGREEMENT:
        return list(hills)
    kept, new = dict(enumerate(hills, 1)), list[Hill]()
    usual_area = math.pi / 4 * usual**2
    usual_stretch = float(np.median([_stretch(_shape(hill.mask)) for hill in hills]))
    for part, numbers in _parts(pixels, numbered):
        covered = Counter(numbers[numbers > 0].tolist())
        if covered.total() < COVERED * part.area:
            if part.area >= SMALLEST_HILL:
                new.append(Hill(part, agreement, 1.0))
            continue
        inside = [n for n, size in covered.items() if 2 * size > hills[n - 1].mask.area]
        masks = [kept[n].mask for n in inside]
        if len(inside) > 1 and _is_one(part, masks, usual_area, usual_stretch):
            pieces = [kept.pop(n) for n in inside]
            presence = float(np.mean([hill.presence for hill in pieces]))
            new.append(Hill(part, presence, max(hill.top for hill in pieces)))
    return [*new, *kept.values()]  # where they overlap, the last counts


def _parts(
    pixels: NDArray[np.bool_], numbered: NDArray[np.int32]
) -> Iterator[tuple[ObjectMask, NDArray[np.int32]]]:
    """Each connected part, and the numbers of the hills under its pixels; 0 is none."""
    parts, _ = ndimage.label(pixels)
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
        part = parts[rows, columns] == number
        mask = ObjectMask(part, (columns.start, rows.start), (pixels.shape[0], pixels.shape[1]))
        yield mask, numbered[rows, columns][part]


def _is_one(whole: ObjectMask, pieces: Sequence[ObjectMask], area: float, stretch: float) -> bool:
    """Whether a whole, rather than its pieces, is an object like those of some area and stretch."""
    shape = _shape(whole)
    unlike = [abs(math.log(mask.area / area)) for mask in (whole, *pieces)]
    return (
        unlike[0] < min(unlike[1:])
        and _stretch(shape) <= STRETCHED * stretch
        and shape.solidity >= SOLID
    )


def _shape(mask: ObjectMask) -> Any:
    """Measures of a mask, each taken when it is used: convex hulls take long."""
    return regionprops(mask.crop.astype(np.uint8))[0]


def _stretch(shape: Any) -> float:
    """How many times longer than wide a shape is."""
    return float(shape.axis_major_length / max(1.0, shape.axis_minor_length))


def _standing_out(above: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a picture is above its ground, holes filled."""
    above = np.maximum(above, 0)
    if not above.any():
        return above > 0
    return np.asarray(ndimage.binary_fill_holes(above > threshold_li(above)))


def _numbered(hills: Sequence[Hill], size: tuple[int, int]) -> NDArray[np.int32]:
    masks = {number: hill.mask for number, hill in enumerate(hills, 1)}
    return compose_label_image(masks, size, np.int32)


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))
