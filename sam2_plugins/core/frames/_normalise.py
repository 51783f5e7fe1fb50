"""Stored samples to uint8 RGB, by the same rule for the whole movie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError

Limits = tuple[float, float]

_PIXELS_PER_FRAME = 1 << 16
_MAX_STRIDE = 8  # a sample that strides over whole cells would miss their brightness


@dataclass(frozen=True)
class Normalisation:
    """How stored samples become uint8 RGB.

    Attributes
    ----------
    limits
        Per channel, the values that become 0 and 255. None: samples are uint8 already and are left
        as they are.
    basis
        Where the limits come from, for a person.
    """

    limits: tuple[Limits, ...] | None = None
    basis: str = "uint8, unchanged"

    def __call__(self, samples: NDArray) -> NDArray[np.uint8]:
        """Turn samples [H, W] or [H, W, C], C up to 3, into uint8 RGB [H, W, 3].

        One channel becomes grey; of two, the first is red, the second green and blue is 0.
        Not-a-number becomes 0.
        """
        planes = samples[..., None] if samples.ndim == 2 else samples
        if self.limits is None:
            return _to_rgb(cast("NDArray[np.uint8]", planes))
        limits = self.limits * planes.shape[-1] if len(self.limits) == 1 else self.limits
        scaled = [_scale(planes[..., c], limits[c]) for c in range(planes.shape[-1])]
        return _to_rgb(np.stack(scaled, axis=-1))


@dataclass(frozen=True)
class Contrast:
    """The wanted limits: arguments of `open_frames`, which documents them."""

    limits: Limits | Sequence[Limits] | None = None
    percentiles: Limits = (0.1, 99.9)

    def __post_init__(self) -> None:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise FrameSourceError(
                f"percentiles={self.percentiles} make no range: give two numbers "
                "from 0 to 100, the lower first."
            )
        for pair in self._pairs():
            if len(pair) != 2 or not pair[0] < pair[1] or not np.isfinite(pair).all():
                raise FrameSourceError(
                    f"limits={self.limits} make no range: give (low, high), or one per channel."
                )

    def _pairs(self) -> tuple[Limits, ...]:
        if self.limits is None:
            return ()
        if np.ndim(self.limits) == 1:
            return (cast("Limits", tuple(self.limits)),)
        return tuple(self.limits)  # type: ignore[arg-type]

    def fit(
        self, dtype: np.dtype, frames: Iterable[NDArray], what: str, white: int | None = None
    ) -> Normalisation:
        """Fix the limits for a movie, looking at `frames` (described by `what`) only if needed.

        Of uint8, `white` is what becomes 255, where that is another value.
        """
        if dtype.kind not in "biuf":
            raise FrameSourceError(f"Samples of type {dtype} are no picture: convert to a float.")
        pairs = self._pairs()
        if pairs:
            if len(pairs) > 1:
                frame = next(iter(frames))
                count = 1 if frame.ndim == 2 else frame.shape[-1]
                if len(pairs) != count:
                    raise FrameSourceError(
                        f"{len(pairs)} limits for {count} shown channels: give one pair, or one "
                        "per channel."
                    )
            return Normalisation(pairs, "explicit limits")
        if dtype == np.uint8:
            return Normalisation(((0.0, white),), f"0 to {white}") if white else Normalisation()
        if dtype.kind == "b":
            return Normalisation(((0.0, 1.0),), "boolean")
        sample = _sample(frames)
        low, high = self.percentiles
        return Normalisation(
            tuple(_percentile_limits(channel, self.percentiles) for channel in sample),
            f"percentiles {low:g} to {high:g} of {what}",
        )


def pick_channels(samples: NDArray, channels: Sequence[int] | None, name: str) -> NDArray:
    """Keep the wanted channels of [H, W, C], or the first three. [H, W] stays as it is."""
    count = 1 if samples.ndim == 2 else samples.shape[-1]
    wanted = check_channels(channels, count, name)
    return samples if wanted == list(range(count)) else samples[..., wanted]


def check_channels(channels: Sequence[int] | None, count: int, name: str) -> list[int]:
    """Return the channels to show out of `count`."""
    if channels is None:
        return list(range(min(count, 3)))
    wanted = [int(c) for c in channels]
    if not 1 <= len(wanted) <= 3:
        raise FrameSourceError(f"channels={wanted}: choose one, two or three to show as RGB.")
    if not all(0 <= c < count for c in wanted):
        raise FrameSourceError(
            f"channels={wanted}, but {name} has {count}, counted from 0: choose among those."
        )
    return wanted


def _sample(frames: Iterable[NDArray]) -> list[NDArray]:
    """Gather finite samples per channel, from every n-th pixel of each frame."""
    parts: list[NDArray] = []
    for frame in frames:
        height, width = frame.shape[:2]
        stride = int(min(_MAX_STRIDE, max(1, np.sqrt(height * width / _PIXELS_PER_FRAME))))
        thinned = frame[::stride, ::stride]
        parts.append(thinned.reshape(-1, 1 if frame.ndim == 2 else frame.shape[-1]))
    pixels = np.concatenate(parts)
    return [channel[np.isfinite(channel)] for channel in pixels.T]


def _percentile_limits(values: NDArray, percentiles: Limits) -> Limits:
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values.astype(np.float64), percentiles))
    if low == high:  # nearly all of it background: what little differs is the object
        low, high = float(values.min()), float(values.max())
    return low, high


def _scale(plane: NDArray, limits: Limits) -> NDArray[np.uint8]:
    low, high = limits
    wide = plane.dtype.itemsize > 2 and plane.dtype != np.float32
    values: NDArray[np.floating] = plane.astype(np.float64 if wide else np.float32)
    if high > low:
        with np.errstate(over="ignore", invalid="ignore"):
            values = (values - low) * (255.0 / (high - low))
    else:  # a movie of one value has nothing to show
        values = np.zeros_like(values)
    finite = np.nan_to_num(values, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    return np.asarray(np.rint(finite.clip(0, 255)), dtype=np.uint8)


def _to_rgb(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    count = planes.shape[-1]
    if count == 1:
        return np.repeat(planes, 3, axis=-1)
    if count == 2:
        return np.concatenate([planes, np.zeros_like(planes[..., :1])], axis=-1)
    return np.array(planes, order="C")
