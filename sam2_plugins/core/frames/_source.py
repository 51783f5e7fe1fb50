"""The base class of all sources of frames."""

from __future__ import annotations

import operator
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._gate import MAX_PIXELS
from sam2_plugins.core.frames._normalise import Contrast, Normalisation, pick_channels

SAMPLED_FRAMES = 16  # enough for percentiles of a movie; few enough to stay lazy


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a movie.

    Attributes
    ----------
    index
        Position in presentation order, from 0.
    time
        Seconds since the first frame shown, from the presentation timestamps. Where times are
        not known, one frame per second.
    image
        uint8 [H, W, 3], RGB, upright, normalised.
    """

    index: int
    time: float
    image: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        """Bytes that the picture takes."""
        return self.image.nbytes


@dataclass(frozen=True)
class ReadOptions:
    """How a source is to be read: the arguments of `open_frames`, which documents them."""

    axes: str | None = None
    channels: Sequence[int] | None = None
    contrast: Contrast = field(default_factory=Contrast)
    z: int | None = None
    stream: int | None = None
    fps: float | None = None
    channels_by: str | None = None
    max_pixels: int = MAX_PIXELS


class FrameSource(ABC):
    """A movie: frames by index, in presentation order. Safe to read from several threads.

    Attributes
    ----------
    name
        Name of the source for messages.
    kind
        "video", "array", "images", "tiff", "zarr" or "stream".
    length
        Number of frames; None where it is not known (a stream).
    height, width
        Size of every frame in pixels, after rotation.
    fps
        Frames per second (the mean, if the rate varies); None where it is unknown.
    start_time
        Timestamp of frame 0 in the source's own clock, in seconds.
    dtype
        Type of the stored samples.
    axes, axes_guessed
        Letters of an array's axes (T, Z, C, Y, X), and whether they were guessed from its shape.
    codec, rotation, mirrored
        Of a video: its codec, the degrees counterclockwise by which frames were turned, and
        whether they were mirrored left to right before.
    pixel_size
        Micrometres per pixel (x, y), where it is known.
    seekable
        Whether frames can be had in any order.
    """

    kind: str = "array"
    seekable: bool = True
    dtype: np.dtype = np.dtype(np.uint8)
    axes: str | None = None
    axes_guessed: bool = False
    codec: str | None = None
    rotation: int = 0
    mirrored: bool = False
    pixel_size: tuple[float, float] | None = None

    def __init__(self, name: str, options: ReadOptions) -> None:
        self.name = name
        self._options = options
        self._lock = threading.RLock()
        self._closed = False
        self._normalisation: Normalisation | None = None
        self._white: int | None = None  # of grey in fewer bits than the type of its samples has
        self._warnings: list[str] = []

    @property
    @abstractmethod
    def length(self) -> int | None: ...

    @property
    @abstractmethod
    def height(self) -> int: ...

    @property
    @abstractmethod
    def width(self) -> int: ...

    @abstractmethod
    def _samples(self, index: int) -> NDArray:
        """Return the stored samples of a frame, [H, W] or [H, W, C]."""

    @property
    def fps(self) -> float | None:
        return self._options.fps

    @property
    def start_time(self) -> float:
        return 0.0

    @property
    def times(self) -> NDArray[np.float64]:
        """Presentation time of every frame in seconds, [length]."""
        if self._options.fps is None and self._known_times is not None:
            return self._known_times
        return np.arange(len(self), dtype=np.float64) / (self.fps or 1.0)

    @property
    def _known_times(self) -> NDArray[np.float64] | None:
        """Times that the source stores, [length]; None if it stores none."""
        return None

    def _time(self, index: int) -> float:
        if self._options.fps is None and self._known_times is not None:
            return float(self._known_times[index])
        return index / (self.fps or 1.0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Losses and assumptions while reading, so far."""
        return tuple(self._warnings)

    @property
    def normalisation(self) -> Normalisation:
        """How stored samples become uint8: the same for every frame."""
        with self._lock:
            if self._normalisation is None:
                self._normalisation = self._fit_normalisation()
            return self._normalisation

    def _fit_normalisation(self) -> Normalisation:
        count = len(self)
        chosen = np.unique(np.linspace(0, count - 1, min(count, SAMPLED_FRAMES)).round())
        return self._options.contrast.fit(
            self.dtype,
            (self._picked(int(index)) for index in chosen),
            f"{len(chosen)} of {count} frames",
            self._white,
        )

    def _picked(self, index: int) -> NDArray:
        return pick_channels(self._samples(index), self._options.channels, self.name)

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)

    def __len__(self) -> int:
        if self.length is None:
            raise UnknownLengthError(
                f"{self.name} is a stream: its length is not known. Iterate over it instead."
            )
        return self.length

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: int) -> Frame:
        """Return a frame.

        Raises
        ------
        IndexError
            If there is no such frame; negative indices are none.
        FrameSourceError
            If it cannot be read.
        """
        index = operator.index(index)
        with self._lock:
            self._require_open()
            if not 0 <= index < len(self):
                raise IndexError(f"{self.name} has frames 0 to {len(self) - 1}, not {index}")
            image = self.normalisation(self._picked(index))
            return Frame(index, self._time(index), image)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(len(self)):
            yield self[index]

    def _require_open(self) -> None:
        if self._closed:
            raise FrameSourceError(f"{self.name} was closed. Open it again with open_frames().")

    def close(self) -> None:
        """Release the file. Frames handed out stay valid."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._release()

    def _release(self) -> None:
        """Close the source's files."""
        return

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class UnknownLengthError(FrameSourceError, TypeError):
    """The length of a stream. A TypeError too, so that `list(stream)` goes on without it."""
