"""The one form to which the pictures of a movie are brought that differ: in colour, or in depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError

SHOWN_AS_COLOUR = {"P", "PA", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa"}
"""Modes of Pillow whose samples are indices, or of another space than RGB."""

Shape = tuple[int, ...]


def samples_of(image: Image.Image) -> NDArray:
    """Return what a picture of Pillow shows: grey, RGB or RGBA."""
    if image.mode in {"LA", "La"}:
        return np.asarray(image.convert("LA"))[..., 0]
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16, copy=False)
    return np.asarray(image.convert("RGB") if image.mode in SHOWN_AS_COLOUR else image)


def as_array(source: Any) -> NDArray:
    """Bring the samples of any library into memory, as an array of numpy.

    Raises
    ------
    FrameSourceError
        If that library has no such array of them.
    """
    try:
        if isinstance(source, Image.Image):
            return samples_of(source)
        if hasattr(source, "detach"):  # a tensor may be on a graphics card, or have a gradient
            source = source.detach().cpu()
            if str(source.dtype) == "torch.bfloat16":  # which numpy does not have
                source = source.float()
        return np.asarray(source)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise FrameSourceError(
            f"A {type(source).__name__} cannot be read as frames: {error} Give an array of numpy."
        ) from error


def is_picture(shape: Shape) -> bool:
    """Whether an array of a shape is one picture, grey or in colour."""
    return len(shape) == 2 or (len(shape) == 3 and shape[2] <= 4)


def common_form(shapes: Sequence[Shape]) -> Shape:
    """Shape that grey and coloured pictures of one size can all be brought to."""
    channels = {shape[2] if len(shape) == 3 else 1 for shape in shapes}
    if all(len(shape) == 2 for shape in shapes):
        return shapes[0]
    return (*shapes[0][:2], channels.pop() if len(channels) == 1 else 3)


def in_form(samples: NDArray, shape: Shape, dtype: np.dtype) -> NDArray:
    """Make colour of grey where it is needed; what is opaque in one picture is so in all."""
    if samples.dtype.kind == "b" and dtype.kind != "b":
        samples = samples.astype(np.uint8) * 255  # white among shades of grey
    if len(shape) == 3 and is_picture(samples.shape):
        planes = samples[..., None] if samples.ndim == 2 else samples
        grey = planes.shape[2] == 1
        samples = np.repeat(planes, shape[2], axis=2) if grey else planes[..., : shape[2]]
    return samples.astype(dtype, copy=False)


def mixed_depths(names: Sequence[str], dtypes: Sequence[np.dtype]) -> list[str]:
    """Report pictures whose samples are of several types."""
    # Black and white comes as 0 and 255.
    depths = ["uint8" if dtype.kind == "b" else dtype.name for dtype in dtypes]
    counts = Counter(depths)
    if len(counts) <= 1:
        return []
    odd = min(counts, key=lambda name: counts[name])
    found = ", ".join(f"{n} of {name}" for name, n in sorted(counts.items()))
    return [
        f"The images differ in the type of their samples ({found}; "
        f"{names[depths.index(odd)]} is of {odd}): their values are taken as they are."
    ]
