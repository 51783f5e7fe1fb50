"""Which frame of the file Label Studio shows as frame 17.

Its editor knows neither the frames of a video nor their times: it seeks to a time that it works out
from the frame's number and the `framerate` of the labelling config, and the browser shows the frame
whose time has come. If the rate is wrong or varies, numbers and frames drift apart.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_RATE = 24.0
"""What the editor assumes where the labelling config has no `framerate`."""

_LONGEST = 1 << 28  # bytes of frames in a region

_TICK = 0.002
"""Seconds to which the editor rounds the time that it seeks to, and by which it goes beyond."""


@dataclass(frozen=True)
class FrameClock:
    """Frames of Label Studio (from 1 on) to frames of the file (from 0 on).

    Parameters
    ----------
    rate
        The labelling config's frame rate.
    times
        When each frame of the file is shown, in seconds of the browser's clock, [n]. That is the
        file's own: a video that starts late shows its first frame until its second one is due.
    count
        Frames of Label Studio.
    """

    rate: float
    times: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, rate: float, times: NDArray[np.float64]) -> FrameClock:
        """Make the clock of a movie, with as many frames as its duration gives."""
        step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / rate
        duration = float(times[-1]) + step
        return cls(rate, times, max(1, round(duration * rate)))

    @cached_property
    def shown(self) -> NDArray[np.intp]:
        """For each frame of Label Studio, the frame of the file that the browser shows, [count]."""
        ticks = np.round(np.arange(self.count) / self.rate / _TICK)
        seek = ticks * _TICK + _TICK
        # Times are rounded binary fractions: a frame that is due at this moment is shown.
        latest = np.searchsorted(self.times, seek + 1e-6, side="right") - 1
        return np.clip(latest, 0, len(self.times) - 1)


def pack_frames(shown: NDArray[np.intp]) -> dict[str, Any]:
    """Write which frame of the file each frame of Label Studio shows, to travel in a region."""
    steps = np.diff(shown, prepend=0).astype("<i4").tobytes()
    return {"count": len(shown), "steps": base64.b64encode(zlib.compress(steps, 9)).decode("ascii")}


def unpack_frames(packed: Any) -> list[int] | None:
    """Read what `pack_frames` wrote: frames from 0 on, by Label Studio's from 0 on; None if not."""
    if not isinstance(packed, Mapping) or not isinstance(packed.get("count"), int):
        return None
    size = 4 * packed["count"]
    if not 0 <= size <= _LONGEST:
        return None
    try:
        unpacking = zlib.decompressobj()
        steps = unpacking.decompress(base64.b64decode(str(packed.get("steps"))), max(size, 1))
    except (zlib.error, binascii.Error, ValueError):
        return None
    return np.cumsum(np.frombuffer(steps, "<i4")).tolist() if len(steps) == size else None
