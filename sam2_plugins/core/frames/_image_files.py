"""Single images in files: the header, and the samples as they were recorded.

Pillow reads most of them, and brings colours of more than 8 bits down to 8, palettes up to colour.
So PNG and JPEG 2000 of more bits are read by imagecodecs, Netpbm here, and TIFF by tifffile.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._content import head_of, kind_of
from sam2_plugins.core.frames._foreign import refusal_of
from sam2_plugins.core.frames._form import SHOWN_AS_COLOUR, in_form, samples_of
from sam2_plugins.core.frames._gate import DAMAGE, MAX_PIXELS, require_size
from sam2_plugins.core.frames._orientation import Orientation
from sam2_plugins.core.frames._tiff_facts import refuse_strange_ome
from sam2_plugins.core.frames._tiff_pages import PageView, movie_of, views_of

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # `_tiff` reports what matters

TIFF_SUFFIXES = frozenset(
    {".tif", ".tiff", ".btf", ".tf2", ".tf8", ".tif8", ".lsm", ".stk", ".flex"}
)
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"}
    | {".apng", ".jfif", ".jpe"}
)
_EXIF_ORIENTATION = 0x0112
# Pillow counts pages of other kinds, too, that are no frames.
_ANIMATED = {"PNG", "WEBP", "AVIF", "GIF"}
_GREY = {"1": "bool", "L": "uint8", "LA": "uint8", "La": "uint8", "I": "int32", "F": "float32"}
_NETPBM = re.compile(rb"P[56]\s(?:\s*#[^\n]*\n)*\s*(\d+)\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s")

_HELD = {"movie": "a movie", "array": "a numpy array", "zip": "an archive"}

Reader = Callable[[Path], NDArray]


@dataclass(frozen=True)
class ImageHeader:
    """Facts about a picture from its header, before it is decoded.

    Attributes
    ----------
    shape
        Of the samples, upright: (H, W), (H, W, 3), (H, W, 4), or whatever a TIFF holds.
    dtype
        Of the samples.
    axes
        Letters of a TIFF that is more than one picture, otherwise "YX" or "YXS".
    frames
        Of an animation; 1 for any other image.
    white
        Value of white in a TIFF of two to seven bits of grey; otherwise None.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    axes: str
    frames: int
    read: Reader
    white: int | None = None

    @property
    def is_picture(self) -> bool:
        """Whether it is one picture, grey or in colour, rather than a stack."""
        return self.axes in ("YX", "YXS")

    @property
    def channels(self) -> int:
        return self.shape[2] if self.axes == "YXS" else 1


def read_header(path: Path, max_pixels: int) -> ImageHeader:
    """Read the header."""
    try:
        header = _tiff_header(path) if kind_of(path) == "tiff" else _header(path)
    except FrameSourceError:
        raise
    except DAMAGE as error:
        raise unreadable(path, error) from error
    where = header.axes.find("Y"), header.axes.find("X")
    require_size(header.shape[where[0]], header.shape[where[1]], path.name, max_pixels)
    return header


def read_image(path: Path) -> NDArray:
    """Read one image, [H, W] or [H, W, C], as it was recorded, upright.

    Raises
    ------
    FrameSourceError
        If it is no image; OSError or ValueError, if it is damaged.
    """
    return read_header(path, MAX_PIXELS).read(path)


def unreadable(path: Path, error: Exception) -> FrameSourceError:
    """Return the error for an image that cannot be read."""
    if path.is_file() and (refusal := refusal_of(path)):
        return FrameSourceError(refusal)
    reason: object = error
    if isinstance(error, UnidentifiedImageError):
        reason = f"it holds {_HELD.get(kind_of(path) or '', 'no picture of a known kind')}"
    return FrameSourceError(
        f"The image {path} cannot be read: {reason}. Replace it, or take it out of the folder."
    )


def read_pages(
    path: Path, *, as_stored: bool = False, is_frame: bool = False
) -> tuple[NDArray, str]:
    """Read all pages of a TIFF, upright and as they are shown.

    Parameters
    ----------
    as_stored
        Take the samples as they are, whatever they stand for.
    is_frame
        Whether the file is one frame of a movie: see `movie_of`.

    Returns
    -------
    NDArray, str
        [..., H, W] or [..., H, W, C], and the letters of these axes.

    Raises
    ------
    FrameSourceError
        As for `open_frames`; OSError or ValueError, if it is damaged.
    """
    with tifffile.TiffFile(path) as tif:
        series, view, views, leading = _shown(tif, path, as_stored, is_frame)
        if views:
            pages = np.stack(
                [
                    in_form(each.show(page.asarray(maxworkers=1)), view.shape, view.dtype)
                    for page, each in zip(series.pages, views, strict=True)
                ]
            )
        else:
            stored = series.asarray(maxworkers=1).reshape(-1, *series.keyframe.shape)
            pages = np.stack([view.show(page) for page in stored])
        axes = series.axes[:leading] + view.axes
        return pages.reshape(*series.shape[:leading], *view.shape), axes


