"""One page of a TIFF as a picture: upright, palettes in colour, white that is 0 turned over.

tifffile returns the stored numbers without this interpretation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._form import common_form
from sam2_plugins.core.frames._orientation import Orientation

# Photometric interpretations, tags and compressions of TIFF 6.0.
_MIN_IS_WHITE, _MIN_IS_BLACK, _PALETTE, _CMYK, _YCBCR = 0, 1, 3, 5, 6
_ORIENTATION = 274
LOOSE = "loose"  # kind of a series of pages that were written one at a time
_DECODED_TO_RGB = (6, 7, 34712, 50001)  # by tifffile: JPEG and its kin bring their own colours
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
    white
        Value of white where a pixel has two to seven bits of grey, otherwise None.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    show: Callable[[NDArray], NDArray]
    white: int | None = None


def view_of(
    keyframe: Any, axes: str, *, own_palette: bool = False, as_stored: bool = False
) -> PageView:
    """Return how pages like `keyframe` are shown.

    Parameters
    ----------
    axes
        The axes of a page in the file's metadata. Where that is other than what the page is stored
        as (tifffile stores a movie of three or four frames as colours), it counts.
    own_palette
        Whether each page has a palette of its own, which then is no tint.
    as_stored
        Whether the samples are taken as they are, whatever they stand for.
    """
    view = PageView(axes, tuple(keyframe.shape), np.dtype(keyframe.dtype), lambda page: page)
    if axes != keyframe.axes:
        return view
    return _upright(view if as_stored else _coloured(view, keyframe, own_palette), keyframe)


def _coloured(view: PageView, keyframe: Any, own_palette: bool) -> PageView:
    """Return colours for the stored samples, with those of a pixel last."""
    photometric, axes, shape, dtype = keyframe.photometric, view.axes, view.shape, view.dtype
    if colours_of := _OTHER_COLOURS.get(int(photometric)):
        raise FrameSourceError(
            f"{keyframe.parent.filename} stores its colours as {colours_of}, which is not read: "
            "save it again as RGB."
        )
    if axes == "SYX":
        return PageView("YXS", (*shape[1:], shape[0]), dtype, lambda page: np.moveaxis(page, 0, -1))
    if axes == "YXS" and shape[-1] == 2 and tuple(keyframe.extrasamples) in ((1,), (2,)):
        return PageView("YX", shape[:-1], dtype, lambda page: page[..., 0])  # the other is opacity
    if photometric == _PALETTE:
        colours = _colours(keyframe, own_palette)
        if colours is not None:
            return PageView(f"{axes}S", (*shape, 3), colours.dtype, lambda page: colours[page])
    is_byte = dtype == np.uint8 and axes == "YXS"
    if is_byte and photometric == _CMYK and shape[-1] == 4:
        return replace(view, shape=(*shape[:-1], 3), show=lambda page: _to_rgb(page, "CMYK"))
    if is_byte and photometric == _YCBCR and int(keyframe.compression) not in _DECODED_TO_RGB:
        return replace(view, show=lambda page: _to_rgb(page, "YCbCr"))
    if photometric not in (_MIN_IS_WHITE, _MIN_IS_BLACK) or dtype.kind not in "bui":
        return view
    most = -1 if dtype.kind == "i" else (1 << int(keyframe.bitspersample)) - 1
    view = replace(view, white=most if dtype == np.uint8 and most < 255 else None)
    if photometric == _MIN_IS_WHITE:
        return replace(view, show=lambda page: ~page if page.dtype == bool else most - page)
    return view


def _upright(view: PageView, keyframe: Any) -> PageView:
    """Turn and mirror by the file's orientation, which tifffile ignores."""
    tag = keyframe.tags.get(_ORIENTATION)
    orientation = Orientation.from_exif(None if tag is None else tag.value)
    if orientation == Orientation() or view.axes not in ("YX", "YXS"):
        return view
    shape = (*orientation.size(*view.shape[:2]), *view.shape[2:])
    return replace(view, shape=shape, show=lambda page: orientation.apply(view.show(page)))


