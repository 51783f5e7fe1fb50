"""Discs on frames, and frames in videos: what most tests look at."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def disc(size: tuple[int, int], at: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """Return what is not farther than a radius from (x, y): [H, W]."""
    y, x = np.ogrid[: size[0], : size[1]]
    inside: NDArray[np.bool_] = np.hypot(x - at[0], y - at[1]) <= radius
    return inside


def dividing(count: int, at: int) -> list[NDArray[np.uint8]]:
    """A cell that becomes two from a frame on, which move apart, beside one that stays."""
    images = []
    for frame in range(count):
        image = np.random.default_rng(frame).normal(40, 6, (96, 128))
        gone = max(0, frame - at + 1)
        halves = [(40 + side * (10 + 2 * gone), 40, 9) for side in (-1, 1)]
        for x, y, radius in [(100, 66, 11), *(halves if gone else [(40, 40, 14)])]:
            image[disc(image.shape, (x, y), radius)] = 200
        images.append(image.clip(0, 255).astype(np.uint8))
    return images


def write_video(
    path: Path,
    images: Iterable[np.ndarray],
    times: Iterable[int] | None = None,
    *,
    tick: Fraction = Fraction(1, 25),
    **options: str,
) -> Path:
    """Write grey or RGB images [H, W(, 3)] as H.264, one a tick or at times that are given."""
    images = list(images)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = tick
        for image, time in zip(images, range(len(images)) if times is None else times, strict=True):
            rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, -1)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = time, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