def _tiff_header(path: Path) -> ImageHeader:
    with tifffile.TiffFile(path) as tif:
        series, view, _, leading = _shown(tif, path, is_frame=True)
        shape, axes = (*series.shape[:leading], *view.shape), series.axes[:leading] + view.axes
        return ImageHeader(
            shape, view.dtype, axes, 1, lambda p: read_pages(p, is_frame=True)[0], view.white
        )


def _shown(
    tif: tifffile.TiffFile, path: Path, as_stored: bool = False, is_frame: bool = False
) -> tuple[Any, PageView, list[PageView] | None, int]:
    """Return the series that is shown, what `views_of` has, and how many axes pages do not have."""
    refuse_strange_ome(tif, path.name)
    series = movie_of(tif, is_frame=is_frame)[1]
    leading = len(series.shape) - len(series.keyframe.shape)
    view, views = views_of(series, series.axes[leading:], as_stored=as_stored)
    return series, view, views, leading


def _header(path: Path) -> ImageHeader:
    with Image.open(path) as image:
        # A PNG may have it after its pixels, too. No program writes it there, and reading it would
        # decode them.
        has_none = image.format == "PNG" and "exif" not in image.info
        upright = Orientation.from_exif(
            None if has_none else image.getexif().get(_EXIF_ORIENTATION)
        )
        frames = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
        if frames > 1 and getattr(image, "default_image", False):
            frames -= 1  # a picture for those who cannot show the animation
        channels, dtype, read = _samples(image, path)
        height, width = upright.size(image.height, image.width)
    shape = (height, width) if channels == 1 else (height, width, channels)
    axes = "YX" if channels == 1 else "YXS"
    return ImageHeader(shape, np.dtype(dtype), axes, frames, lambda p: upright.apply(read(p)))


def _samples(image: Image.Image, path: Path) -> tuple[int, str, Reader]:
    """Return the channels and the type of the samples, and how to read them."""
    head = head_of(path)
    if image.format == "PNG" and head[24] == 16:  # bits a sample, of the first chunk
        channels = {0: 1, 2: 3, 4: 2, 6: 4}[head[25]]
        return (1 if channels == 2 else channels), "uint16", _read_png
    if image.format == "PPM" and (netpbm := _NETPBM.match(head)) and int(netpbm[3]) > 255:
        return (3 if head.startswith(b"P6") else 1), "uint16", _read_netpbm
    if image.format == "JPEG2000" and image.mode != "I;16" and _bits_of_jpeg2000(head) > 8:
        return {"L": 1, "LA": 1}.get(image.mode, len(image.getbands())), "uint16", _read_jpeg2000
    if image.mode in SHOWN_AS_COLOUR:
        return 3, "uint8", _read
    if image.mode.startswith("I;16"):
        return 1, "uint16", _read
    if image.mode in _GREY:
        return 1, _GREY[image.mode], _read
    return len(image.getbands()), "uint8", _read


def _read(path: Path) -> NDArray:
    with Image.open(path) as image:
        return samples_of(image)


def _read_png(path: Path) -> NDArray:
    samples = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    return samples[..., 0] if samples.ndim == 3 and samples.shape[2] == 2 else samples


def _read_jpeg2000(path: Path) -> NDArray:
    samples = np.asarray(imagecodecs.jpeg2k_decode(path.read_bytes()))
    if samples.ndim == 3 and samples.shape[2] == 2:
        samples = samples[..., 0]
    return samples.astype(np.uint16, copy=False)


def _read_netpbm(path: Path) -> NDArray:
    content = path.read_bytes()
    header = _NETPBM.match(content)
    assert header is not None
    width, height = int(header[1]), int(header[2])
    shape = (height, width, 3) if content.startswith(b"P6") else (height, width)
    samples = np.frombuffer(content, ">u2", int(np.prod(shape)), header.end())
    return samples.reshape(shape).astype(np.uint16)


def _bits_of_jpeg2000(head: bytes) -> int:
    """Read the bits of the first component from the SIZ marker: ISO 15444-1, A.5.1."""
    start = head.find(b"\xff\x51")
    return (head[start + 40] & 0x7F) + 1 if 0 <= start < len(head) - 40 else 8
