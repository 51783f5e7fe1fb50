"""Folders and lists of images, one frame each."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._array import ArraySource, StackedArray
from sam2_plugins.core.frames._file_names import (
    Arrangement,
    arrange,
    in_time_order,
    natural_sorted,
)
from sam2_plugins.core.frames._form import common_form, in_form, mixed_depths
from sam2_plugins.core.frames._gate import exists
from sam2_plugins.core.frames._image_files import (
    IMAGE_SUFFIXES,
    TIFF_SUFFIXES,
    ImageHeader,
    read_header,
)
from sam2_plugins.core.frames._source import ReadOptions
from sam2_plugins.core.frames._tiff import open_tiff

_SAME_KIND = {
    **dict.fromkeys((".jpeg", ".jpe", ".jfif"), ".jpg"),
    **dict.fromkeys((".pgm", ".pbm", ".pnm"), ".ppm"),
    ".tiff": ".tif",
    ".apng": ".png",
}


def open_folder(folder: Path, options: ReadOptions) -> ArraySource:
    """Open a folder of images in natural order: 2 before 10."""
    images = list_images(folder)
    if not images:
        inside = natural_sorted(path.name for path in folder.iterdir() if path.is_dir())
        hint = f" Did you mean one of its folders: {', '.join(inside[:5])}?" if inside else ""
        raise FrameSourceError(f"The folder {folder} has no images (PNG, JPEG, TIFF ...).{hint}")
    name = os.path.basename(os.path.abspath(folder))  # of . and .. too
    return _open(images, str(folder), name, options)


def open_pattern(pattern: Path, options: ReadOptions) -> ArraySource:
    """Open the images whose names fit a pattern with `*`, `?` or `[…]`."""
    # A folder of that very name has no pattern in its own.
    folder = glob.escape(str(pattern.parent)) if exists(pattern.parent) else str(pattern.parent)
    found = [Path(name) for name in glob.glob(f"{folder}/{pattern.name}")]
    images = [path for path in found if _is_image(path)]
    if not images:
        raise FrameSourceError(f"No image fits the pattern {pattern}. Check the path.")
    return _open(images, str(pattern), pattern.parent.name or pattern.name, options)


def list_images(folder: Path) -> list[Path]:
    """Images of a folder in the order of their times, without hidden files."""
    return in_time_order([path for path in folder.iterdir() if _is_image(path)])


def open_images(paths: Sequence[Path], name: str, options: ReadOptions) -> ArraySource:
    """Open image files as frames, in the order given."""
    return _stacked(Arrangement(tuple(paths), "T", (len(paths),)), name, options)


def _open(images: Sequence[Path], where: str, name: str, options: ReadOptions) -> ArraySource:
    suffixes = (path.suffix.lower() for path in images)
    kinds = Counter(_SAME_KIND.get(suffix, suffix) for suffix in suffixes)
    if len(kinds) > 1:
        found = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        raise FrameSourceError(
            f"The folder {where} mixes kinds of images ({found}), so which are the frames is not "
            "clear. Keep one kind, or give the list of files."
        )
    if _is_set(images):
        return open_tiff(natural_sorted(images)[0], options)
    first = read_header(images[0], options.max_pixels)
    is_plane = first.is_picture and first.channels == 1
    arranged = arrange(images, options.stream, options.channels_by, planes=is_plane)
    return _stacked(arranged, name, options)


def is_image_name(path: Path) -> bool:
    """Whether a file of this name is an image, and not hidden."""
    return path.suffix.lower() in TIFF_SUFFIXES | IMAGE_SUFFIXES and not path.name.startswith(".")


def _is_image(path: Path) -> bool:
    return is_image_name(path) and not path.is_dir()  # a link to nothing is a missing frame


def _is_set(paths: Sequence[Path]) -> bool:
    """Return whether files are one OME-TIFF that is spread over them."""
    if len(paths) < 2 or not paths[0].name.lower().endswith((".ome.tif", ".ome.tiff")):
        return False
    try:
        with tifffile.TiffFile(paths[0]) as tif:
            text = tif.ome_metadata or ""
    except (OSError, ValueError, IndexError):
        return False
    return all(f'FileName="{path.name}"' in text for path in paths)


def _stacked(arrangement: Arrangement, name: str, options: ReadOptions) -> ArraySource:
    """Bring images to one form, and stack them."""
    paths = arrangement.files
    headers = [read_header(path, options.max_pixels) for path in paths]
    _require_one_size(paths, headers, name)
    _require_one_moment(paths, headers)
    dtype = np.result_type(*{header.dtype for header in headers})
    shape, axes = headers[0].shape, headers[0].axes
    if headers[0].is_picture:
        shape = common_form([header.shape for header in headers])
        axes = "YXS"[: len(shape)]
    elif axes[0] in "QI":
        axes = "Z" + axes[1:]  # within the file of one frame, pages are planes
    stack = StackedArray(
        list(zip(paths, headers, strict=True)),
        lambda item: in_form(item[1].read(item[0]), shape, dtype),
        (*arrangement.shape, *shape),
        dtype,
    )
    whites = {header.white for header in headers}
    return ArraySource(
        stack,
        name,
        options,
        kind="images",
        known_axes=arrangement.axes + axes,
        white=whites.pop() if len(whites) == 1 else None,
        warnings=[
            *arrangement.notes,
            *mixed_depths([p.name for p in paths], [header.dtype for header in headers]),
        ],
    )


def _require_one_size(paths: Sequence[Path], headers: Sequence[ImageHeader], name: str) -> None:
    sizes = [header.shape[:2] if header.is_picture else header.shape for header in headers]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise FrameSourceError(
                f"The images of {name} differ in size: {paths[0].name} has {_by(sizes[0])} pixels, "
                f"{path.name} has {_by(size)}. Remove the odd ones or bring all to one size."
            )


def _require_one_moment(paths: Sequence[Path], headers: Sequence[ImageHeader]) -> None:
    for path, header in zip(paths, headers, strict=True):
        times = header.shape[header.axes.index("T")] if "T" in header.axes else 1
        frames = max(header.frames, times)
        if len(paths) > 1 and frames > 1:
            raise FrameSourceError(
                f"{path.name} is a movie of {frames} frames, not one of {len(paths)} frames: "
                "give its path, or make one file of them."
            )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
