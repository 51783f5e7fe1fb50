"""Micrographs: a colony, seen through one kind of microscope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .behaviour import Behaviour
from .bodies import press_together
from .clip import Clip
from .colony import Colony
from .exposure import develop, exposure
from .noise import log_uniform
from .optics import Optics, bright_field, fluorescence, interference, phase_contrast, spread
from .shapes import Shape, blob, drifting_rod, spread_cell
from .stage import stage_path
from .tiles import Interior, chromatin, cytoplasm, tile_size


@dataclass(frozen=True)
class Specimen:
    """What may lie under one kind of microscope: shares of rods, spread cells and sheets, sizes.

    A sheet is a confluent layer of cells; a microcolony descends from a rod or two.
    """

    rods: float
    spread_cells: float
    diameters: tuple[float, float]
    sheets: float = 0.15
    microcolony: bool = False


SPECIMENS = {
    "fluorescence": Specimen(0.12, 0.15, (0.05, 0.4)),
    "membrane": Specimen(0.1, 0.25, (0.08, 0.5)),
    "phase": Specimen(0.5, 0.4, (0.08, 0.5)),
    "microcolony": Specimen(1.0, 0.0, (0.1, 0.55), microcolony=True),
    "dic": Specimen(0.08, 0.2, (0.1, 0.55), sheets=0.4),
    "brightfield": Specimen(0.2, 0.3, (0.07, 0.5)),
    "spread": Specimen(0.0, 0.25, (0.15, 0.5), sheets=0.4),
}


def micrograph(rng: np.random.Generator, size: tuple[int, int], frames: int, kind: str) -> Clip:
    """One clip of a kind in `SPECIMENS`."""
    specimen = SPECIMENS[kind]
    rods = rng.random() < specimen.rods
    arms = not rods and rng.random() < specimen.spread_cells
    low, high = specimen.diameters
    # Protrusions need pixels to be seen.
    diameters = (2 * low if arms else low, high)
    behaviour = Behaviour.draw(rng, size, rods, arms, diameters, specimen.sheets)
    if specimen.microcolony:
        behaviour = behaviour.as_microcolony(rng)
    # Between two pictures of a colony lie minutes, in which the stage visits other colonies.
    stage = stage_path(rng, frames, min(size), 0.8 if specimen.microcolony else 0.5)
    make_shape = _shape_maker(rng, frames, rods, arms)
    make_texture = _texture_maker(rng, behaviour, kind)
    colony = Colony(rng, size, frames, behaviour, make_shape, make_texture)
    bodies, parents = colony.grow(stage)
    expose = _optics(rng, behaviour, kind)
    dark = kind in ("fluorescence", "membrane")
    take = exposure(rng, size, float(np.abs(stage).max()), behaviour.diameter, dark)
    wobble = rng.choice([0.0, 0.0, 0.5]) * np.abs(rng.standard_normal(frames))
    labels = np.zeros((frames, *size), np.uint8)
    raw = np.zeros((frames, *size), np.float32)
    for frame in range(frames):
        layers = press_together(bodies, frame, size)
        labels[frame] = layers.labels
        light = expose(layers, float(wobble[frame]))
        raw[frame] = take(rng, light, frame, complex(stage[frame]))
    return Clip(develop(rng, raw, invertible=not dark), labels, kind, parents)


def _shape_maker(
    rng: np.random.Generator, frames: int, rods: bool, arms: bool
) -> Callable[[], Shape]:
    persistence = rng.choice([0.8, 0.95, 0.99])
    if rods:
        bend = float(rng.choice([0.02, 0.1, 0.3, 0.5]))
        return lambda: drifting_rod(rng, frames, bend)
    if arms:
        return lambda: spread_cell(rng, frames, persistence)
    roughness = log_uniform(rng, 0.01, 0.16)
    longest = float(rng.choice([1.1, 1.6, 2.6]))
    orders = int(rng.integers(3, 12))
    restless = rng.uniform(0.1, 1)

    def make() -> Shape:
        aspect = rng.uniform(1, longest)
        return blob(rng, frames, roughness, aspect, orders, persistence, restless)

    return make


def _texture_maker(
    rng: np.random.Generator, behaviour: Behaviour, kind: str
) -> Callable[[], Interior]:
    n = tile_size(behaviour.diameter)
    # Vesicles are often elsewhere by the next frame, minutes later.
    rate = float(rng.choice([0.0, 0.05, 0.2, 0.8]))
    clarity = 0.4 if kind == "spread" else 1.0
    if kind in ("fluorescence", "membrane"):
        coarse, spots = log_uniform(rng, 2, 9), int(rng.integers(-5, 6))
        return partial(chromatin, rng, n, coarse, spots, rate)
    return partial(
        cytoplasm,
        rng,
        n,
        grains=float(rng.choice([0.0, 0.01, 0.03, 0.08])),
        sigma=rng.uniform(0.5, 1.3),
        sign=rng.uniform(-1, 1),
        cloud=log_uniform(rng, 4, 20),
        nucleus=0.0 if behaviour.rods else float(rng.choice([0.0, 0.6, 1.2])) * clarity,
        rate=rate,
    )


def _optics(rng: np.random.Generator, behaviour: Behaviour, kind: str) -> Optics:
    if kind in ("phase", "microcolony"):
        return phase_contrast(rng, behaviour.diameter, behaviour.thickness)
    if kind == "dic":
        return interference(rng)
    if kind == "brightfield":
        return bright_field(rng, behaviour.diameter)
    if kind == "spread":
        return spread(rng, behaviour.diameter)
    return fluorescence(rng, membrane=kind == "membrane")
