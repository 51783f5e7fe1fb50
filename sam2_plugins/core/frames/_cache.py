"""A cache of decoded frames."""

from __future__ import annotations

from collections import OrderedDict

import av


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
