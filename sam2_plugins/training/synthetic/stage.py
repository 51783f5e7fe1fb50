"""Where the frame looks: stage drift, jolts and camera moves, and the scenery seen through it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .noise import Field, drifting, log_uniform


def stage_path(
    rng: np.random.Generator, frames: int, side: int, restless: float = 0.5
) -> NDArray[np.complex128]:
    """Offsets x + iy of the frame in pixels: still, drifting, trembling, or jolted now and then."""
    path = np.zeros(frames, np.complex128)
    if rng.random() > restless:
        return path
    if rng.random() < 0.5:
        pace = log_uniform(rng, 0.001, 0.1) * side
        path += np.arange(frames) * pace * np.exp(2j * np.pi * rng.random())
    if rng.random() < 0.5:
        shake = drifting(rng, frames, (2,), 0.3) @ np.array([1, 1j])
        path += log_uniform(rng, 0.001, 0.015) * side * shake
    if rng.random() < 0.4:
        jolts = (rng.random(frames) < 0.25) * rng.uniform(0.02, 0.12, frames) * side
        path += np.cumsum(jolts * np.exp(2j * np.pi * rng.random(frames)))
    path -= path[0]
    # Scenery is finite, and objects should not all be left behind.
    far = np.abs(path).max() / (0.5 * side)
    return np.asarray(path / max(1.0, far))


def look_through(
    canvas: Field, size: tuple[int, int], x: float, y: float, zoom: float = 1.0
) -> Field:
    """The frame-sized part of `canvas` whose centre is (x, y) off its own, magnified by `zoom`."""
    rows = _line(canvas.shape[0], size[0], y, zoom)
    columns = _line(canvas.shape[1], size[1], x, zoom)
    strip = _blend(canvas, *rows, axis=0)
    return _blend(strip, *columns, axis=1)


def _line(long: int, short: int, offset: float, zoom: float) -> tuple[NDArray[np.intp], Field]:
    place = (np.arange(short) - (short - 1) / 2) / zoom + (long - 1) / 2 + offset
    place = np.clip(place, 0, long - 1.001)
    base = place.astype(np.intp)
    return base, (place - base).astype(np.float32)


def _blend(image: Field, base: NDArray[np.intp], share: Field, axis: int) -> Field:
    weight = share.reshape([-1 if a == axis else 1 for a in range(image.ndim)])
    low, high = np.take(image, base, axis), np.take(image, base + 1, axis)
    return np.asarray(low + weight * (high - low), np.float32)
