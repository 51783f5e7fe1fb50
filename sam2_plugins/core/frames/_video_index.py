"""Presentation times of a video's frames, found without decoding."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._content import fault_of
from sam2_plugins.core.frames._decoder import Decoder, Key
from sam2_plugins.core.frames._gate import open_container

_VP8_SHOW_FRAME = 0x10  # RFC 6386, section 9.1: bit 4 of the frame tag
_KEPT = 16
"""Indices that are kept: a server opens a movie at each request, and a long one takes seconds."""
_DEFAULT_RATE = 25.0  # of a raw stream that names none, as FFmpeg assumes


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """The frames of a video stream.

    Attributes
    ----------
    times
        Seconds since the first frame shown, [N].
    pts
        Presentation timestamps, [N], increasing. None: the stream has none by which its
        frames can be found; they are counted from the beginning.
    keys
        Presentation timestamps of the packets where decoding can begin, increasing.
    key_packets
        The same packets, with their sizes. MPEG program streams make up other timestamps after a
        jump; the size tells.
    start_time
        Time of the first frame in the stream's own clock, in seconds.
    fps
        Frames per second, the mean if it varies.
    warnings
        What the header promises and the file does not hold.
    """

    times: NDArray[np.float64]
    pts: NDArray[np.int64] | None
    keys: NDArray[np.int64]
    key_packets: frozenset[Key]
    start_time: float
    fps: float | None
    warnings: tuple[str, ...]

    def position(self, pts: int) -> int:
        """Return the index of the first frame shown at `pts` or later."""
        assert self.pts is not None
        return int(np.searchsorted(self.pts, pts))


@dataclass(frozen=True)
class _Survey:
    """Facts from the packets of a file, read without decoding.

    `stored` includes packets that are not shown, as headers count them.
    """

    stored: int
    pts: list[int | None]
    keys: list[Key]
    end: float
    damaged: bool


def index_of(path: Path, number: int | None) -> VideoIndex:
    """Index a video, or return the index that was built when the same file was opened before."""
    try:
        now = path.stat()
    except OSError:
        return build_index(path, number)  # which reports what is wrong
    return _index_of(path, number, now.st_ino, now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=_KEPT)
def _index_of(path: Path, number: int | None, *_file: int) -> VideoIndex:
    index = build_index(path, number)
    index.times.flags.writeable = False  # all sources of the file share the array
    return index


def build_index(path: Path, number: int | None) -> VideoIndex:
    """Index a video by its packets; by decoding it once if the packets cannot be trusted."""
    decoder = Decoder(path, number)
    try:
        survey = _survey(decoder.container, decoder.stream)
        warnings = _broken_promises(path, decoder.container, decoder.stream, survey)
        shown = _sorted(survey.pts)
        # Those of an AVI with B-frames merely number the packets.
        is_avi = decoder.container.format.name == "avi"
        made_up = is_avi and decoder.stream.codec_context.has_b_frames and _increase(survey.pts)
        if warnings or survey.damaged or made_up or not _increase(shown):
            decoder.rewind()
            shown = [frame.pts for frame in iter(decoder.next, None)]
            if lost := len(survey.pts) - len(shown):
                warnings.append(f"{lost} of {len(survey.pts)} stored frames do not decode.")
        if not shown:
            raise FrameSourceError(f"No frame of {path.name} decodes. Copy or record it again.")
        return _index(decoder.stream, shown, survey.keys, warnings)
    finally:
        decoder.close()


def _sorted(pts: Sequence[int | None]) -> list[int | None]:
    """Sort timestamps; leave them if one is missing."""
    known = [p for p in pts if p is not None]
    return [*sorted(known)] if len(known) == len(pts) else list(pts)


def _increase(pts: Sequence[int | None]) -> bool:
    """Return whether timestamps are all there, in order, and differ."""
    known = [p for p in pts if p is not None]
    return len(known) == len(pts) and all(a < b for a, b in pairwise(known))


def _survey(container: Any, stream: Any) -> _Survey:
    """Read every packet; those of other streams only show how far the file goes."""
    pts: list[int | None] = []
    keys: list[Key] = []
    stored, end, damaged = 0, 0.0, False
    is_vp8 = stream.codec_context.name == "vp8"
    try:
        for packet in container.demux():
            if packet.size == 0:
                continue
            if packet.pts is not None:
                shown_until = packet.pts + (packet.duration or 0)
                end = max(end, shown_until * float(packet.time_base))
            if packet.stream.index != stream.index:
                continue
            stored += 1
            damaged = damaged or packet.is_corrupt
            if packet.is_keyframe and packet.pts is not None:
                keys.append(Key(packet.pts, packet.size))
            if not packet.is_discard and not (is_vp8 and is_hidden_vp8(bytes(packet)[:1])):
                pts.append(packet.pts)
    except av.error.FFmpegError:
        damaged = True
    return _Survey(stored, pts, sorted(keys), end, damaged)


def is_hidden_vp8(head: bytes) -> bool:
    """Return whether a VP8 packet, from its first byte, holds a frame that is only referred to."""
    return bool(head) and not head[0] & _VP8_SHOW_FRAME


def _broken_promises(path: Path, container: Any, stream: Any, survey: _Survey) -> list[str]:
    promised = stream.frames
    if promised and promised not in (survey.stored, _count_unedited(path, container, stream)):
        return [f"The header promises {promised} frames, the file holds {survey.stored}."]
    shown = _sorted(survey.pts)
    if not promised and container.duration and _increase(shown) and len(shown) > 1:
        step = float(np.diff(np.array(shown, np.int64)).max()) * float(stream.time_base)
        seconds = container.duration / av.time_base
        if seconds - survey.end > max(2 * step, 0.2):
            return [
                f"The header promises {seconds:.2f} s, the file holds {survey.end:.2f} s: "
                "it is cut off."
            ]
    fault = fault_of(path)
    return [fault] if fault else []


def _count_unedited(path: Path, container: Any, stream: Any) -> int | None:
    """Count the packets of an MP4 with those that its edit list leaves out."""
    if "mp4" not in container.format.name:
        return None
    with (
        suppress(av.error.FFmpegError, FrameSourceError),
        open_container(path, path.name, ignore_editlist="1") as unedited,
    ):
        packets = unedited.demux(unedited.streams[stream.index])
        return sum(1 for packet in packets if packet.size)
    return None


def _index(stream: Any, pts: list[int | None], keys: list[Key], warnings: list[str]) -> VideoIndex:
    if not _increase(pts):
        rate = float(stream.average_rate or stream.guessed_rate or _DEFAULT_RATE)
        times = np.arange(len(pts)) / rate
        nowhere = np.empty(0, np.int64)
        return VideoIndex(times, None, nowhere, frozenset(), 0.0, rate, tuple(warnings))
    shown = np.array(pts, np.int64)
    base = float(stream.time_base)
    times = (shown - shown[0]) * base
    return VideoIndex(
        times=times,
        pts=shown,
        keys=np.array([key.pts for key in keys], np.int64),
        key_packets=frozenset(keys),
        start_time=float(shown[0]) * base,
        fps=_rate(stream, times),
        warnings=tuple(warnings),
    )


def _rate(stream: Any, times: NDArray[np.float64]) -> float | None:
    """Return the declared rate where it is that of the timestamps but for rounding."""
    declared = float(stream.average_rate or 0)
    if len(times) < 2:
        return declared or None
    mean = float((len(times) - 1) / times[-1])
    return declared if abs(declared - mean) < 0.01 * mean else mean
