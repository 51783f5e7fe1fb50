"""Video files: any frame by its exact index."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._decoder import Decoder
from sam2_plugins.core.frames._orientation import of_frame
from sam2_plugins.core.frames._source import FrameSource, ReadOptions
from sam2_plugins.core.frames._video_index import VideoIndex, index_of

_CACHE_BYTES = 128 << 20
_FORWARD_FRAMES = 8  # kept behind a reader who goes forward
_FORWARD_STREAK = 8  # steps forward after which further ones are expected


@dataclass
class ReadingCost:
    """The cost of reading so far: seeks in the file, and decoded frames."""

    seeks: int = 0
    decoded: int = 0


class VideoSource(FrameSource):
    """Frames of a video file in presentation order.

    Reading forward decodes each frame once and never seeks. Reading backward or at random decodes
    from the keyframe before, and keeps what it passes on the way, up to a bound in bytes.

    A frame that the file counts but that does not decode is replaced by the one before it, with an
    entry in `warnings`.
    """

    kind = "video"

    def __init__(self, path: Path, options: ReadOptions) -> None:
        super().__init__(path.name, options)
        self._path = path
        self._decoder = Decoder(path, options.stream, options.max_pixels)
        self._cache = FrameCache(_CACHE_BYTES)
        self._reformatter = VideoReformatter()
        self.cost = ReadingCost()
        first = self._decoder.next()
        if first is None:
            self.close()
            raise FrameSourceError(f"No frame of {path.name} decodes. Copy or record it again.")
        self.cost.decoded = 1
        self._held: av.VideoFrame | None = first  # decoded already, not yet counted
        self._next = 0
        self._latest, self._streak = -1, _FORWARD_STREAK
        self._lost: set[int] = set()
        self._corrupt: set[int] = set()
        self._resized: set[int] = set()
        self._coded_size = first.width, first.height
        self._orientation = of_frame(first)
        self._size = self._orientation.size(first.height, first.width)
        self.rotation, self.mirrored = self._orientation.rotation, self._orientation.mirrored
        if note := stretched(self._decoder.stream, self.width, self.height):
            self._warn(note)
        self.codec = self._decoder.stream.codec_context.name
        component_bits = max(component.bits for component in first.format.components)
        self._form = _form_of(first.format.name, component_bits)
        self.dtype = np.dtype(np.uint8 if self._form == "rgb24" else np.uint16)

    @cached_property
    def _index(self) -> VideoIndex:
        with self._lock:
            self._require_open()
            index = index_of(self._path, self._options.stream)
            self._warnings.extend(index.warnings)
            return index

    @property
    def start_time(self) -> float:
        return self._index.start_time

    @property
    def length(self) -> int:
        return len(self._index.times)

    @property
    def height(self) -> int:
        return self._size[0]

    @property
    def width(self) -> int:
        return self._size[1]

    @property
    def fps(self) -> float | None:
        return self._options.fps or self._index.fps

    @property
    def _known_times(self) -> NDArray[np.float64] | None:
        return self._index.times

    @property
    def warnings(self) -> tuple[str, ...]:
        if not self._closed:
            _ = self._index  # which checks the header against the file
        return (
            *super().warnings,
            *_tell("do not decode: the nearest that does stands in for each", self._lost),
            *_tell("decode with errors", self._corrupt),
            *_tell("are of another size, and are scaled to that of the first", self._resized),
        )

    def _samples(self, index: int) -> NDArray:
        frame = self._cache.get(index) or self._reach(index)
        if frame.is_corrupt:
            self._corrupt.add(index)
        if (frame.width, frame.height) != self._coded_size:
            self._resized.add(index)
        if index != self._latest:
            self._streak = self._streak + 1 if index == self._latest + 1 else 0
            self._latest = index
        width, height = self._coded_size
        image = self._reformatter.reformat(frame, width, height, self._form).to_ndarray()
        return self._orientation.apply(image)

    def _reach(self, index: int) -> av.VideoFrame:
        """Decode up to a frame, from where the decoder is or from a keyframe before the frame."""
        key = self._key_before(index)
        nearest = self._index.position(self._index.keys[key]) if key >= 0 else 0
        if nearest <= self._next <= index:
            frame, is_exact = self._decode_to(index, accept_corrupt=True)
        else:
            for start in self._ways_to(index):
                frame, is_exact = self._decode_to(index, accept_corrupt=start == 0)
                if is_exact:
                    break
        if not is_exact:
            self._lost.add(index)
            if frame is not None:
                self._cache.add(index, frame, None)
        if frame is None:
            raise FrameSourceError(
                f"Frame {index} of {self.name} does not decode, nor does any near it. "
                "Copy or record the file again."
            )
        return frame

    def _key_before(self, index: int) -> int:
        """Return the number of the last keyframe up to a frame; -1 if none is known."""
        pts, keys = self._index.pts, self._index.keys
        return -1 if pts is None else int(np.searchsorted(keys, pts[index], side="right")) - 1

    def _ways_to(self, index: int) -> Iterator[int]:
        """Go to keyframes ever further before a frame, at last to the beginning.

        The nearest one nearly always suffices. Further ones are for damaged streams, and for those
        that recover only some frames after a marked keyframe (intra refresh, open groups).
        """
        candidate, step = self._key_before(index), 1
        while candidate > 0:
            self.cost.seeks += 1
            self._held = None
            landed = self._decoder.seek(int(self._index.keys[candidate]))
            if landed in self._index.key_packets:
                self._next = self._index.position(landed.pts)
                yield self._next
            candidate, step = candidate - step, step * 2
        self.cost.seeks += 1
        self._held = None
        self._decoder.rewind()
        self._next = 0
        yield 0

    def _decode_to(self, index: int, *, accept_corrupt: bool) -> tuple[av.VideoFrame | None, bool]:
        """Decode on until a frame is reached; return it, or the nearest if it does not come."""
        max_frames = _FORWARD_FRAMES if self._streak >= _FORWARD_STREAK else None
        start = self._next
        latest = self._cache.get(start - 1) if start else None
        while (frame := self._decode_next()) is not None:
            position = self._next
            if self._index.pts is not None and frame.pts is not None:
                position = self._index.position(frame.pts)
            if position < start:  # shown before the keyframe: it may lack what it refers to
                continue
            self._next = position + 1
            if frame.is_corrupt and not accept_corrupt:
                if position >= index:
                    return latest, False
                continue
            self._cache.add(position, frame, max_frames)
            if position == index:
                return frame, True
            if position > index:
                return latest or frame, False
            latest = frame
        self._next = self.length
        return latest, False

    def _decode_next(self) -> av.VideoFrame | None:
        frame, self._held = self._held, None
        if frame is None:
            frame = self._decoder.next()
            self.cost.decoded += frame is not None
        return frame

    def _release(self) -> None:
        self._held = None
        self._cache.clear()
        self._decoder.close()


def _tell(what: str, frames: set[int]) -> list[str]:
    if not frames:
        return []
    first = ", ".join(map(str, sorted(frames)[:5]))
    return [f"{len(frames)} of the frames read {what} ({first}{' ...' * (len(frames) > 5)})."]


def _form_of(name: str, bits: int) -> str:
    """Return the pixel format to read a format in: what cameras measure keeps all of its bits.

    Films of 10 or 12 bits use all of their range, and are brought to 8.
    """
    if name.startswith("gray") and bits > 8:
        return "gray16le"
    is_rgb = name.startswith(("rgb", "bgr", "gbr", "bayer"))
    return "rgb48le" if is_rgb and bits > 14 else "rgb24"


def stretched(stream: Any, width: int, height: int) -> str | None:
    """Report pixels that are not square: frames are shown as they are stored."""
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect == 1:
        return None
    return (
        f"Its pixels are not square ({aspect.numerator}:{aspect.denominator}): frames are "
        f"{width} x {height} pixels as they are stored, where players stretch them."
    )


class FrameCache:
    """Decoded frames by index, as the decoder gave them; the least recently used go first.

    Parameters
    ----------
    max_bytes
        Bound on the memory of all of them; one frame is always kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._frames: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def get(self, index: int) -> av.VideoFrame | None:
        frame = self._frames.get(index)
        if frame is not None:
            self._frames.move_to_end(index)
        return frame

    def add(self, index: int, frame: av.VideoFrame, max_frames: int | None) -> None:
        """Keep a frame, and no more than `max_frames` in all."""
        self._drop(index)
        self._frames[index] = frame
        self.bytes += _size(frame)
        while len(self._frames) > 1 and (
            self.bytes > self._max_bytes or (max_frames and len(self._frames) > max_frames)
        ):
            self._drop(next(iter(self._frames)))

    def clear(self) -> None:
        self._frames.clear()
        self.bytes = 0

    def _drop(self, index: int) -> None:
        frame = self._frames.pop(index, None)
        if frame is not None:
            self.bytes -= _size(frame)


def _size(frame: av.VideoFrame) -> int:
    return sum(plane.buffer_size for plane in frame.planes)
