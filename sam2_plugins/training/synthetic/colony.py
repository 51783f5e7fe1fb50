"""Cells that wander, push each other, divide, fade and come back: poses for every frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .behaviour import Behaviour
from .bodies import Body
from .cell import Cell, separate
from .shapes import Shape
from .tiles import Interior

_LAST_LABEL = 255
# Cells live beyond the frame too, by this share of it, so that a moving stage finds some.
_BEYOND = 0.15
# Share of a colony's past divisions whose daughters have since slid past each other.
_SLID_PAST = 0.6


@dataclass(frozen=True)
class Colony:
    """Everything that makes the cells of one clip."""

    rng: np.random.Generator
    size: tuple[int, int]
    frames: int
    behaviour: Behaviour
    make_shape: Callable[[], Shape]
    make_texture: Callable[[], Interior]

    def grow(self, stage: NDArray[np.complex128]) -> tuple[list[Body], dict[int, int]]:
        """Simulate the clip and return its bodies, and the mother of each daughter.

        `stage` is the way of the microscope's stage [frames], in pixels, x + iy: the frame moves,
        so that the cells seem to move the other way.
        """
        cells = self._descend() if self.behaviour.lineage else self._sow()
        separate(cells, self.behaviour.softness, rounds=25)
        for label, cell in enumerate(cells, 1):
            cell.label = label
            # The first one stays, so that no clip is left with nothing to follow.
            self._plan(cell, 0, hide=label > 1)
        everyone, parents = list(cells), dict[int, int]()
        for frame in range(self.frames):
            for mother in [c for c in cells if c.divides_at == frame]:
                cells.remove(mother)
                for daughter in self._divide(mother, frame):
                    if len(everyone) < _LAST_LABEL:
                        daughter.label = len(everyone) + 1
                        parents[daughter.label] = mother.label
                        cells.append(daughter)
                        everyone.append(daughter)
            for cell in cells:
                cell.poses[frame] = cell.pose(frame, complex(stage[frame]))
            self._live(cells, frame)
        return [Body(c.label, c.shape, c.texture, c.poses) for c in everyone], parents

    def _centre(self) -> complex:
        x, y = self.rng.uniform(0.3, 0.7, 2)
        return complex(self.size[1] * x, self.size[0] * y)

    def _anywhere(self, count: int) -> NDArray[np.complex128]:
        x, y = self.rng.uniform(-_BEYOND, 1 + _BEYOND, (2, count))
        return np.asarray(self.size[1] * x + 1j * self.size[0] * y)

    def _sow(self) -> list[Cell]:
        """Cells here and there, or gathered in clusters; the first well in view."""
        rng, behaviour = self.rng, self.behaviour
        count = behaviour.count
        places = self._anywhere(count)
        if behaviour.clusters:
            hearts = self._anywhere(behaviour.clusters)
            hearts[0] = self._centre()
            jitter = rng.standard_normal((count, 2)) @ np.array([1, 1j])
            room = 0.3 * behaviour.diameter * np.sqrt(count / behaviour.clusters)
            places = hearts[rng.integers(behaviour.clusters, size=count)] + room * jitter
        places[0] = self._centre()
        trend, disorder = rng.uniform(0, 2 * np.pi), rng.choice([0.15, 0.6, 3.0])
        angles = trend + disorder * rng.standard_normal(count)
        return [self._cell(complex(p), float(a)) for p, a in zip(places, angles, strict=True)]

    def _descend(self) -> list[Cell]:
        """A colony that grew from one rod per cluster."""
        cells = [self._cell(self._centre(), self.rng.uniform(0, 2 * np.pi))]
        for place in self._anywhere(self.behaviour.clusters)[1 : self.behaviour.count]:
            cells.append(self._cell(complex(place), self.rng.uniform(0, 2 * np.pi)))
        while len(cells) < self.behaviour.count:
            for cell in list(cells):
                cell.half_length *= 1.3
                if cell.half_length > cell.longest and len(cells) < self.behaviour.count:
                    cells.remove(cell)
                    cells += self._divide(cell, None)
            separate(cells, self.behaviour.softness, rounds=6)
        for cell in cells:
            cell.half_length = min(cell.half_length, cell.longest)
        return cells

    def _cell(self, place: complex, angle: float) -> Cell:
        rng, behaviour = self.rng, self.behaviour
        length = behaviour.diameter * float(np.exp(behaviour.spread * rng.standard_normal()))
        radius, half, longest = length / 2, 0.0, np.inf
        if behaviour.rods:
            radius = behaviour.thickness / 2 * rng.uniform(0.93, 1.07)
            longest = max(length / 2 - radius, 1.5 * radius)
            half = longest * rng.uniform(0.45, 1.0)
        gain = float(np.exp(rng.normal(0, behaviour.contrast_spread)))
        velocity = behaviour.step * complex(*rng.standard_normal(2))
        shape, texture = self.make_shape(), self.make_texture()
        return Cell(shape, texture, place, angle, radius, half, gain, velocity, longest)

    def _plan(self, cell: Cell, now: int, hide: bool = True) -> None:
        """Decide when a cell divides and when it is lost from sight, if at all."""
        rng, left = self.rng, self.frames - now
        if left <= 2:
            return
        if rng.random() > (1 - self.behaviour.division) ** left:
            cell.divides_at = int(rng.integers(now + 2, self.frames))
        elif hide and rng.random() > (1 - self.behaviour.hiding) ** left:
            start = int(rng.integers(now + 1, self.frames))
            # One in three does not come back: it died or left the focal plane for good.
            away = self.frames if rng.random() < 0.33 else int(rng.integers(1, 5))
            cell.hidden = (start, start + away)

    def _divide(self, mother: Cell, frame: int | None) -> list[Cell]:
        axis = np.exp(1j * mother.angle)
        radius, half, gap = mother.radius * 0.74, 0.0, mother.radius * 0.72
        turn = 0.4
        if self.behaviour.rods:
            radius = mother.radius
            half = max((mother.half_length - radius) / 2, 0.3 * radius)
            gap, turn = half + radius, 0.05
            if frame is None and self.rng.random() < _SLID_PAST:
                axis, gap = 1j * axis, 0.95 * radius
        return [
            Cell(
                self.make_shape(),
                self.make_texture(),
                mother.place + side * gap * axis,
                mother.angle + self.rng.normal(0, turn),
                radius,
                half,
                mother.gain * float(np.exp(self.rng.normal(0, 0.05))),
                mother.velocity + side * 0.08 * mother.radius * axis,
                mother.longest * self.rng.uniform(0.93, 1.07),
                born=frame,
            )
            for side in (-1, 1)
        ]

    def _live(self, cells: list[Cell], frame: int) -> None:
        """Move, turn and grow every cell by one frame."""
        rng, behaviour = self.rng, self.behaviour
        kick = behaviour.step * np.sqrt(1 - behaviour.inertia**2)
        for cell in cells:
            cell.velocity = behaviour.inertia * cell.velocity + kick * complex(
                *rng.standard_normal(2)
            )
            calm = 1 - 0.8 * cell.pinch(frame)
            cell.place += calm * cell.velocity + behaviour.flow
            cell.angle += calm * rng.normal(0, behaviour.spin)
            cell.gain *= float(np.exp(rng.normal(0, 0.03)))
            if not behaviour.rods:
                cell.radius *= 1 + behaviour.growth
                continue
            cell.half_length *= 1 + behaviour.growth
            if cell.half_length > cell.longest and cell.divides_at is None and behaviour.growth:
                cell.divides_at = frame + 2
        separate(cells, behaviour.softness, rounds=3)
