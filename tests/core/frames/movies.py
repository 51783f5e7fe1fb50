"""Movies made for the tests, in which every frame shows its own number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH, BITS = 64, 96, 8
_BLOCK = WIDTH // BITS


def numbered(number: int) -> NDArray[np.uint8]:
    """Draw a number as black and white blocks, over grey that differs between frames."""
    image = np.full((HEIGHT, WIDTH, 3), 40 + number * 37 % 170, np.uint8)
    for bit in range(BITS):
        image[: HEIGHT // 2, bit * _BLOCK : (bit + 1) * _BLOCK] = 255 * (number >> bit & 1)
    return image


def read_number(image: NDArray) -> int:
    """Read the number that `numbered` drew."""
    row = image[HEIGHT // 4, _BLOCK // 2 :: _BLOCK, 1]
    return sum(int(value > 127) << bit for bit, value in enumerate(row))


def write_movie(
    path: Path,
    count: int = 40,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    b_frames: int = 2,
    gop: int = 12,
    rate: int = 25,
    ticks: Sequence[int] | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    scale: int = 1,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write frames 0, 1, 2 ... shown at `ticks` (of 1/rate s; by default one after the other)."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = scale * WIDTH, scale * HEIGHT, pix_fmt
        stream.options = {"crf": "10"} if codec == "libx264" else {}
        stream.options = {**stream.options, **(options or {})}
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, rate)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for number, tick in zip(range(count), ticks or range(count), strict=False):
            image = numbered(number).repeat(scale, 0).repeat(scale, 1)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> Path:
    """Write a copy of a file that ends early."""
    content = path.read_bytes()
    shorter = path.with_name(f"cut_{path.name}")
    shorter.write_bytes(content[: int(len(content) * share)])
    return shorter
