"""The facts about a source, for a person or a program before it is used."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from sam2_plugins.core.frames._open import open_frames


@dataclass(frozen=True)
class SourceInfo:
    """What a source is: the attributes of a `FrameSource`, None where they are not known, and more.

    Attributes
    ----------
    duration
        Seconds.
    variable_rate
        Whether the time between frames varies by more than the rounding of timestamps.
    limits, normalisation
        The values that become 0 and 255 per shown channel (None: unchanged), and why these.
    warnings
        What was lost or assumed.
    """

    name: str
    kind: str
    width: int
    height: int
    length: int | None
    fps: float | None
    duration: float | None
    start_time: float
    variable_rate: bool
    dtype: str
    axes: str | None
    axes_guessed: bool
    limits: tuple[tuple[float, float], ...] | None
    normalisation: str
    codec: str | None
    rotation: int
    mirrored: bool
    pixel_size: tuple[float, float] | None
    seekable: bool
    warnings: tuple[str, ...]


def probe(source: Any, **options: Any) -> SourceInfo:
    """Describe a source. Takes what `open_frames` takes; closes what it opened.

    Raises
    ------
    FrameSourceError
        If the source cannot be read.
    """
    frames = open_frames(source, **options)
    with nullcontext() if frames is source else frames:
        length, fps, normalisation = frames.length, frames.fps, frames.normalisation
        steps = np.diff(frames.times) if length is not None and length > 1 else None
        more: dict[str, Any] = {
            "duration": None if fps is None or length is None else length / fps,
            "variable_rate": steps is not None and bool(np.ptp(steps) > 0.1 * steps.mean()),
            "dtype": str(frames.dtype),
            "limits": normalisation.limits,
            "normalisation": normalisation.basis,
        }
        names = {field.name for field in fields(SourceInfo)} - more.keys()
        return SourceInfo(**{name: getattr(frames, name) for name in names}, **more)
