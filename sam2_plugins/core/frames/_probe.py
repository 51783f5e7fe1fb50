"""The facts about a source, for a person or a program before it is used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sam2_plugins.core.frames._open import open_frames
from sam2_plugins.core.frames._source import FrameSource


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

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain values, ready for JSON."""
        return asdict(self)


def probe(source: Any, **options: Any) -> SourceInfo:
    """Describe a source. Takes what `open_frames` takes; closes what it opened.

    Raises
    ------
    FrameSourceError
        If the source cannot be read.
    """
    frames = open_frames(source, **options)
    try:
        return _facts(frames)
    finally:
        if frames is not source:
            frames.close()


def _facts(frames: FrameSource) -> SourceInfo:
    steps = None
    if frames.length is not None and frames.length > 1:
        steps = frames.times[1:] - frames.times[:-1]
    has_rate = frames.fps is not None and frames.length is not None
    height, width = frames.height, frames.width
    normalisation = frames.normalisation
    return SourceInfo(
        name=frames.name,
        kind=frames.kind,
        width=width,
        height=height,
        length=frames.length,
        fps=frames.fps,
        duration=frames.length / frames.fps if has_rate else None,  # type: ignore[operator]
        start_time=frames.start_time,
        variable_rate=steps is not None and bool(steps.max() - steps.min() > 0.1 * steps.mean()),
        dtype=str(frames.dtype),
        axes=frames.axes,
        axes_guessed=frames.axes_guessed,
        limits=normalisation.limits,
        normalisation=normalisation.basis,
        codec=frames.codec,
        rotation=frames.rotation,
        mirrored=frames.mirrored,
        pixel_size=frames.pixel_size,
        seekable=frames.seekable,
        warnings=frames.warnings,
    )
