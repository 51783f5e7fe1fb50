"""Movies that a browser plays."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.support.movies import write_video

HEIGHT, WIDTH = 240, 320
MILLISECOND = Fraction(1, 1000)
BITS = 8


def write_movie(path: Path, images: Sequence[np.ndarray], times: Sequence[int]) -> Path:
    """Write grey images as H.264 with B-frames, each shown at its time in milliseconds."""
    return write_video(path, images, times, tick=MILLISECOND, bf="2", crf="16")


def every(step: float, count: int, start: int = 0) -> list[int]:
    return [start + round(step * i) for i in range(count)]


def disc_at(frame: int) -> tuple[float, float]:
    """Centre of the large disc."""
    return 60 + 3.0 * frame, 110 + 20 * float(np.sin(frame / 8))


def discs(count: int, gone: range = range(0)) -> list[np.ndarray]:
    """Two discs on a dark ground; the large one is not there on some frames."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    images = []
    for frame in range(count):
        image = rng.normal(40, 4, (HEIGHT, WIDTH))
        cx, cy = disc_at(frame)
        if frame not in gone:
            image[(x - cx) ** 2 + (y - cy) ** 2 < 20**2] = 200
        image[(x - (250 - 2 * frame)) ** 2 + (y - 190) ** 2 < 14**2] = 150
        images.append(image.clip(0, 255).astype(np.uint8))
    return images


def numbered(count: int) -> list[np.ndarray]:
    """Frames that show their number in bright and dark squares."""
    images = []
    for frame in range(count):
        image = np.full((64, 32 * BITS), 30, np.uint8)
        for bit in range(BITS):
            if frame >> bit & 1:
                image[8:56, 32 * bit + 4 : 32 * bit + 28] = 220
        images.append(image)
    return images


def number_in(image: np.ndarray) -> int:
    """Read a frame's number from what is shown of it."""
    return sum(1 << bit for bit in range(BITS) if image[32, 32 * bit + 16] > 120)
