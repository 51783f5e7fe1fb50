"""`open_frames`: one way in for every kind of source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._animation import open_animation
from sam2_plugins.core.frames._array import ArraySource, StackedArray
from sam2_plugins.core.frames._axes import told_axes
from sam2_plugins.core.frames._content import kind_of
from sam2_plugins.core.frames._folder import open_folder, open_images, open_pattern
from sam2_plugins.core.frames._foreign import refusal_of
from sam2_plugins.core.frames._form import as_array, common_form, in_form, is_picture, mixed_depths
from sam2_plugins.core.frames._gate import DAMAGE, MAX_PIXELS, exists, is_address, require_size
from sam2_plugins.core.frames._image_files import (
    IMAGE_SUFFIXES,
    TIFF_SUFFIXES,
    read_header,
)
from sam2_plugins.core.frames._normalise import Contrast, Limits
from sam2_plugins.core.frames._source import FrameSource, ReadOptions
from sam2_plugins.core.frames._stream import StreamSource, open_video_stream
from sam2_plugins.core.frames._tiff import open_tiff
from sam2_plugins.core.frames._video import VideoSource
from sam2_plugins.core.frames._zarr import is_zarr, is_zarr_address, open_zarr

_KINDS_OF_OPTIONS = {
    "axes": ("array", "images", "tiff", "zarr"),
    "z": ("array", "images", "tiff", "zarr"),
    "stream": ("video", "stream", "images", "tiff", "zarr"),
    "channels_by": ("images",),
}
_KIND_BY_SUFFIX = {
    **dict.fromkeys(IMAGE_SUFFIXES | TIFF_SUFFIXES, "image"),
    **dict.fromkeys((".zip", ".ozx"), "zip"),
    ".npy": "array",
}
"""Of files whose content is not known."""


def open_frames(
    source: Any,
    *,
    axes: str | None = None,
    channels: Sequence[int] | int | None = None,
    limits: Limits | Sequence[Limits] | None = None,
    percentiles: Limits = (0.1, 99.9),
    z: int | None = None,
    stream: int | None = None,
    fps: float | None = None,
    channels_by: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> FrameSource:
    """Open anything that has frames.

    Parameters
    ----------
    source
        Path of a video, a TIFF or OME-TIFF stack, an image or animation, a folder of images or a
        pattern of their names (`exp/*GFP*.tif`), a `.npy` array, a zarr or OME-Zarr folder, `.zip`
        or address; a list of image paths; a numpy, dask or zarr array, (T, Y, X), (T, Y, X, C),
        (T, C, Y, X), or one image (Y, X), (Y, X, 3), or of Pillow; a list of frames; or a stream,
        which only goes forward: a generator of frames, an open pipe of a video, "-" (standard
        input), or a URL.
        A `FrameSource` is returned as it is, and takes no options. Playlists, and protocols other
        than those of the network, are not opened.
    axes
        Letters of an array's axes: T time, Z depth, C channel, Y row, X column. By default those
        in the file, or else a guess from the shape.
    channels
        One channel to show in grey, or two or three as red, green and blue (of two, blue is 0). By
        default the first three; the fourth of RGBA is dropped.
    limits
        The sample values that become 0 and 255: one pair, or one per shown channel. By default
        uint8 is left as it is, and anything else stretched by percentiles.
    percentiles
        Low and high percentile of a strided sample over the whole movie, per channel.
    z
        Plane of a stack to show. By default Z is time if there is no other time, else the middle.
    stream
        Which video stream of a file, or which series of a TIFF, an OME-Zarr or a folder, from 0.
    fps
        Frames per second, to replace those of the source.
    channels_by
        A regular expression for the part of the file names with the channel, such as
        "_(BF|GFP)_", where a folder has an image per channel and the names do not mark it.
    max_pixels
        Of a frame in a file: larger ones are refused before they are decoded.

    Raises
    ------
    FrameSourceError
        If the source cannot be read as frames; the message has the remedy.
    """
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise FrameSourceError(f"fps={fps} is no frame rate: give a number above 0.")
    if isinstance(channels, int | np.integer):
        channels = [int(channels)]
    contrast = Contrast(limits, percentiles)
    options = ReadOptions(axes, channels, contrast, z, stream, fps, channels_by, max_pixels)
    if isinstance(source, FrameSource):
        _require_no_options(source, options)
        return source
    opened = _open(source, options)
    for name, kinds in _KINDS_OF_OPTIONS.items():
        if getattr(options, name) is not None and opened.kind not in kinds:
            opened._warn(f"{name}= is not used: it belongs to {', '.join(kinds)}.")
    return opened


def _require_no_options(source: FrameSource, options: ReadOptions) -> None:
    values = {**vars(options), **vars(options.contrast)}
    plain = {**vars(ReadOptions()), **vars(Contrast())}
    given = [
        name
        for name in ("channels", "fps", "limits", "percentiles", *_KINDS_OF_OPTIONS)
        if np.any(values[name] != plain[name])
    ]
    if given:
        raise FrameSourceError(
            f"{source.name} is open already: give {', '.join(given)} where it is opened."
        )


def _open(source: Any, options: ReadOptions) -> FrameSource:
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.fspath(source), options)
    if isinstance(source, (list, tuple)):
        return _open_list(source, options)
    if isinstance(source, Image.Image):
        if (frames := getattr(source, "n_frames", 1)) > 1:
            raise FrameSourceError(
                f"An Image of Pillow is one picture, and this file has {frames}: give its path, or "
                "a list of pictures."
            )
        return _open_array(as_array(source), options)
    if hasattr(source, "shape") and hasattr(source, "__getitem__"):
        return _open_array(source, options)
    if hasattr(source, "read"):
        return open_video_stream(source, str(getattr(source, "name", "video stream")), options)
    if isinstance(source, Iterable):
        return StreamSource(source, f"stream of {type(source).__name__}", options)
    raise FrameSourceError(
        f"A {type(source).__name__} has no frames: give a path, an array, or an iterable of arrays."
    )


def _open_path(text: str, options: ReadOptions) -> FrameSource:
    if is_zarr_address(text):
        return _bounded(open_zarr(text, options), options)
    if text == "-" or is_address(text):
        return open_video_stream(text, text, options)
    path = _expanded(text)
    if not text or not exists(path):
        if any(sign in path.name for sign in "*?["):
            return open_pattern(path, options)
        raise FrameSourceError(
            f"There is no file or folder {path if text else 'without a name'}. Check the path."
        )
    try:
        if path.is_file():
            return _open_file(path, options)
        if not path.is_dir():  # a pipe, which is not to be touched before it is read
            return open_video_stream(path, path.name, options)
        if is_zarr(path):
            return _bounded(open_zarr(path, options), options)
        return open_folder(path, options)
    except OSError as error:
        raise FrameSourceError(f"{path} cannot be read: {error.strerror or error}.") from error


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no user of that name
        return Path(text)


def _open_file(path: Path, options: ReadOptions) -> FrameSource:
    if refusal := refusal_of(path):
        raise FrameSourceError(refusal)
    kind = kind_of(path) or _KIND_BY_SUFFIX.get(path.suffix.lower(), "movie")
    if kind == "tiff":
        return _bounded(open_tiff(path, options), options)
    if kind == "image":
        header = read_header(path, options.max_pixels)
        if header.frames > 1:
            return open_animation(path, header, options)
        return open_images([path], path.name, options)
    if kind == "array":
        return _bounded(_open_npy(path, options), options)
    if kind == "movie":
        return VideoSource(path, options)
    if is_zarr(path):
        return _bounded(open_zarr(path, options), options)
    raise FrameSourceError(
        f"{path} is a ZIP archive without a zarr store, or damaged: unpack it and give the folder, "
        "or copy it again."
    )


def _bounded(source: FrameSource, options: ReadOptions) -> FrameSource:
    try:
        require_size(source.height, source.width, source.name, options.max_pixels)
    except FrameSourceError:
        source.close()
        raise
    return source


def _open_npy(path: Path, options: ReadOptions) -> FrameSource:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        reason = error if kind_of(path) == "array" else "it does not begin as one"
        raise FrameSourceError(
            f"{path} cannot be read as a numpy array: {reason}. Save it again with numpy.save."
        ) from error
    return ArraySource(array, path.name, options)


def _open_array(array: Any, options: ReadOptions) -> FrameSource:
    kind = "zarr" if type(array).__module__.startswith("zarr") else "array"
    if not isinstance(getattr(array, "dtype", None), np.dtype):  # of a library with its own types
        array = as_array(array)
    if not all(isinstance(n, int | np.integer) for n in array.shape):
        raise FrameSourceError(
            f"The shape of {type(array).__name__} is not known, {tuple(array.shape)}: of a dask "
            "array, call compute_chunk_sizes() first."
        )
    name = f"{type(array).__name__} {tuple(array.shape)}"
    return ArraySource(array, name, options, kind=kind, known_axes=told_axes(array))


def _open_list(items: Sequence[Any], options: ReadOptions) -> FrameSource:
    if not items:
        raise FrameSourceError("The list of frames is empty. Give at least one.")
    if all(isinstance(item, (str, os.PathLike)) for item in items):
        paths = [Path(item).expanduser() for item in items]
        return open_images(paths, f"{len(paths)} images", options)
    items = [as_array(item) if isinstance(item, Image.Image) else item for item in items]
    shapes = [np.shape(item) for item in items]
    sizes = {shape[:2] if is_picture(shape) else shape for shape in shapes}
    if len(sizes) > 1:
        raise FrameSourceError(
            f"The frames of the list differ in size: {sorted(sizes)}. Bring all to one size."
        )
    dtypes = [_dtype_of(item) for item in items]
    dtype = np.result_type(*set(dtypes))
    pictures = is_picture(shapes[0])
    shape = common_form(shapes) if pictures else shapes[0]
    stack = StackedArray(
        items,
        lambda item: in_form(as_array(item), shape, dtype),
        (len(items), *shape),
        dtype,
    )
    return ArraySource(
        stack,
        f"{len(items)} frames",
        options,
        known_axes={3: "TYX", 4: "TYXC"}[len(stack.shape)] if pictures else None,
        warnings=mixed_depths([f"number {k}" for k in range(len(items))], dtypes),
    )


def _dtype_of(item: Any) -> np.dtype:
    """Type of the samples, without reading an array that is read on slicing."""
    dtype = getattr(item, "dtype", None)  # that of a tensor is of another kind
    return dtype if isinstance(dtype, np.dtype) else as_array(item).dtype
