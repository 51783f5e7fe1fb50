"""How each kind of microscope turns cells into light: layers in, a bright or dark image out.

Each function draws random settings of one microscope, and returns what exposes cells with them: the
image without background, about −1 to 1, 0 where there is no cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from .bodies import Layers
from .noise import Field, blur, log_uniform

Optics: TypeAlias = Callable[[Layers, float], Field]
"""One microscope, with its settings: the image of cells, and by how many pixels focus blurs it."""


def _dome(layers: Layers, slope: float) -> Field:
    """Thickness 0 to 1: a rounded plateau on each cell, whose slope takes that share of it."""
    height = np.clip(layers.depth / (np.float32(slope) * layers.radius), 0, 1)
    return np.asarray(1 - (1 - height) ** 2, np.float32)


def fluorescence(rng: np.random.Generator, membrane: bool) -> Optics:
    """Bright bodies: stained nuclei, whole cells or membranes, through a point spread."""
    return fluorescence_of(
        texture=rng.uniform(0.03, 0.4),
        slope=log_uniform(rng, 0.05, 0.6),
        membrane=rng.uniform(0.5, 1.0) if membrane else 0.0,
        rim=rng.uniform(0.8, 2.5),
        psf=log_uniform(rng, 0.4, 2.2),
        haze=rng.uniform(0, 0.4) if rng.random() < 0.5 else 0.0,
    )


def fluorescence_of(
    texture: float, slope: float, membrane: float, rim: float, psf: float, haze: float
) -> Optics:
    """As `fluorescence`, with chosen settings."""

    def expose(layers: Layers, focus: float) -> Field:
        light = _dome(layers, slope)
        if membrane:
            ring = np.exp(-(((layers.depth - rim) / rim) ** 2))
            light = membrane * ring + (1 - membrane) * light
        light = light * np.clip(1 + texture * layers.texture, 0.1, 4) * layers.gain
        light = np.asarray(light * layers.coverage, np.float32)
        image = blur(light, float(np.hypot(psf, focus)))
        if haze:
            image = image + np.float32(haze) * blur(light, len(light) / 14)
        return image

    return expose


def phase_contrast(rng: np.random.Generator, diameter: float, thickness: float) -> Optics:
    """Dark (or bright) bodies in a halo; thick interiors fade back to the background.

    For cells of about this diameter, and rods of this thickness (or 0).
    """
    # Rods are often black throughout, with nothing inside to know them by.
    black = thickness > 0 and rng.random() < 0.4
    polarity = -1.0 if black or rng.random() < 0.75 else 1.0
    texture = rng.uniform(0.0, 0.04) if black else rng.uniform(0.02, 0.25)
    strength = rng.uniform(0.2, 1.4)
    halo_width = float(np.clip(rng.uniform(0.08, 0.35) * diameter, 1.5, 14))
    shade_off = rng.uniform(0, 0.9) if rng.random() < 0.5 else 0.0
    slope = log_uniform(rng, 0.5, 2.0) if black else log_uniform(rng, 0.08, 0.5)
    psf = max(log_uniform(rng, 0.5, 1.4), rng.uniform(0, 0.12) * thickness)
    bleed = rng.uniform(0.03, 0.2) * thickness if rng.random() < 0.6 else 0.0

    def expose(layers: Layers, focus: float) -> Field:
        seen = np.clip(layers.gain, 0, 1.5)
        body = layers.coverage * seen
        # Between rods that lie side by side the halo is lost, and the gap is hardly lighter.
        body = np.maximum(body, np.clip(1.6 * blur(body, 2 * bleed) - 0.5, 0, 1))
        wide = blur(body, halo_width)
        thick = _dome(layers, slope) * seen
        if shade_off:
            thick = thick - np.float32(shade_off) * blur(thick, 1.5 * halo_width)
        grain = np.float32(texture) * layers.texture * body
        halo = np.float32(strength) * wide * (1 - 0.8 * body)
        image = np.float32(polarity) * (thick + grain - halo)
        width = float(np.sqrt(psf**2 + bleed**2 + focus**2))
        return blur(np.asarray(image, np.float32), width)

    return expose


def interference(rng: np.random.Generator) -> Optics:
    """DIC: the slope of the optical path along one direction, a relief lit from the side.

    Strong reliefs, or flat cells known by their grains and thin edges.
    """
    flat = rng.random() < 0.5
    angle = rng.uniform(0, 2 * np.pi)
    relief = log_uniform(rng, 0.05, 0.4) if flat else log_uniform(rng, 0.3, 3)
    grain = log_uniform(rng, 0.4, 2.0) if flat else log_uniform(rng, 0.08, 0.6)
    edge = log_uniform(rng, 0.1, 1.0) if flat else log_uniform(rng, 0.03, 0.5)
    absorption = rng.normal(0, 0.15)
    slope = log_uniform(rng, 0.08, 0.6)
    psf = log_uniform(rng, 0.4, 1.3)

    def expose(layers: Layers, focus: float) -> Field:
        seen = np.clip(layers.gain, 0, 1.5) * layers.coverage
        # The path grows with the square root of size: big cells are flat.
        dome = _dome(layers, slope) * np.sqrt(layers.radius)
        ridge = np.exp(-(((layers.depth - 1.5) / 1.5) ** 2))
        path = relief * dome + grain * layers.texture + edge * ridge
        path = blur(np.asarray(path * seen, np.float32), float(np.hypot(psf, focus)))
        down, right = np.gradient(path)
        steep = np.cos(angle) * right + np.sin(angle) * down
        return np.asarray(np.tanh(1.5 * (steep + absorption * seen)), np.float32)

    return expose


def spread(rng: np.random.Generator, diameter: float) -> Optics:
    """Flat cells on glass, in transmitted light without relief: known by their grain.

    Borders are thin lines that fade in and out; only brighter, rounder cells have a strong rim. For
    cells of about this diameter.
    """
    # Strength of the fine and of the slow part of the texture, and pixels over which the fine part
    # varies at most.
    strength, coarse = log_uniform(rng, 0.15, 1.0), rng.uniform(0, 0.3)
    fine = max(1.5, diameter * log_uniform(rng, 0.01, 0.05))
    # How much stronger the grain is near the border, and how far in.
    rim, rim_width = rng.uniform(0, 2), max(2.0, diameter * rng.uniform(0.04, 0.2))
    # The line along borders, of either sign, and how it varies.
    line_strength = rng.choice([-1, 1]) * log_uniform(rng, 0.05, 0.8)
    line_width = max(0.8, diameter * log_uniform(rng, 0.005, 0.025))
    patchy = rng.uniform(0, 1.5)
    # How much lighter or darker cells are than what is around them.
    lighter = rng.normal(0, 0.08)
    psf = log_uniform(rng, 0.4, 1.3)

    def expose(layers: Layers, focus: float) -> Field:
        seen = np.clip(layers.gain, 0, 1.5)
        depth, inside = layers.depth, layers.coverage
        slow = blur(layers.texture, fine)
        near = np.exp(-((np.maximum(depth, 0) / np.float32(rim_width)) ** 2))
        grain = np.float32(strength) * (layers.texture - slow) * (1 + np.float32(rim) * near)
        body = grain + np.float32(coarse) * slow + np.float32(lighter)
        wave = blur(layers.texture, 6 * fine)
        wave = wave / (wave.std() + np.float32(1e-3))
        line = np.exp(-((depth / np.float32(line_width)) ** 2))
        line = np.float32(line_strength) * line * np.clip(1 + np.float32(patchy) * wave, 0, 2)
        # A cell that rounds up becomes a lens: a bright rim in a dark ring.
        lens = np.clip(4 * seen - 5, 0, 1)
        width = np.float32(2 * line_width)
        ring = np.exp(-((depth / width - 1) ** 2)) - np.exp(-((depth / width + 1) ** 2))
        image = body * inside * np.clip(seen, 0, 1) + line * np.clip(seen, 0, 1) + lens * ring
        return blur(np.asarray(2 * image, np.float32), float(np.hypot(psf, focus)))

    return expose


def bright_field(rng: np.random.Generator, diameter: float) -> Optics:
    """Transparent bodies: a thin rim, dark or bright with the focus, and faint grains inside.

    For cells of about this diameter.
    """
    strength = float(rng.choice([-1, -1, 1])) * rng.uniform(0.4, 1.0)
    width = np.float32(np.clip(rng.uniform(0.02, 0.08) * diameter, 0.8, 4))
    fringes = rng.uniform(-0.8, 0.8)
    inside, texture = rng.normal(0, 0.2), log_uniform(rng, 0.03, 0.3)
    psf = log_uniform(rng, 0.4, 1.2)

    def expose(layers: Layers, focus: float) -> Field:
        seen = np.clip(layers.gain, 0, 1.5)
        rim = np.exp(-(((layers.depth - width) / width) ** 2))
        fringe = np.exp(-(((layers.depth + width) / (1.3 * width)) ** 2))
        image = np.float32(strength) * (rim - np.float32(fringes) * fringe)
        image += layers.coverage * (inside + np.float32(texture) * layers.texture)
        return blur(np.asarray(image * seen, np.float32), float(np.hypot(psf, focus)))

    return expose
