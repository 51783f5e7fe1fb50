"""What the cells of one clip are like: how many, how large, how they move, grow and divide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .noise import log_uniform

MOST_CELLS = 40


@dataclass(frozen=True)
class Behaviour:
    """How the cells of one clip behave. Lengths are in pixels, times in frames.

    `diameter` is the length of a rod as it divides, and `thickness` what its name says.

    `step` is the usual move per frame, `inertia` how much of a velocity lasts to the next frame,
    `softness` how far cells may overlap before they push (0 not at all, < 0 they keep a distance).
    With `lineage`, a colony descends from one rod per cluster instead of meeting by chance.
    """

    diameter: float
    thickness: float
    spread: float
    contrast_spread: float
    count: int
    clusters: int
    rods: bool
    step: float
    inertia: float
    flow: complex
    spin: float
    growth: float
    division: float
    hiding: float
    softness: float
    lineage: bool

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        size: tuple[int, int],
        rods: bool,
        arms: bool,
        diameters: tuple[float, float],
        sheets: float,
    ) -> Behaviour:
        """Random behaviour.

        `arms` is for cells with protrusions; diameters are shares of the shorter side; `sheets` is
        the chance that round cells form a confluent layer.
        """
        diameter = max(5.0, log_uniform(rng, *diameters) * min(size))
        # Slow movers are the rule under a microscope.
        tempo = log_uniform(rng, 0.004, 0.12) if rng.random() < 0.8 else rng.uniform(0.1, 0.35)
        footprint = diameter**2 * (0.25 if rods else np.pi / 4)
        cover = [log_uniform(rng, 0.02, 0.12), rng.uniform(0.1, 0.4), rng.uniform(0.5, 1.3)]
        wanted = cover[int(rng.integers(3))] * size[0] * size[1] / footprint
        clusters = int(rng.choice([0, 1, 1, 2, 3]))
        softness = rng.uniform(0.03, 0.12) if rods else rng.uniform(0.0, 0.35)
        if arms:
            softness = rng.uniform(-0.4, 0.0)
        elif not rods and rng.random() < sheets:
            # A confluent layer: cells fill the frame and flatten each other's borders.
            wanted, clusters, softness = 1.4 * size[0] * size[1] / footprint, 0, 0.3
        growth = [0.0, 0.01, 0.04, 0.1, 0.2] if rods else [0.0, 0.0, 0.003, 0.01]
        return cls(
            diameter=diameter,
            thickness=max(3.0, diameter * rng.uniform(0.15, 0.4)) if rods else 0.0,
            spread=rng.uniform(0.03, 0.3),
            contrast_spread=log_uniform(rng, 0.03, 0.6),
            count=int(np.clip(round(wanted), 1, MOST_CELLS)),
            clusters=clusters,
            rods=rods,
            step=tempo * diameter,
            inertia=rng.uniform(0.2, 0.97),
            flow=diameter * rng.choice([0, 0, 0.02, 0.08]) * np.exp(2j * np.pi * rng.random()),
            spin=float(rng.choice([0.005, 0.03, 0.1])),
            growth=float(rng.choice(growth)),
            # Rods divide when they are long enough, others when their time has come.
            division=0.0 if rods else float(rng.choice([0, 0, 0.01, 0.04])),
            hiding=float(rng.choice([0, 0.01, 0.02, 0.06])),
            softness=softness,
            lineage=bool(rods and clusters and rng.random() < 0.7),
        )

    def as_microcolony(self, rng: np.random.Generator) -> Behaviour:
        """Rods of one family, side by side: alike, pressed together, dividing in the middle."""
        return replace(
            self,
            thickness=max(3.0, self.diameter * log_uniform(rng, 0.11, 0.38)),
            spread=rng.uniform(0.02, 0.12),
            contrast_spread=log_uniform(rng, 0.02, 0.3),
            count=round(log_uniform(rng, 1.6, MOST_CELLS)),
            clusters=int(rng.choice([1, 1, 2])),
            step=log_uniform(rng, 0.004, 0.03) * self.diameter,
            growth=rng.uniform(0.02, 0.15),
            hiding=0.0,
            softness=rng.uniform(-0.05, 0.08),
            lineage=True,
        )
