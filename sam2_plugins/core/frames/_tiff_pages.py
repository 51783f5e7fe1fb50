"""One page of a TIFF as a picture: palettes in colour, white that is stored as 0 turned over.

tifffile gives the numbers as they are stored, whatever they stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError

# Photometric interpretations of TIFF 6.0.
_MIN_IS_WHITE, _PALETTE, _CMYK = 0, 3, 5
_OTHER_COLOURS = {8: "CIELAB", 9: "ICCLAB", 10: "ITULAB", 32844: "LOGL", 32845: "LOGLUV"}


@dataclass(frozen=True)
class PageView:
    """How the pages of a series are shown.

    Attributes
    ----------
    axes, shape, dtype
        Of a shown page; samples of a pixel come last.
    show
        Turns stored samples into shown ones.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    show: Callable[[NDArray], NDArray]


def view_of(keyframe: Any, series_axes: str = "") -> PageView:
    """Return how pages like `keyframe` are shown.

    Parameters
    ----------
    series_axes
        Axes that the file's metadata name: they know what planes are that are stored as colours, as
        three or four frames are by some writers.

    Raises
    ------
    FrameSourceError
        If their colours are of a kind that is not read.
    """
    axes, shape = keyframe.axes, tuple(keyframe.shape)
    dtype, photometric = np.dtype(keyframe.dtype), int(keyframe.photometric)
    if colours_of := _OTHER_COLOURS.get(photometric):
        raise FrameSourceError(
            f"{keyframe.parent.filename} stores its colours as {colours_of}, which is not read: "
            "save it again as RGB."
        )
    if axes == "SYX" and series_axes[-3:] in ("TYX", "ZYX", "CYX"):
        return PageView(series_axes[-3:], shape, dtype, lambda page: page)
    if axes == "SYX":
        return PageView("YXS", (*shape[1:], shape[0]), dtype, lambda page: np.moveaxis(page, 0, -1))
    if photometric == _PALETTE and (colours := _colours(keyframe)) is not None:
        return PageView(f"{axes}S", (*shape, 3), colours.dtype, lambda page: colours[page])
    if photometric == _CMYK and dtype == np.uint8 and axes == "YXS" and shape[-1] == 4:
        return PageView(axes, (*shape[:-1], 3), dtype, _from_cmyk)
    if photometric == _MIN_IS_WHITE and dtype.kind in "bu":
        most = (1 << int(keyframe.bitspersample)) - 1
        return PageView(axes, shape, dtype, lambda page: _turned_over(page, most))
    return PageView(axes, shape, dtype, lambda page: page)


def _turned_over(page: NDArray, most: int) -> NDArray:
    return ~page if page.dtype == bool else most - page


def _from_cmyk(page: NDArray) -> NDArray:
    return np.asarray(Image.fromarray(page, "CMYK").convert("RGB"))


def _colours(keyframe: Any) -> NDArray[np.uint8] | None:
    """Return the colours [n, 3] of a palette; None for one that only tints what was measured.

    ImageJ saves grey images with the colours they are looked at in, from dark to bright: there the
    stored numbers are the measurement, and are shown in grey.
    """
    if keyframe.colormap is None:
        return None
    colours = (np.asarray(keyframe.colormap).T >> 8).astype(np.uint8)
    brightness = colours.astype(int) @ (299, 587, 114)
    return None if np.all(np.diff(brightness) >= 0) else colours
