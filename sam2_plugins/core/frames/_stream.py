"""Streams: frames that come one after the other, with no known end and no way back."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import ArrayLike, NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._axes import guess_axes
from sam2_plugins.core.frames._decoder import choose_stream, decode
from sam2_plugins.core.frames._form import as_array, in_form, is_picture
from sam2_plugins.core.frames._gate import open_container
from sam2_plugins.core.frames._normalise import Normalisation, pick_channels
from sam2_plugins.core.frames._orientation import of_frame
from sam2_plugins.core.frames._source import Frame, FrameSource, ReadOptions


class Timed(NamedTuple):
    """A picture of a stream that knows its time in seconds."""

    samples: NDArray
    time: float


class StreamSource(FrameSource):
    """Frames of an iterable of pictures, each [H, W] or [H, W, C]. Goes forward only.

    Only the current frame is kept. Limits that are not given are those of the first frame, since
    no other is known yet.
    """

    kind = "stream"
    seekable = False

    def __init__(
        self,
        pictures: Iterable[ArrayLike | Timed],
        name: str,
        options: ReadOptions,
        *,
        codec: str | None = None,
        rate: float | None = None,
    ) -> None:
        super().__init__(name, options)
        self._pictures: Iterator[ArrayLike | Timed] = iter(pictures)
        self._index = -1
        self._current: Timed | None = None
        self.codec = codec
        self._rate = rate

    @property
    def fps(self) -> float | None:
        return self._options.fps or self._rate

    @property
    def length(self) -> None:
        return None

    @property
    def height(self) -> int:
        return int(self._first_or_current().samples.shape[0])

    @property
    def width(self) -> int:
        return int(self._first_or_current().samples.shape[1])

    @property
    def times(self) -> NDArray[np.float64]:
        raise FrameSourceError(f"{self.name} is a stream: each frame has its time when it is read.")

    def __getitem__(self, index: int) -> Frame:
        """Return the current frame or a coming one; frames on the way there are dropped.

        Raises
        ------
        IndexError
            If the stream ended before it.
        FrameSourceError
            If the frame has passed.
        """
        index = operator.index(index)
        with self._lock:
            self._require_open()
            if index < 0:
                raise IndexError(f"{self.name} has frames from 0 on, not {index}")
            if index < self._index:
                raise FrameSourceError(
                    f"Frame {index} of {self.name} has passed (it is at {self._index}): a stream "
                    "goes forward only. Record it to a file to go back."
                )
            while self._index < index:
                if not self._advance():
                    raise IndexError(f"{self.name} ended after {self._index + 1} frames")
            current = self._first_or_current()
            return Frame(index, current.time, self.normalisation(self._picked(index)))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the current frame, if there is one already, and those to come."""
        index = max(self._index, 0)
        while True:
            try:
                frame = self[index]
            except IndexError:
                return
            yield frame
            index = frame.index + 1

    def _first_or_current(self) -> Timed:
        with self._lock:
            if self._current is None and not self._advance():
                raise FrameSourceError(f"{self.name} ended before its first frame.")
            assert self._current is not None
            return self._current

    def _advance(self) -> bool:
        arrived = self._index + 1
        try:
            picture = next(self._pictures)
        except StopIteration:
            return False
        except IndexError as error:  # which is not how a stream ends
            raise FrameSourceError(
                f"What gives the frames of {self.name} failed on frame {arrived}: {error}. Mend it "
                "there; the frames before were read."
            ) from error
        if not isinstance(picture, Timed):
            picture = Timed(as_array(picture), arrived / (self.fps or 1.0))
        elif self._options.fps:
            picture = picture._replace(time=arrived / self._options.fps)
        if self._current is None:
            if not is_picture(picture.samples.shape):
                raise FrameSourceError(
                    f"{self.name} sends arrays of the shape {picture.samples.shape}: each has to "
                    "be one frame, (height, width) or (height, width, channels)."
                )
            self.axes = guess_axes(picture.samples.shape, f"A frame of {self.name}")
            self.dtype = picture.samples.dtype
        else:
            picture = picture._replace(samples=self._like_first(picture.samples, arrived))
        self._index, self._current = arrived, picture
        return True

    def _like_first(self, samples: NDArray, arrived: int) -> NDArray:
        """Bring a frame to the type of the first; colour may come and go."""
        size = self.height, self.width
        if not is_picture(samples.shape) or samples.shape[:2] != size:
            raise FrameSourceError(
                f"Frame {arrived} of {self.name} has the shape {samples.shape}, those before it "
                f"are of {size[0]} x {size[1]} pixels: send frames of one size."
            )
        same = in_form(samples, samples.shape, self.dtype)
        is_exact = samples.dtype in (self.dtype, bool) or self.dtype.kind not in "ui"
        if not (is_exact or np.array_equal(same, samples)):
            raise FrameSourceError(
                f"Frame {arrived} of {self.name} has samples of {samples.dtype}, the first of "
                f"{self.dtype}, which cannot hold their values: send frames of one type."
            )
        return same

    def _samples(self, index: int) -> NDArray:
        return self._first_or_current().samples

    def _fit_normalisation(self) -> Normalisation:
        first = self._first_or_current().samples
        chosen = pick_channels(first, self._options.channels, self.name)
        return self._options.contrast.fit(self.dtype, [chosen], "the first frame")

    def _release(self) -> None:
        close = getattr(self._pictures, "close", None)
        self._current, self._pictures = None, iter(())
        if close is not None:
            close()


def open_video_stream(source: Any, name: str, options: ReadOptions) -> StreamSource:
    """Open a URL, a pipe, "-" (standard input) or a binary file object as a stream of frames."""
    container = open_container(sys.stdin.buffer if source == "-" else source, name)
    stream = choose_stream(container, options.stream, name, options.max_pixels)
    rate = float(stream.average_rate) if stream.average_rate else None
    codec = stream.codec_context.name
    return StreamSource(_pictures(container, stream), name, options, codec=codec, rate=rate)


def _pictures(container: Any, stream: Any) -> Iterator[Timed]:
    reformatter = VideoReformatter()
    size: tuple[int, int] | None = None
    start = 0.0
    with container:
        for count, frame in enumerate(decode(container.demux(stream), stream)):
            time = count if frame.time is None else frame.time
            if size is None:
                size, start = (frame.width, frame.height), time
            image = reformatter.reformat(frame, *size, "rgb24").to_ndarray()
            yield Timed(of_frame(frame).apply(image), time - start)
