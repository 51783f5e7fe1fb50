"""Animated PNG, WebP and AVIF: images that are movies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.frames._array import ArraySource
from sam2_plugins.core.frames._gate import DAMAGE
from sam2_plugins.core.frames._image_files import ImageHeader, unreadable
from sam2_plugins.core.frames._source import FrameSource, ReadOptions
from sam2_plugins.core.frames._video import VideoSource

# Pillow 12 composes those PNGs wrongly in which a frame is drawn over and then taken away again.
_BY_FFMPEG = ("PNG", "GIF")


def open_animation(path: Path, header: ImageHeader, options: ReadOptions) -> FrameSource:
    """Open an animation: composed frames in colour, with their times."""
    with Image.open(path) as image:
        if image.format in _BY_FFMPEG:
            return VideoSource(path, options)
    animation = _Animation(path, header)
    try:
        times = animation.times()
    except DAMAGE as error:
        animation.close()
        raise unreadable(path, error) from error
    return ArraySource(
        animation,
        path.name,
        options,
        kind="images",
        known_axes="TYXS",
        times=times,
        close=animation.close,
    )


class _Animation:
    """Frames of an animation as an array [T, H, W, 3]; going back decodes from the beginning."""

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, header: ImageHeader) -> None:
        self._image = Image.open(path)
        self.shape = (header.frames, *header.shape[:2], 3)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray:
        return np.asarray(self._frame(key[0]).convert("RGB"))[key[1:]]

    def times(self) -> NDArray[np.float64]:
        """Seconds since the first frame, summed up from the frames' durations."""
        durations = []
        for number in range(self.shape[0]):
            frame = self._frame(number)
            frame.load()
            durations.append(float(frame.info.get("duration", 0)) / 1000)
        return np.concatenate([[0.0], np.cumsum(durations)[:-1]])

    def close(self) -> None:
        self._image.close()

    def _frame(self, number: int) -> Image.Image:
        self._image.seek(number)
        return self._image
