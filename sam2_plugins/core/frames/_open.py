"""`open_frames`: one way in for every kind of source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._array import ArraySource, StackedArray
from sam2_plugins.core.frames._folder import (
    IMAGE_SUFFIXES,
    TIFF_SUFFIXES,
    open_folder,
    open_images,
)
from sam2_plugins.core.frames._normalise import Contrast, Limits
from sam2_plugins.core.frames._source import FrameSource, ReadOptions
from sam2_plugins.core.frames._stream import StreamSource
from sam2_plugins.core.frames._tiff import open_tiff
from sam2_plugins.core.frames._video import VideoSource
from sam2_plugins.core.frames._video_stream import open_video_stream
from sam2_plugins.core.frames._zarr import is_zarr, open_zarr


def open_frames(
    source: Any,
    *,
    axes: str | None = None,
    channels: Sequence[int] | None = None,
    limits: Limits | Sequence[Limits] | None = None,
    percentiles: Limits = (0.1, 99.9),
    z: int | None = None,
    stream: int | None = None,
    fps: float | None = None,
) -> FrameSource:
    """Open anything that has frames.

    Parameters
    ----------
    source
        Path of a video, a TIFF or OME-TIFF stack, an image, a folder of images, a `.npy` or `.zarr`
        array; a list of image paths; a numpy, dask or zarr array, (T, Y, X), (T, Y, X, C),
        (T, C, Y, X), or one image (Y, X), (Y, X, 3); a list of frames; or a stream, which only goes
        forward: a generator of frames, an open pipe of a video, "-" (standard input), or a URL.
        A `FrameSource` is returned as it is.
    axes
        Letters of an array's axes: T time, Z depth, C channel, Y row, X column. By default what the
        file says, or else a guess from the shape.
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
        Which video stream of a file, or which series of a TIFF, from 0.
    fps
        Frames per second, where it is to be other than the source says.

    Raises
    ------
    FrameSourceError
        If the source cannot be read as frames; the message says what to do.
    """
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise FrameSourceError(f"fps={fps} is no frame rate: give a number above 0.")
    options = ReadOptions(axes, channels, Contrast(limits, percentiles), z, stream, fps)
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.fspath(source), options)
    if isinstance(source, (list, tuple)):
        return _open_list(source, options)
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
    if text == "-" or "://" in text:
        return open_video_stream(text, text, options)
    path = Path(text).expanduser()
    if not path.exists():
        raise FrameSourceError(f"There is no file or folder {path}. Check the path.")
    suffix = path.suffix.lower()
    if path.is_dir():
        return open_zarr(path, options) if is_zarr(path) else open_folder(path, options)
    if not path.is_file():
        return open_video_stream(str(path), path.name, options)
    if suffix in TIFF_SUFFIXES:
        return open_tiff(path, options)
    if suffix in IMAGE_SUFFIXES:
        return open_images([path], path.name, options)
    if suffix == ".npy":
        return _open_npy(path, options)
    return VideoSource(path, options)


def _open_npy(path: Path, options: ReadOptions) -> FrameSource:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise FrameSourceError(
            f"{path} cannot be read as a numpy array: {error}. Save it again with numpy.save."
        ) from error
    return ArraySource(array, path.name, options)


def _open_array(array: Any, options: ReadOptions) -> FrameSource:
    kind = "zarr" if type(array).__module__.startswith("zarr") else "array"
    if not isinstance(array.dtype, np.dtype):  # of a library with types of its own
        array = np.asarray(array)
    return ArraySource(array, f"{type(array).__name__} {tuple(array.shape)}", options, kind=kind)


def _open_list(items: Sequence[Any], options: ReadOptions) -> FrameSource:
    if not items:
        raise FrameSourceError("The list of frames is empty. Give at least one.")
    if all(isinstance(item, (str, os.PathLike)) for item in items):
        paths = [Path(item).expanduser() for item in items]
        return open_images(paths, f"{len(paths)} images", options)
    shapes = {np.shape(item) for item in items}
    if len(shapes) > 1:
        raise FrameSourceError(
            f"The frames of the list differ in size: {sorted(shapes)}. Bring all to one size."
        )
    stack = StackedArray(items, np.asarray)
    known = {3: "TYX", 4: "TYXC"}.get(len(stack.shape))
    return ArraySource(stack, f"{len(items)} frames", options, known_axes=known)
