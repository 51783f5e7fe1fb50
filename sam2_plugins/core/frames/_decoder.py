"""One video stream of a file, decoded in presentation order from any keyframe."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._gate import MAX_PIXELS, open_container, require_size

_THREADS = min(4, os.cpu_count() or 1)  # each holds a frame more


def choose_stream(
    container: Any, number: int | None, name: str, max_pixels: int = MAX_PIXELS
) -> Any:
    """Return a video stream of a container: the `number`-th, or the first that is no cover art."""
    stream = _stream(container, number, name)
    codec = stream.codec_context
    if codec is None:
        raise FrameSourceError(
            f"{name} is in a codec that is not known here, or is damaged. Convert it, for instance "
            "with ffmpeg -i IN OUT.mp4, or copy it again."
        )
    require_size(codec.height or 0, codec.width or 0, name, max_pixels)
    codec.options = {**codec.options, "max_pixels": str(max_pixels)}  # of frames that grow later
    return stream


def _stream(container: Any, number: int | None, name: str) -> Any:
    streams = list(container.streams.video)
    if not streams and not container.streams.audio:
        raise FrameSourceError(
            f"{name} has neither pictures nor sound: it is cut off, or damaged. Copy or record it "
            "again."
        )
    if not streams:
        raise FrameSourceError(f"{name} has no video stream, only sound. Give a video.")
    if number is None:
        moving = [s for s in streams if not s.disposition & s.disposition.attached_pic]
        return (moving or streams)[0]
    if not 0 <= number < len(streams):
        raise FrameSourceError(
            f"{name} has {len(streams)} video streams, counted from 0, but no stream {number}: "
            "choose another with stream=."
        )
    return streams[number]


def decode(packets: Iterable[Any], stream: Any) -> Iterator[av.VideoFrame]:
    """Decode packets; a damaged one is skipped, and a damaged end ends the stream."""
    try:
        for packet in packets:
            frames: list[Any] = []
            with suppress(av.error.FFmpegError):
                frames = packet.decode()
            yield from frames
    except av.error.FFmpegError:  # the container is damaged here: what is in the decoder is good
        with suppress(av.error.FFmpegError):
            yield from stream.decode(None)


class Key(NamedTuple):
    """A packet where decoding can begin: its presentation timestamp, and its size in bytes."""

    pts: int
    size: int


class Decoder:
    """A position in a video stream: gives the next frame, and goes to a keyframe."""

    def __init__(self, path: Path, number: int | None, max_pixels: int = MAX_PIXELS) -> None:
        self._path = path
        self._number = number
        self._max_pixels = max_pixels
        self._open()

    def rewind(self) -> None:
        """Go to the beginning, without a timestamp."""
        self.close()
        self._open()

    def _open(self) -> None:
        self.container = open_container(self._path, self._path.name)
        try:
            self.stream = choose_stream(
                self.container, self._number, self._path.name, self._max_pixels
            )
        except FrameSourceError:
            self.container.close()
            raise
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.thread_count = _THREADS
        self._frames = decode(self.container.demux(self.stream), self.stream)

    def seek(self, pts: int) -> Key | None:
        """Go to the keyframe shown at `pts` or to one before it.

        Returns
        -------
        Key | None
            Where decoding begins; None if the container cannot be brought there.
        """
        try:
            self.container.seek(pts, stream=self.stream)
            packets = self.container.demux(self.stream)
            key = next((p for p in packets if p.is_keyframe and p.pts is not None), None)
        except av.error.FFmpegError:
            return None
        if key is None or key.pts > pts:
            return None
        self._frames = decode(chain([key], packets), self.stream)
        return Key(key.pts, key.size)

    def next(self) -> av.VideoFrame | None:
        """Return the next frame in presentation order; None at the end."""
        return next(self._frames, None)

    def close(self) -> None:
        self._frames = iter(())
        self.container.close()
