"""Textures that objects carry along: cell interiors (grey) and photo-like surfaces (colour)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .noise import Field, blur, fractal_field, log_uniform, smooth_field, white_noise


@dataclass(frozen=True)
class Interior:
    """A tile [n, n] or [n, n, 3] whose grains may be replaced, little by little, by others.

    By `rate` radians a frame the grains turn from `first` to `second`, over the `fixed` part.
    """

    fixed: Field
    first: Field | None = None
    second: Field | None = None
    rate: float = 0.0

    def at(self, frame: float) -> Field:
        """The tile of one frame."""
        if self.first is None or self.second is None:
            return self.fixed
        turn = self.rate * frame
        now = np.float32(np.cos(turn)) * self.first + np.float32(np.sin(turn)) * self.second
        return np.asarray(self.fixed + now, np.float32)


def tile_size(diameter: float) -> int:
    """Pixels of a square tile for an object of this diameter, at about the frame's sharpness."""
    return int(np.clip(1.7 * diameter, 16, 256))


def _distance_from(n: int, x: float, y: float) -> Field:
    axis = np.linspace(-1, 1, n, dtype=np.float32)
    return np.asarray(np.hypot(axis[None] - np.float32(x), axis[:, None] - np.float32(y)))


def granules(rng: np.random.Generator, n: int, count: int, sigma: float, sign: float) -> Field:
    """Point-like vesicles, mostly of one sign (`sign` from −1 to 1), blurred to `sigma` pixels."""
    dots = np.zeros((n, n), np.float32)
    place = np.clip(rng.normal(0.5, 0.2, (count, 2)), 0, 0.999) * n
    polarity = np.where(rng.random(count) < (1 + sign) / 2, 1, -1)
    index = place.astype(int)
    np.add.at(dots, (index[:, 0], index[:, 1]), polarity * rng.gamma(2, 0.5, count))
    return np.asarray(blur(dots, sigma) * (2 * np.pi * sigma**2 + 1), np.float32)


def chromatin(rng: np.random.Generator, n: int, coarse: float, spots: int, rate: float) -> Interior:
    """A stained nucleus: cloudy, with dark nucleoli (`spots` < 0) or bright spots."""
    fixed = np.zeros((n, n), np.float32)
    for _ in range(abs(spots)):
        x, y = rng.normal(0, 0.22, 2)
        spot = np.exp(-((_distance_from(n, x, y) / rng.uniform(0.04, 0.13)) ** 2))
        fixed += np.float32(np.sign(spots) * rng.uniform(1, 3)) * spot
    first, second = (fractal_field(rng, (n, n), coarse, 3) for _ in range(2))
    return Interior(fixed, first, second, rate)


def cytoplasm(
    rng: np.random.Generator,
    n: int,
    grains: float,
    sigma: float,
    sign: float,
    cloud: float,
    nucleus: float,
    rate: float,
) -> Interior:
    """A transparent cell: grains around a smoother nucleus with a rim and nucleoli.

    `grains` is their number per pixel of the tile, `nucleus` how clearly the nucleus is seen.
    """

    def texture() -> Field:
        clouds = np.float32(0.35) * fractal_field(rng, (n, n), cloud, 3)
        count = int(grains * n**2)
        return clouds + granules(rng, n, count, sigma, sign) if count else clouds

    first, second = texture(), texture()
    fixed = np.zeros((n, n), np.float32)
    if nucleus:
        x, y = rng.normal(0, 0.08, 2)
        size = rng.uniform(0.2, 0.36)
        edge = (_distance_from(n, x, y) - size) * n
        inside = np.float32(0.5) - np.float32(0.5) * np.tanh(edge / 4)
        clear = 1 - np.float32(0.75) * inside
        first, second = clear * first, clear * second
        fixed += np.float32(rng.normal(0, 0.5)) * inside + 0.8 * np.exp(-((edge / 3) ** 2))
        for _ in range(int(rng.integers(0, 4))):
            dx, dy = rng.normal(0, size / 2.5, 2)
            away = _distance_from(n, x + dx, y + dy)
            spot = np.exp(-((away / rng.uniform(0.03, 0.09)) ** 2))
            fixed += np.float32(rng.uniform(0.5, 1.5)) * spot
        fixed *= np.float32(nucleus)
    return Interior(fixed, first, second, rate)


