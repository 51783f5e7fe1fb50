"""An H.264 video of the frames with the masks drawn on them."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export.overlay import overlay
from sam2_plugins.core.export.registry import Masks, Subject, export_format
from sam2_plugins.core.files import naming, replacing
from sam2_plugins.core.frames import media_url

SMALLEST_WIDTH = 720
_TALLEST_ENLARGED = 4096  # beyond that, few players show it
_LARGEST_SIDE = 16384  # that the encoder takes
_GROWING = {"movflags": "frag_every_frame+delay_moov+default_base_moof", "flush_packets": "1"}
"""Every frame is in the file at once, and plays."""
_TICKS = 60_000  # per second: whole for 24, 25, 30, 50 and 60 frames, and MPEG-4 takes < 65,536
_FILM_STEP = 0.2  # seconds between frames up to which a movie plays at its own pace
_LAPSE_STEP = 1 / 6  # seconds that a frame of a slower movie is shown


@export_format("mp4", "overlay.mp4", "Overlay video (MP4)", has_pictures=True)
class VideoWriter:
    """Writes an mp4 that plays everywhere: H.264, or MPEG-4 where there is no H.264 encoder.

    A movie plays at its own pace, with its own variable frame times. A time-lapse, with more than
    0.2 s between frames, plays at 6 frames a second. Small frames are enlarged, and those that no
    encoder takes made smaller.

    The file plays while it grows, and after a kill: it is written in fragments, and put together
    with an index at its head when it is closed.
    """

    def __init__(self, path: Path, of: Subject) -> None:
        self.path = Path(path)
        self._frames = frames = of.frames
        self._numbering = of.numbering
        self._fps = of.fps
        self._scale = _scale_for(frames.height, frames.width)
        self._pts = 0
        self._last: float | None = None
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._closed = False
        with naming(self.path, also=(FFmpegError,)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # FFmpeg makes the file with the first frame; what is wrong with it shows now.
            self.path.open("wb").close()
            self._container = av.open(media_url(self.path), "w", format="mp4", options=_GROWING)
        self._stream = cast("VideoStream", self._container.add_stream(codec, rate=30))
        # Most players want an even number of rows and columns.
        self._stream.width = int(frames.width * self._scale) // 2 * 2
        self._stream.height = int(frames.height * self._scale) // 2 * 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream.codec_context.options = (
            {"crf": "23", "preset": "fast", "tune": "zerolatency"}  # which holds no frame back
            if codec == "libx264"
            else {"qscale": "3"}
        )

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Draw and encode a frame."""
        image = np.asarray(self._frames[frame].image)
        picture = overlay(image, masks, self._numbering, self._scale)
        if self._last is not None:
            elapsed = time - self._last
            step = elapsed if 0 < elapsed <= _FILM_STEP else _LAPSE_STEP
            self._pts += max(1, round((1 / self._fps if self._fps else step) * _TICKS))
        self._last = time
        cut = np.ascontiguousarray(picture[: self._stream.height, : self._stream.width])
        encoded = av.VideoFrame.from_ndarray(cut, format="rgb24")
        encoded.pts, encoded.time_base = self._pts, Fraction(1, _TICKS)
        with naming(self.path, also=(FFmpegError,)):
            self._container.mux(self._stream.encode(encoded))

    def close(self) -> None:
        """Encode what the encoder holds back, and write the index of the file."""
        if self._closed:
            return
        self._closed = True
        with naming(self.path, also=(FFmpegError,)):
            if self._last is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
            if self._last is None:
                self.path.unlink()
            else:
                with contextlib.suppress(ExportError):  # no room for both: what is there plays, too
                    _put_together(self.path)


def _scale_for(height: int, width: int) -> float:
    """Return by how much frames are enlarged, or made smaller where no encoder takes them."""
    if max(height, width) > _LARGEST_SIDE:
        return 1 / math.ceil(max(height, width) / _LARGEST_SIDE)
    least = 2 if min(height, width) == 1 else 1  # for an even size
    return max(least, min(math.ceil(SMALLEST_WIDTH / width), _TALLEST_ENLARGED // height))


def _put_together(path: Path) -> None:
    """Make an ordinary mp4 of one in fragments, in which not every player can seek."""
    with replacing(path) as whole:
        options = {"movflags": "+faststart"}
        with (
            av.open(media_url(path)) as source,
            av.open(media_url(whole), "w", format="mp4", options=options) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:  # the last one is empty
                    packet.stream = stream
                    target.mux(packet)
