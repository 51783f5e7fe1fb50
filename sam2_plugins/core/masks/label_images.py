"""Label images: one number per pixel, 0 for the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import ndimage

from sam2_plugins.core.masks.object_mask import ObjectId, ObjectMask

# Above this, scipy's table of slices (one entry per possible label) takes most of the time.
_DENSE_LABELS = 1 << 16

Key = TypeVar("Key", bound=ObjectId)

LARGEST_LABEL = (1 << 32) - 1
"""That a label image can hold."""


def label_dtype(largest: int) -> np.dtype[Any]:
    """Return the smallest of uint8, uint16 and uint32 that holds a label."""
    if not 0 <= largest <= LARGEST_LABEL:
        raise ValueError(f"Label {largest} does not fit a label image: labels are 0 to 2³² − 1.")
    return np.dtype(np.uint8 if largest < 256 else np.uint16 if largest < 1 << 16 else np.uint32)


def back_to_front(masks: Mapping[Key, ObjectMask]) -> list[Key]:
    """Order objects for painting. Where they overlap, the smaller is in front.

    A mask that spilled over its neighbour is mostly the larger of the two, and where the smaller is
    wrong, little is lost. Of equals the one that comes first is in front.
    """
    return sorted(masks, key=lambda key: masks[key].area)[::-1]


def compose_label_image(
    masks: Mapping[int, ObjectMask],
    frame_size: tuple[int, int] | None = None,
    dtype: DTypeLike | None = None,
) -> NDArray[Any]:
    """Paint masks into one image, one over the other as `back_to_front` has them.

    Parameters
    ----------
    masks
        Label (a positive integer) to mask.
    frame_size
        (height, width); needed if there is no mask.
    dtype
        Of the image; the smallest unsigned one that holds the labels if None.

    Returns
    -------
    NDArray
        [H, W], 0 where there is no object.

    Raises
    ------
    ValueError
        If a label is not a positive integer or does not fit the dtype, or the frame's size is not
        known.
    """
    if frame_size is None:
        if not masks:
            raise ValueError("No mask and no frame_size: the size of the label image is not known.")
        frame_size = next(iter(masks.values())).frame_size
    labels = list(masks)
    wrong = [n for n in labels if not isinstance(n, int | np.integer) or isinstance(n, bool)]
    if wrong or min(labels, default=1) < 1:
        bad = wrong[0] if wrong else min(labels)
        raise ValueError(f"A label is a positive integer, not {bad!r}: number the objects first.")
    largest = max(labels, default=0)
    wanted = label_dtype(largest) if dtype is None else np.dtype(dtype)
    if largest > np.iinfo(wanted).max:
        raise ValueError(f"Label {largest} does not fit {wanted}: take {label_dtype(largest)}.")
    image = np.zeros(frame_size, wanted)
    for label in back_to_front(masks):
        masks[label].paste_into(image, label)
    return image


def split_label_image(labels: NDArray[Any]) -> dict[int, ObjectMask]:
    """Cut a label image [H, W] into one mask per label, in order of label.

    Raises
    ------
    ValueError
        If the image is not two-dimensional, not of whole numbers, or has negative labels.
    """
    image = np.asarray(labels)
    if image.ndim != 2 or image.dtype.kind not in "bui":
        raise ValueError(
            f"A label image is [height, width] of integers, not {image.dtype} {image.shape}."
        )
    if not image.size:
        return {}
    if image.min() < 0:
        raise ValueError(f"A label image has no negative labels, but this has {image.min()}.")
    largest = int(image.max())
    numbers = np.arange(largest + 1) if largest < _DENSE_LABELS else None
    if numbers is None:
        numbers, inverse = np.unique(
            np.append(image.dtype.type(0), image.ravel()), return_inverse=True
        )
        image = inverse[1:].reshape(image.shape)
    image = image.astype(np.int32, copy=False)
    height, width = image.shape
    return {
        int(numbers[index]): ObjectMask(
            image[where] == index, (where[1].start, where[0].start), (height, width)
        )
        for index, where in enumerate(ndimage.find_objects(image), start=1)
        if where is not None
    }


def most_frequent(labels: NDArray[Any]) -> tuple[int, int]:
    """Return the label of most pixels, and their number; (0, 0) if all are background."""
    found, counts = np.unique(labels[labels > 0], return_counts=True)
    first = int(counts.argmax()) if counts.size else 0
    return (int(found[first]), int(counts[first])) if counts.size else (0, 0)
