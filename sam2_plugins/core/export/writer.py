"""The interface of all formats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.masks import ObjectId, ObjectMask

Masks = Mapping[ObjectId, ObjectMask]

UNPAIRED = "backslashreplace"
"""Error handler for unpaired surrogates, which names may have and UTF-8 does not."""


class TrackWriter(Protocol):
    """Writes tracking results, frame by frame.

    Frames come once each, in increasing order; some may be missing. What was written is kept
    whenever the writer is closed; only a closed file is promised to be complete.
    """

    path: Path

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Write what is known of one frame: its index from 0 on, seconds, and masks by object."""

    def close(self) -> None:
        """Finish the file. Closing twice does no harm."""


class Frame(Protocol):
    """A frame of a movie."""

    @property
    def image(self) -> NDArray[Any]:
        """uint8 [H, W, C]."""


class Frames(Protocol):
    """The movie that was tracked, as far as writers need it; a `FrameSource` is one."""

    name: str
    seekable: bool

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def length(self) -> int | None:
        """Number of frames; None if not known."""

    @property
    def fps(self) -> float | None:
        """Frames per second; None if the times mean nothing."""

    def __getitem__(self, index: int, /) -> Frame:
        """Return a frame."""


class Blank:
    """A movie of known size without pictures, for writers that need a movie."""

    seekable = True
    fps: float | None = None

    def __init__(self, name: str, size: tuple[int, int], length: int | None) -> None:
        self.name = name
        self.height, self.width = size
        self.length = length

    def __getitem__(self, index: int) -> Any:
        """Refuse: no writer of masks alone needs a picture."""
        raise ExportError(f"{self.name} has no pictures.")
