"""Folders and lists of images, one frame each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._array import ArraySource, StackedArray
from sam2_plugins.core.frames._source import ReadOptions

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".lsm"})
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".jp2"})
_SAME_KIND = {".jpeg": ".jpg", ".tiff": ".tif", ".pgm": ".ppm"}
_TURNED_ORIENTATIONS = range(5, 9)  # EXIF: width and height change places
_EXIF_ORIENTATION = 0x0112


def open_folder(folder: Path, options: ReadOptions) -> ArraySource:
    """Open a folder of images in natural order: 2 before 10.

    Raises
    ------
    FrameSourceError
        If there are no images, more than one kind of them, or sizes differ.
    """
    images = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in TIFF_SUFFIXES | IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    ]
    if not images:
        inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
        hint = f" Did you mean one of its folders: {', '.join(inside[:5])}?" if inside else ""
        raise FrameSourceError(f"The folder {folder} has no images (PNG, JPEG, TIFF ...).{hint}")
    kinds: dict[str, int] = {}
    for path in images:
        suffix = path.suffix.lower()
        kind = _SAME_KIND.get(suffix, suffix)
        kinds[kind] = kinds.get(kind, 0) + 1
    if len(kinds) > 1:
        found = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        raise FrameSourceError(
            f"The folder {folder} mixes kinds of images ({found}), so which are the frames is not "
            "clear. Keep one kind, or give the list of files."
        )
    return open_images(sorted(images, key=_natural), folder.name, options)


def open_images(paths: Sequence[Path], name: str, options: ReadOptions) -> ArraySource:
    """Open image files as frames, in the order given.

    Raises
    ------
    FrameSourceError
        If one cannot be read, or sizes differ.
    """
    shapes = {path: _shape(path) for path in paths}
    expected = shapes[paths[0]]
    for path, shape in shapes.items():
        if shape != expected:
            raise FrameSourceError(
                f"The images of {name} differ in size: {paths[0].name} has {_by(expected)} pixels, "
                f"{path.name} has {_by(shape)}. Remove the odd ones or bring all to one size."
            )
    try:
        stack = StackedArray(paths, _load)
    except (OSError, ValueError) as error:
        raise _unreadable(paths[0], error) from error
    depth_and_channels = {2: "YX", 3: "YXC"}
    axes = depth_and_channels.get(len(stack.shape) - 1)
    if paths[0].suffix.lower() in TIFF_SUFFIXES:
        with tifffile.TiffFile(paths[0]) as tif:
            axes = tif.series[0].axes.replace("T", "Q")
    if axes is not None and len(axes) == 3 and axes[0] in "QI":
        axes = "Z" + axes[1:]  # within the file of one frame, pages are planes
    known = None if axes is None else "T" + axes
    return ArraySource(stack, name, options, kind="images", known_axes=known)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _shape(path: Path) -> tuple[int, ...]:
    """Read an image's shape from its header."""
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as tif:
                return tuple(tif.series[0].shape)
        with Image.open(path) as image:
            turned = _has_exif(image) and (
                image.getexif().get(_EXIF_ORIENTATION) in _TURNED_ORIENTATIONS
            )
            return image.size if turned else image.size[::-1]
    except (OSError, ValueError, IndexError) as error:
        raise _unreadable(path, error) from error


def _load(path: Path) -> NDArray:
    if path.suffix.lower() in TIFF_SUFFIXES:
        return np.asarray(tifffile.imread(path, key=None, series=0, maxworkers=1))
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image) if _has_exif(image) else image
        if upright.mode in {"L", "RGB", "RGBA", "1", "F"} or upright.mode.startswith("I"):
            return np.asarray(upright)
        return np.asarray(upright.convert("L" if upright.mode == "LA" else "RGB"))


def _has_exif(image: Image.Image) -> bool:
    """Whether the header may tell an orientation.

    A PNG may tell it after its pixels, too, which nobody does: looking there would decode them.
    """
    return image.format != "PNG" or "exif" in image.info


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _unreadable(path: Path, error: Exception) -> FrameSourceError:
    return FrameSourceError(
        f"The image {path} cannot be read: {error}. Replace it, or take it out of the folder."
    )