def random_colour(rng: np.random.Generator, near: NDArray | None = None) -> Field:
    """An RGB colour, 0 to 1, often muted; `near` another one when that is given."""
    if near is not None:
        return np.clip(near + rng.normal(0, 0.08, 3), 0, 1).astype(np.float32)
    grey = rng.beta(1.3, 1.5)
    # Outdoors, colours vary most from blue to yellow, and less from green to purple.
    warm, green = rng.normal(0, (1.0, 0.5)) * rng.choice([0.04, 0.12, 0.25])
    chroma = warm * np.array([0.7, 0.3, -1.0]) + green * np.array([-0.8, 0.8, -0.6])
    if rng.random() < 0.12:
        chroma = rng.normal(0, 0.3, 3)
    return np.asarray(np.clip(grey + chroma, 0, 1), np.float32)


def two_toned(rng: np.random.Generator, n: int, near: NDArray | None = None) -> Field:
    """The surface [n, n, 3] of an object: one or two textures, lit from a side."""
    fine = rng.uniform(0.5, 1.2)
    tile = surface(rng, (n, n), near, fine)
    if rng.random() < 0.5:
        border = 12 * (smooth_field(rng, (n, n), rng.uniform(1, 3)) + rng.uniform(-0.6, 0.6))
        share = np.asarray(0.5 + 0.5 * np.tanh(border), np.float32)[..., None]
        tile = tile + share * (surface(rng, (n, n), None, fine) - tile)
    ramp = np.linspace(-1, 1, n, dtype=np.float32)
    slope_x, slope_y = rng.normal(0, 0.35, 2).astype(np.float32)
    light = np.clip(1 + slope_x * ramp[None] + slope_y * ramp[:, None], 0.3, 1.8)
    return np.asarray(tile * light[..., None], np.float32)


def surface(
    rng: np.random.Generator, shape: tuple[int, int], near: NDArray | None = None, fine: float = 1.0
) -> Field:
    """A photo-like colour texture [H, W, 3], 0 to 1: clouds, stripes, patches, speckle, checks."""
    first = random_colour(rng, near)
    ramp = fractal_field(rng, shape, log_uniform(rng, 2, 14) * fine, 5, rng.uniform(0.4, 0.8))
    second = random_colour(rng, first if rng.random() < 0.6 else None)
    share = 1 / (1 + np.exp(-ramp * rng.choice([0.7, 2, 10])))
    image = first + np.asarray(share, np.float32)[..., None] * (second - first)
    style = rng.random()
    if style < 0.55:
        share = _pattern(rng, shape, fine)[..., None]
        image = image + share * np.float32(rng.uniform(0.3, 1)) * (random_colour(rng) - image)
    light = np.float32(log_uniform(rng, 0.02, 0.2)) * fractal_field(
        rng, shape, log_uniform(rng, 8, 40) * fine, 3, 0.8, rng.choice([1, 1, 0.2, 4])
    )
    if rng.random() < 0.5:
        light += np.float32(log_uniform(rng, 0.01, 0.06)) * white_noise(rng, shape)
    return np.asarray(image * (1 + light[..., None]), np.float32)


def _pattern(rng: np.random.Generator, shape: tuple[int, int], fine: float) -> Field:
    """A mask 0 to 1: stripes, checks or windows (warped a little), patches, or spots."""
    y = np.linspace(0, shape[0] / max(shape), shape[0], dtype=np.float32)[:, None]
    x = np.linspace(0, shape[1] / max(shape), shape[1], dtype=np.float32)[None]
    angle = np.float32(rng.uniform(0, np.pi) if rng.random() < 0.6 else rng.normal(0, 0.05))
    rate = np.float32(2 * np.pi * log_uniform(rng, 2, 18) * fine)
    warp = np.float32(rng.choice([0, 0.3, 1.5])) * smooth_field(rng, shape, 4)
    along = rate * (np.cos(angle) * x + np.sin(angle) * y) + warp
    across = rate * np.float32(rng.uniform(0.4, 1.5)) * (np.cos(angle) * y - np.sin(angle) * x)
    level, sharp = np.float32(rng.uniform(-0.7, 0.7)), np.float32(rng.choice([3, 12]))
    kind = int(rng.integers(4))
    if kind == 0:
        wave = np.sin(along) + level
    elif kind == 1:
        wave = np.minimum(np.sin(along), np.sin(across + warp)) + level
    elif kind == 2:
        wave = fractal_field(rng, shape, log_uniform(rng, 2, 8) * fine, 2, 0.3) + level
    else:
        wave = smooth_field(rng, shape, log_uniform(rng, 8, 30) * fine) - 1.2
    return np.asarray(1 / (1 + np.exp(-np.clip(sharp * wave, -30, 30))), np.float32)
