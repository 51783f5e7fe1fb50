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
from sam2_plugins.core.frames._source import ReadOptions


def open_animation(path: Path, header: ImageHeader, options: ReadOptions) -> ArraySource:
    """Open an animation: composed frames in colour, with their times.

    Raises
    ------
    FrameSourceError
        If it is damaged.
    """
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
        times=times if np.all(np.diff(times) > 0) else None,
        close=animation.close,
    )


class _Animation:
    """Frames of an animation as an array [T, H, W, 3]; going back decodes from the beginning."""

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, header: ImageHeader) -> None:
        self._path = path
        self._image = Image.open(path)
        self._skipped = int(getattr(self._image, "default_image", False))
        self.shape = (header.frames, *header.shape[:2], 3)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray:
        return np.asarray(self._frame(key[0]).convert("RGB"))[key[1:]]

    def times(self) -> NDArray[np.float64]:
        """Seconds since the first frame; each says for how long it is shown."""
        durations = []
        for number in range(self.shape[0]):
            frame = self._frame(number)
            frame.load()
            durations.append(float(frame.info.get("duration", 0)) / 1000)
        return np.concatenate([[0.0], np.cumsum(durations)[:-1]])

    def close(self) -> None:
        self._image.close()

    def _frame(self, number: int) -> Image.Image:
        wanted = number + self._skipped
        if wanted < self._image.tell():  # Pillow loses its place in a PNG when it goes back
            self._image.close()
            self._image = Image.open(self._path)
        self._image.seek(wanted)
        return self._image
