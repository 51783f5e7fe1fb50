"""The camera's part of a micrograph: lamp, scenery, noise, and the range of grey that is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .noise import Field, blur, fractal_field, log_uniform, smooth_field, white_noise
from .stage import look_through

Camera: TypeAlias = Callable[[np.random.Generator, Field, int, complex], Field]
"""Takes the image of cells on a frame, at a place of the stage: one noisy frame, in any units."""


def exposure(
    rng: np.random.Generator, size: tuple[int, int], reach: float, diameter: float, dark: bool
) -> Camera:
    """Draw a camera, for a stage that moves by up to `reach` pixels."""
    pad = 2 * int(np.ceil(reach)) + 4
    canvas = (size[0] + pad, size[1] + pad)
    if dark:
        noise = log_uniform(rng, 0.01, 0.35)
        contrast, level = 1.0, log_uniform(rng, 0.02, 0.6)
    else:
        contrast = log_uniform(rng, 0.1, 0.6)
        noise, level = contrast * log_uniform(rng, 0.01, 0.3), 1.0
    mix = rng.uniform(0, 1)
    return camera(
        scenery=_scenery(rng, canvas, diameter, dark) * np.float32(0.5 if dark else contrast),
        lamp=_lamp(rng, size, 0.5 if dark else 0.5 * contrast),
        contrast=contrast,
        level=level,
        shot=noise * mix,
        read=noise * (1 - mix),
        noise_blur=rng.uniform(0.4, 1.0) if rng.random() < 0.3 else 0.0,
        fading=float(rng.choice([0.0, 0.0, log_uniform(rng, 0.003, 0.06)])),
        flicker=float(rng.choice([0.0, 0.0, 0.02, 0.06])) * contrast,
    )


def camera(
    scenery: Field,
    lamp: Field,
    contrast: float,
    level: float,
    shot: float,
    read: float,
    noise_blur: float = 0.0,
    fading: float = 0.0,
    flicker: float = 0.0,
) -> Camera:
    """Make the camera of one clip. `scenery` moves with the stage, `lamp` stays with the camera.

    `contrast` is how strongly cells stand out of a background of 1 (0 background for
    fluorescence); noise is `shot` × √signal plus `read`.
    """

    def take(rng: np.random.Generator, cells: Field, frame: int, stage: complex) -> Field:
        size = (cells.shape[0], cells.shape[1])
        seen = look_through(scenery, size, stage.real, stage.imag)
        light = (np.float32(contrast) * cells + seen) * np.float32(np.exp(-fading * frame)) + level
        light = light * lamp * (1 + flicker * rng.standard_normal())
        noise = white_noise(rng, size)
        if noise_blur:
            noise = blur(noise, noise_blur) * np.float32(2 * noise_blur + 0.5)
        amount = read + shot * np.sqrt(np.clip(light, 0, None))
        return np.asarray(light + noise * amount, np.float32)

    return take


def _lamp(rng: np.random.Generator, size: tuple[int, int], strength: float) -> Field:
    """Uneven illumination: a slope, a vignette, faint clouds."""
    y = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size[1], dtype=np.float32)[None]
    slope, cloud, round_off = np.float32(strength) * rng.exponential(
        [0.3, 0.12, 0.3] if rng.random() < 0.7 else 0.02, 3
    ).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    lamp = 1 + slope * (np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y)
    lamp = lamp - round_off * (x * x + y * y) / 2 + cloud * smooth_field(rng, size, 3)
    return np.asarray(np.clip(lamp, 0.2, 3), np.float32)


def _scenery(
    rng: np.random.Generator, canvas: tuple[int, int], diameter: float, dark: bool
) -> Field:
    """What is not a cell: haze, texture of the substrate, debris, blobs out of focus."""
    image = np.float32(rng.exponential(0.05)) * fractal_field(rng, canvas, rng.uniform(2, 12), 3)
    if rng.random() < 0.4:
        fine = rng.uniform(0.1, 0.3) * max(canvas)
        image += np.float32(rng.exponential(0.04)) * smooth_field(rng, canvas, fine)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 15))):
            width = max(0.8, diameter * log_uniform(rng, 0.02, 0.15))
            _add_speck(rng, image, width, rng.uniform(0.1, 0.8), dark)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 5))):
            _add_speck(rng, image, diameter * rng.uniform(0.3, 0.8), rng.uniform(0.05, 0.3), dark)
    if not dark and rng.random() < 0.25:
        image += _fibres(rng, canvas, diameter)
    return image


def _fibres(rng: np.random.Generator, canvas: tuple[int, int], diameter: float) -> Field:
    """Thin lines here and there, as cells that moved away leave them: where a field crosses 0."""
    bumps = max(canvas) / diameter * rng.uniform(1, 4)
    field = smooth_field(rng, canvas, bumps)
    width = np.float32(3 * bumps / max(canvas) * rng.uniform(0.6, 1.5))
    here = np.clip(smooth_field(rng, canvas, max(canvas) / diameter), 0, 1)
    strength = np.float32(rng.choice([-1, 1]) * rng.uniform(0.05, 0.4))
    return np.asarray(strength * here * np.exp(-((field / width) ** 2)), np.float32)


def _add_speck(
    rng: np.random.Generator, image: Field, width: float, strength: float, dark: bool
) -> None:
    """Draw one soft spot, with a ring around it in transmitted light."""
    reach = int(3 * width) + 2
    row, column = int(rng.integers(image.shape[0])), int(rng.integers(image.shape[1]))
    box = (
        slice(max(0, row - reach), row + reach + 1),
        slice(max(0, column - reach), column + reach + 1),
    )
    y = np.arange(image.shape[0], dtype=np.float32)[box[0], None] - row
    x = np.arange(image.shape[1], dtype=np.float32)[None, box[1]] - column
    near = (x * x + y * y) / np.float32(width * width)
    spot = np.exp(-near)
    if not dark:
        spot = np.float32(rng.choice([-1, 1])) * spot * (1 - np.float32(rng.uniform(0, 1.2)) * near)
    image[box] += np.float32(strength) * spot


def develop(rng: np.random.Generator, raw: Field, invertible: bool = False) -> NDArray[np.uint8]:
    """Stretch a whole clip [T, H, W] to 8 bits as a viewer would, and give it three channels.

    Mostly by percentiles; sometimes only a part of the range is used, or a gamma.
    """
    sparse = raw.reshape(-1)[:: max(1, raw.size // 20000)]
    tail = rng.choice([0.05, 0.2, 1.0])
    low, high = np.percentile(sparse, [tail, 100 - tail])
    shown = np.clip((raw - low) / max(high - low, 1e-6), 0, 1)
    gamma = float(np.exp(rng.normal(0, 0.25)))
    if abs(gamma - 1) > 0.08:
        shown = shown ** np.float32(gamma)
    if rng.random() < 0.25:
        span = rng.uniform(0.25, 0.8)
        shown = np.float32(rng.uniform(0, 1 - span)) + np.float32(span) * shown
    if invertible and rng.random() < 0.15:
        shown = 1 - shown
    grey = (shown * 255 + 0.5).astype(np.uint8)
    return np.repeat(grey[..., None], 3, -1)
