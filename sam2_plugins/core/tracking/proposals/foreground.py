"""What stands out of a frame by its brightness, where that is what the frame's objects do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
"""Solidity from which on a part of the foreground has no neck. Two equal discs that touch have .89."""

STRETCHED = 1.35
"""Factor by which one object may be more elongated than the usual one."""


@dataclass(frozen=True)
class Foreground:
    """The pixels that are brighter, or darker, than the ground of a frame.

    Attributes
    ----------
    pixels
        bool [H, W].
    agreement
        IoU with the hills that it was compared with.
    """

    pixels: NDArray[np.bool_]
    agreement: float

    @classmethod
    def of(cls, picture: NDArray[np.uint8], hills: Sequence[Hill]) -> Foreground:
        """Of what is bright and what is dark in a picture [H, W, 3], what agrees best with hills."""
        covered = _numbered(hills, picture.shape[:2]) > 0
        smooth = ndimage.gaussian_filter(picture.mean(2, dtype=np.float32), 1)
        above = smooth - np.median(smooth)
        both = [cls(pixels, _iou(pixels, covered)) for pixels in map(_standing_out, (above, -above))]
        return max(both, key=lambda foreground: foreground.agreement)

    def mend(self, hills: Sequence[Hill]) -> list[Hill]:
        """Return hills with those that were left out, and with parts of one object as one.

        Nothing changes where the foreground does not agree with the hills.
        """
        if self.agreement < AGREEMENT:
            return list(hills)
        numbers = _numbered(hills, self.pixels.shape)
        areas = [hill.mask.area for hill in hills]
        usual_area = float(np.median(areas))
        usual_stretch = float(np.median([_stretch_and_solidity(hill.mask)[0] for hill in hills]))
        parts, _ = ndimage.label(self.pixels)
        added, joined = [], set[int]()
        for number, box in enumerate(ndimage.find_objects(parts), 1):
            part = parts[box] == number
            counts = np.bincount(numbers[box][part], minlength=len(hills) + 1)[1:]
            inside = [n for n in np.flatnonzero(counts) if 2 * counts[n] > areas[n]]
            offset = box[1].start, box[0].start
            if counts.sum() < COVERED * part.sum():
                mask = ObjectMask(part & (numbers[box] == 0), offset, self.pixels.shape)
                if mask.area >= SMALLEST_HILL:
                    added.append(Hill(mask, self.agreement, 1.0))
            elif len(inside) > 1:
                mask = ObjectMask(part, offset, self.pixels.shape)
                stretch, solidity = _stretch_and_solidity(mask)
                nearer = _unlike(mask.area, usual_area) < min(
                    _unlike(areas[n], usual_area) for n in inside
                )
                if nearer and solidity >= SOLID and stretch <= STRETCHED * usual_stretch:
                    joined.update(inside)
                    some = [hills[n] for n in inside]
                    presence = float(np.mean([hill.presence for hill in some]))
                    added.append(Hill(mask, presence, max(hill.top for hill in some)))
        return [hill for n, hill in enumerate(hills) if n not in joined] + added


def _standing_out(above: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a picture is above its ground, holes filled."""
    above = np.maximum(above, 0)
    if not above.any():
        return above > 0
    return np.asarray(ndimage.binary_fill_holes(above > threshold_li(above)))


def _numbered(hills: Sequence[Hill], shape: tuple[int, ...]) -> NDArray[np.int32]:
    masks = {number: hill.mask for number, hill in enumerate(hills, 1)}
    return compose_label_image(masks, shape, np.int32)


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def _unlike(area: float, usual: float) -> float:
    return abs(math.log(area / usual))


def _stretch_and_solidity(mask: ObjectMask) -> tuple[float, float]:
    """How many times longer than wide a mask is, and its share of its convex hull."""
    shape = regionprops(mask.crop.astype(np.uint8))[0]
    return shape.axis_major_length / max(1.0, shape.axis_minor_length), shape.solidity