def _to_rgb(page: NDArray, mode: str) -> NDArray:
    image = Image.frombytes(mode, (page.shape[1], page.shape[0]), page.tobytes())
    return np.asarray(image.convert("RGB"))


def _colours(keyframe: Any, own_palette: bool) -> NDArray[np.uint8] | None:
    """Return the colours [n, 3] of a palette; None for one that only tints what was measured.

    ImageJ saves grey images with the colours they are looked at in, from dark to bright: there the
    stored numbers are the measurement, and are shown in grey.
    """
    if keyframe.colormap is None:
        return None
    colours = (np.asarray(keyframe.colormap).T >> 8).astype(np.uint8)
    brightness = colours.astype(int) @ (299, 587, 114)
    return None if np.all(np.diff(brightness) >= 0) and not own_palette else colours


def views_of(
    series: Any, axes: str, *, as_stored: bool = False
) -> tuple[PageView, list[PageView] | None]:
    """Return how the pages of a series are shown, and how each of them, where they differ.

    Those that differ in type or colour are to be brought to the form of the former.
    """
    own_palettes = not as_stored and _has_own_palettes(series.pages)
    if not own_palettes and series.kind != LOOSE:
        return view_of(series.keyframe, axes, as_stored=as_stored), None
    views = [
        view_of(
            page,
            axes if own_palettes else page.axes,
            own_palette=own_palettes,
            as_stored=as_stored,
        )
        for page in series.pages
    ]
    first, shape = views[0], common_form([view.shape for view in views])
    dtype = np.result_type(*{view.dtype for view in views})
    alike = len({view.white for view in views}) == 1
    return replace(
        first,
        axes="YXS"[: len(shape)],
        shape=shape,
        dtype=dtype,
        white=first.white if alike else None,
    ), views


def _has_own_palettes(pages: Sequence[Any]) -> bool:
    """Return whether pages differ in their palettes."""
    first = pages[0].colormap if pages and isinstance(pages[0], tifffile.TiffPage) else None
    if first is None:
        return False
    others = (page.colormap for page in pages if isinstance(page, tifffile.TiffPage))
    return any(other is None or not np.array_equal(first, other) for other in others)


def movie_of(tif: tifffile.TiffFile, *, is_frame: bool = False) -> tuple[int, Any]:
    """Return the number and the series that is read by default.

    It is the first that is no thumbnail; or, where a program wrote its pages one at a time, which
    tifffile then takes for a series for each kind of page, all of the most frequent size; if there
    are no more than two of any, of the largest. In a file of one frame, pages of another kind than
    the first are something else, such as its mask.
    """
    whole = [k for k, one in enumerate(tif.series) if not one.keyframe.is_reduced] or [0]
    first = tif.series[whole[0]]
    if len(whole) == 1 or not all(_is_loose(tif.series[k]) for k in whole):
        return whole[0], first
    every: list[Any] = [page for k in whole for page in tif.series[k].pages]
    every.sort(key=lambda page: page.index)
    sizes = [(page.imagelength, page.imagewidth) for page in every]
    if is_frame and len({(p.shape, p.dtype, p.axes, p.photometric) for p in every}) > 1:
        return whole[0], first
    counts = Counter(sizes)
    size = max(counts, key=lambda one: (max(counts[one], 2), prod(one)))
    pages = [page for page, of in zip(every, sizes, strict=True) if of == size]
    number = next(k for k in whole if pages[0] in tif.series[k].pages)
    shape, axes = (len(pages), *pages[0].shape), f"Q{pages[0].axes}"
    return number, tifffile.TiffPageSeries(pages, shape, pages[0].dtype, axes, kind=LOOSE)


def _is_loose(series: Any) -> bool:
    """Return whether the pages of a series are pictures, and nothing says how they belong."""
    is_one = series.kind == "shaped" and len(series.shape) == len(series.keyframe.shape)
    return series.keyframe.axes in ("YX", "YXS", "SYX") and (is_one or series.kind == "generic")
