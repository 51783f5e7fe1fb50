"""How each kind of microscope turns cells into light: layers in, a bright or dark image out.

Every `expose` returns the image without background: about −1 to 1, 0 where there is no cell. Its
`focus` adds to the blur, in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from .bodies import Layers
from .noise import Field, blur, log_uniform


def _dome(layers: Layers, slope: float) -> Field:
    """Thickness 0 to 1: a rounded plateau on each cell, whose slope takes that share of it."""
    height = np.clip(layers.depth / (np.float32(slope) * layers.radius), 0, 1)
    return np.asarray(1 - (1 - height) ** 2, np.float32)


@dataclass(frozen=True)
class Fluorescence:
    """Bright bodies: stained nuclei, whole cells or membranes, through a point spread."""

    texture: float
    slope: float
    membrane: float
    rim: float
    psf: float
    haze: float

    @classmethod
    def draw(cls, rng: np.random.Generator, membrane: bool) -> Fluorescence:
        """Random settings."""
        return cls(
            texture=rng.uniform(0.03, 0.4),
            slope=log_uniform(rng, 0.05, 0.6),
            membrane=rng.uniform(0.5, 1.0) if membrane else 0.0,
            rim=rng.uniform(0.8, 2.5),
            psf=log_uniform(rng, 0.4, 2.2),
            haze=rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0,
        )

    def expose(self, layers: Layers, focus: float) -> Field:
        """Return the image of the cells."""
        light = _dome(layers, self.slope)
        if self.membrane:
            ring = np.exp(-(((layers.depth - self.rim) / self.rim) ** 2))
            light = self.membrane * ring + (1 - self.membrane) * light
        light = light * np.clip(1 + self.texture * layers.texture, 0.1, 4) * layers.gain
        light = np.asarray(light * layers.coverage, np.float32)
        image = blur(light, float(np.hypot(self.psf, focus)))
        if self.haze:
            image = image + np.float32(self.haze) * blur(light, len(light) / 14)
        return image


@dataclass(frozen=True)
class PhaseContrast:
    """Dark (or bright) bodies in a halo; thick interiors fade back to the background."""

    polarity: float
    texture: float
    halo: float
    halo_width: float
    shade_off: float
    slope: float
    psf: float
    bleed: float

    @classmethod
    def draw(cls, rng: np.random.Generator, diameter: float, thickness: float) -> PhaseContrast:
        """Random settings for cells of about this diameter, and rods of this thickness (or 0)."""
        # Rods are often black throughout, with nothing inside to know them by.
        black = thickness > 0 and rng.random() < 0.4
        return cls(
            polarity=-1.0 if black or rng.random() < 0.75 else 1.0,
            texture=rng.uniform(0.0, 0.04) if black else rng.uniform(0.02, 0.25),
            halo=rng.uniform(0.2, 1.4),
            halo_width=float(np.clip(rng.uniform(0.08, 0.35) * diameter, 1.5, 14)),
            shade_off=rng.uniform(0, 0.9) if rng.random() < 0.5 else 0.0,
            slope=log_uniform(rng, 0.5, 2.0) if black else log_uniform(rng, 0.08, 0.5),
            psf=max(log_uniform(rng, 0.5, 1.4), rng.uniform(0, 0.12) * thickness),
            bleed=rng.uniform(0.03, 0.2) * thickness if rng.random() < 0.6 else 0.0,
        )

    def expose(self, layers: Layers, focus: float) -> Field:
        """Return the image of the cells."""
        seen = np.clip(layers.gain, 0, 1.5)
        body = layers.coverage * seen
        # Between rods that lie side by side the halo is lost, and the gap is hardly lighter.
        body = np.maximum(body, np.clip(1.6 * blur(body, 2 * self.bleed) - 0.5, 0, 1))
        wide = blur(body, self.halo_width)
        thick = _dome(layers, self.slope) * seen
        if self.shade_off:
            thick = thick - np.float32(self.shade_off) * blur(thick, 1.5 * self.halo_width)
        grain = np.float32(self.texture) * layers.texture * body
        halo = np.float32(self.halo) * wide * (1 - 0.8 * body)
        image = np.float32(self.polarity) * (thick + grain - halo)
        width = float(np.sqrt(self.psf**2 + self.bleed**2 + focus**2))
        return blur(np.asarray(image, np.float32), width)


@dataclass(frozen=True)
class Interference:
    """DIC: the slope of the optical path along one direction, a relief lit from the side."""

    angle: float
    relief: float
    grain: float
    ridge: float
    absorption: float
    slope: float
    psf: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Interference:
        """Random settings: strong reliefs, or flat cells known by their grains and thin edges."""
        flat = rng.random() < 0.5
        return cls(
            angle=rng.uniform(0, 2 * np.pi),
            relief=log_uniform(rng, 0.05, 0.4) if flat else log_uniform(rng, 0.3, 3),
            grain=log_uniform(rng, 0.4, 2.0) if flat else log_uniform(rng, 0.08, 0.6),
            ridge=log_uniform(rng, 0.1, 1.0) if flat else log_uniform(rng, 0.03, 0.5),
            absorption=rng.normal(0, 0.15),
            slope=log_uniform(rng, 0.08, 0.6),
            psf=log_uniform(rng, 0.4, 1.3),
        )

    def expose(self, layers: Layers, focus: float) -> Field:
        """Return the image of the cells."""
        seen = np.clip(layers.gain, 0, 1.5) * layers.coverage
        # The path grows with the square root of size: big cells are flat.
        dome = _dome(layers, self.slope) * np.sqrt(layers.radius)
        ridge = np.exp(-(((layers.depth - 1.5) / 1.5) ** 2))
        path = self.relief * dome + self.grain * layers.texture + self.ridge * ridge
        path = blur(np.asarray(path * seen, np.float32), float(np.hypot(self.psf, focus)))
        down, right = np.gradient(path)
        slope = np.cos(self.angle) * right + np.sin(self.angle) * down
        return np.asarray(np.tanh(1.5 * (slope + self.absorption * seen)), np.float32)


@dataclass(frozen=True)
class Spread:
    """Flat cells on glass, in transmitted light without relief: known by their grain.

    Borders are thin lines that fade in and out; only brighter, rounder cells have a strong rim.

    Parameters
    ----------
    grain, coarse
        Strength of the fine and of the slow part of the cells' texture.
    fine
        Pixels over which the fine part varies at most.
    rim, rim_width
        How much stronger the grain is near the border, and how far in.
    line, line_width, patchy
        Strength (either sign) and width of the line along borders, and how it varies.
    inside
        How much lighter or darker cells are than what is around them.
    """

    grain: float
    coarse: float
    fine: float
    rim: float
    rim_width: float
    line: float
    line_width: float
    patchy: float
    inside: float
    psf: float

    @classmethod
    def draw(cls, rng: np.random.Generator, diameter: float) -> Spread:
        """Random settings for cells of about this diameter."""
        return cls(
            grain=log_uniform(rng, 0.15, 1.0),
            coarse=rng.uniform(0, 0.3),
            fine=max(1.5, diameter * log_uniform(rng, 0.01, 0.05)),
            rim=rng.uniform(0, 2),
            rim_width=max(2.0, diameter * rng.uniform(0.04, 0.2)),
            line=rng.choice([-1, 1]) * log_uniform(rng, 0.05, 0.8),
            line_width=max(0.8, diameter * log_uniform(rng, 0.005, 0.025)),
            patchy=rng.uniform(0, 1.5),
            inside=rng.normal(0, 0.08),
            psf=log_uniform(rng, 0.4, 1.3),
        )

    def expose(self, layers: Layers, focus: float) -> Field:
        """Return the image of the cells."""
        seen = np.clip(layers.gain, 0, 1.5)
        depth, inside = layers.depth, layers.coverage
        slow = blur(layers.texture, self.fine)
        near = np.exp(-((np.maximum(depth, 0) / np.float32(self.rim_width)) ** 2))
        grain = np.float32(self.grain) * (layers.texture - slow) * (1 + np.float32(self.rim) * near)
        body = grain + np.float32(self.coarse) * slow + np.float32(self.inside)
        wave = blur(layers.texture, 6 * self.fine)
        wave = wave / (wave.std() + np.float32(1e-3))
        line = np.exp(-((depth / np.float32(self.line_width)) ** 2))
        line = np.float32(self.line) * line * np.clip(1 + np.float32(self.patchy) * wave, 0, 2)
        # A cell that rounds up becomes a lens: a bright rim in a dark ring.
        lens = np.clip(4 * seen - 5, 0, 1)
        width = np.float32(2 * self.line_width)
        ring = np.exp(-((depth / width - 1) ** 2)) - np.exp(-((depth / width + 1) ** 2))
        image = body * inside * np.clip(seen, 0, 1) + line * np.clip(seen, 0, 1) + lens * ring
        return blur(np.asarray(2 * image, np.float32), float(np.hypot(self.psf, focus)))


@dataclass(frozen=True)
class BrightField:
    """Transparent bodies: a thin rim, dark or bright with the focus, and faint grains inside."""

    rim: float
    width: float
    fringe: float
    inside: float
    texture: float
    psf: float

    @classmethod
    def draw(cls, rng: np.random.Generator, diameter: float) -> BrightField:
        """Random settings for cells of about this diameter."""
        return cls(
            rim=float(rng.choice([-1, -1, 1])) * rng.uniform(0.4, 1.0),
            width=float(np.clip(rng.uniform(0.02, 0.08) * diameter, 0.8, 4)),
            fringe=rng.uniform(-0.8, 0.8),
            inside=rng.normal(0, 0.2),
            texture=log_uniform(rng, 0.03, 0.3),
            psf=log_uniform(rng, 0.4, 1.2),
        )

    def expose(self, layers: Layers, focus: float) -> Field:
        """Return the image of the cells."""
        seen = np.clip(layers.gain, 0, 1.5)
        width = np.float32(self.width)
        rim = np.exp(-(((layers.depth - width) / width) ** 2))
        fringe = np.exp(-(((layers.depth + width) / (1.3 * width)) ** 2))
        image = np.float32(self.rim) * (rim - np.float32(self.fringe) * fringe)
        image += layers.coverage * (self.inside + np.float32(self.texture) * layers.texture)
        return blur(np.asarray(image * seen, np.float32), float(np.hypot(self.psf, focus)))


Optics: TypeAlias = Fluorescence | PhaseContrast | Interference | Spread | BrightField
"""One microscope, with its settings."""
