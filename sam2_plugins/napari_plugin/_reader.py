"""Videos as layers: a frame is decoded when it is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.frames import FrameSource, open_frames

LayerData = "list[tuple[Any, dict[str, Any], str]]"


class VideoFrames:
    """A video as an array (T, Y, X, 3) of uint8 that decodes on slicing."""

    def __init__(self, frames: FrameSource) -> None:
        assert frames.length is not None
        self._frames = frames
        self.shape = (frames.length, frames.height, frames.width, 3)
        self.ndim = 4
        self.dtype = np.dtype(np.uint8)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        if isinstance(first, slice):
            chosen = [self._frames[i].image for i in range(*first.indices(len(self)))]
            frames = np.stack(chosen) if chosen else np.zeros((0, *self.shape[1:]), self.dtype)
            return frames[(slice(None), *rest)]
        return np.asarray(self._frames[int(first) % len(self)].image)[tuple(rest)]


def video_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return a reader if the path is one file."""
    return read_video if isinstance(path, str) else None


def read_video(path: str) -> list[tuple[Any, dict[str, Any], str]]:
    """Read a video as an RGB image layer."""
    frames = open_frames(path)
    return [(VideoFrames(frames), {"name": Path(path).stem, "rgb": True}, "image")]
