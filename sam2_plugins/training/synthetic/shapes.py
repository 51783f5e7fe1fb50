"""Outlines of objects as signed distances, positive inside, in the object's own axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .noise import Field, drifting

ANGLES = 512
_THETA = np.arange(ANGLES) * (2 * np.pi / ANGLES)


@dataclass(frozen=True)
class Pose:
    """Where an object is in one frame, in pixels and radians.

    `radius` is half the thickness of a rod and the mean radius of anything else; `pinch` runs from
    0 to 1 as a cell prepares to divide, `rounded` as it gives up its own outline for a circle;
    `gain` is its brightness, 0 when it cannot be seen.
    """

    x: float
    y: float
    angle: float
    radius: float
    half_length: float = 0.0
    pinch: float = 0.0
    rounded: float = 0.0
    gain: float = 1.0


@dataclass(frozen=True)
class Star:
    """A star-convex outline: the radius by angle, frame by frame, in units of the pose's radius.

    `table` is [frames, ANGLES].
    """

    table: NDArray[np.float64]

    def reach(self, pose: Pose, time: float) -> float:
        """Radius in pixels of a circle around the centre that holds the whole object."""
        return pose.radius * float(self._row(pose, time).max())

    def depth(self, u: Field, v: Field, pose: Pose, time: float) -> Field:
        """Distance in pixels to the outline, positive inside, at points of the object's axes.

        It is the radial gap times the slant of the outline.
        """
        row = self._row(pose, time)
        slope = (np.roll(row, -1) - np.roll(row, 1)) * (ANGLES / (4 * np.pi))
        slant = (1 / np.sqrt(1 + (slope / row) ** 2)).astype(np.float32)
        index = (np.arctan2(v, u) * np.float32(ANGLES / (2 * np.pi)) + ANGLES).astype(np.intp)
        outline = np.take((row * pose.radius).astype(np.float32), index, mode="wrap")
        return (outline - np.sqrt(u * u + v * v)) * np.take(slant, index, mode="wrap")

    def _row(self, pose: Pose, time: float) -> NDArray[np.float64]:
        first = min(int(time), len(self.table) - 1)
        after = min(first + 1, len(self.table) - 1)
        row: NDArray[np.float64] = self.table[first] + (time - first) * (
            self.table[after] - self.table[first]
        )
        if pose.rounded:
            row = 1 + (row - 1) * (1 - pose.rounded)
        if pose.pinch:
            # A peanut along the cell's own x axis.
            row = row + 0.38 * pose.pinch**2 * np.cos(2 * _THETA)
        return np.asarray(row)


@dataclass(frozen=True)
class Rod:
    """A bacterium: a capsule, bent along a parabola (`bend`, per frame, in 1 / length)."""

    bend: NDArray[np.float64]

    def reach(self, pose: Pose, time: float) -> float:
        """As of `Star`."""
        return pose.half_length * 1.1 + pose.radius

    def depth(self, u: Field, v: Field, pose: Pose, time: float) -> Field:
        """As of `Star`."""
        half = max(pose.half_length, 1e-3)
        bend = self.bend[min(int(time), len(self.bend) - 1)] / half
        along = np.clip(u, -half, half)
        across = v - np.float32(bend) * (along * along - np.float32(half * half / 3))
        beyond = u - along
        width = pose.radius * (1 - 0.45 * pose.pinch * np.exp(-((u / pose.radius) ** 2)))
        return np.asarray(width - np.sqrt(beyond * beyond + across * across), np.float32)


@dataclass(frozen=True)
class Limb:
    """A tapered part of a jointed body, in units of the body's radius; it swings at its root."""

    x: float
    y: float
    angle: float
    length: float
    root: float
    tip: float
    swing: float = 0.0
    rate: float = 0.0
    phase: float = 0.0

    def end(self, time: float) -> tuple[float, float]:
        """The tip's centre at a time."""
        angle = self.angle + self.swing * np.sin(self.rate * time + self.phase)
        return self.x + self.length * np.cos(angle), self.y + self.length * np.sin(angle)


@dataclass(frozen=True)
class Jointed:
    """An articulated body: a trunk with limbs, wheels, head or tail."""

    trunk: Star
    limbs: tuple[Limb, ...]

    def reach(self, pose: Pose, time: float) -> float:
        """As of `Star`."""
        far = [
            np.hypot(limb.x, limb.y) + limb.length + max(limb.root, limb.tip) for limb in self.limbs
        ]
        return max(self.trunk.reach(pose, time), pose.radius * float(max(far)))

    def depth(self, u: Field, v: Field, pose: Pose, time: float) -> Field:
        """As of `Star`, of the union of the parts."""
        union = self.trunk.depth(u, v, pose, time)
        for limb in self.limbs:
            np.maximum(union, _taper_depth(u, v, limb, pose.radius, time), out=union)
        return union


Shape: TypeAlias = Star | Rod | Jointed


def _taper_depth(u: Field, v: Field, limb: Limb, unit: float, time: float) -> Field:
    end_x, end_y = limb.end(time)
    step_x, step_y = (end_x - limb.x) * unit, (end_y - limb.y) * unit
    from_x, from_y = u - np.float32(limb.x * unit), v - np.float32(limb.y * unit)
    length2 = max(step_x**2 + step_y**2, 1e-6)
    along = (from_x * np.float32(step_x) + from_y * np.float32(step_y)) / np.float32(length2)
    along = np.clip(along, 0, 1)
    off_x, off_y = from_x - along * np.float32(step_x), from_y - along * np.float32(step_y)
    width = np.float32(limb.root * unit) + along * np.float32((limb.tip - limb.root) * unit)
    return np.asarray(width - np.sqrt(off_x * off_x + off_y * off_y), np.float32)


def blob(
    rng: np.random.Generator,
    frames: int,
    roughness: float = 0.1,
    aspect: float = 1.2,
    orders: int = 6,
    persistence: float = 0.95,
    restlessness: float = 0.5,
) -> Star:
    """A smooth star-convex outline that slowly changes.

    `roughness` is the deviation of the radius, `restlessness` the share of it that moves.
    """
    k = np.arange(2, orders + 1)
    still = rng.standard_normal((1, 2, len(k)))
    moving = drifting(rng, frames, (2, len(k)), persistence)
    waves = np.sqrt(1 - restlessness) * still + np.sqrt(restlessness) * moving
    waves *= roughness * (2.0 / k) ** 1.2
    phases = k[:, None] * _THETA
    table = 1 + waves[:, 0] @ np.cos(phases) + waves[:, 1] @ np.sin(phases)
    ellipse = 1 / np.sqrt((np.cos(_THETA) ** 2) / aspect + (np.sin(_THETA) ** 2) * aspect)
    return Star(np.clip(table * ellipse, 0.3, 2.6))


def drifting_rod(rng: np.random.Generator, frames: int, bend: float) -> Rod:
    """A rod whose bend (deviation `bend`) changes slowly."""
    return Rod(bend * drifting(rng, frames, (), 0.97))


def spread_cell(rng: np.random.Generator, frames: int, persistence: float = 0.95) -> Star:
    """An irregular cell with protrusions that grow, shrink and wander."""
    body = blob(rng, frames, rng.uniform(0.08, 0.2), rng.uniform(1, 1.8), 7, persistence).table
    count = int(rng.integers(2, 7))
    centre = rng.uniform(0, 2 * np.pi, count) + 0.15 * drifting(rng, frames, (count,), persistence)
    length = rng.uniform(0.2, 0.9, count) * (1 + 0.4 * drifting(rng, frames, (count,), persistence))
    width = rng.uniform(0.1, 0.4, count)
    gap = np.angle(np.exp(1j * (_THETA[None, None] - centre[:, :, None])))
    arms = (np.clip(length, 0, 1.2)[:, :, None] * np.exp(-((gap / width[:, None]) ** 2))).sum(1)
    return Star(np.clip(0.85 * body + arms, 0.3, 2.4))


def polygon(rng: np.random.Generator, frames: int) -> Star:
    """A rigid convex polygon with three to seven sides, or a box."""
    sides = int(rng.integers(3, 8))
    normals = (np.arange(sides) + rng.uniform(-0.25, 0.25, sides)) * (2 * np.pi / sides)
    reach = rng.uniform(0.7, 1.1, sides)
    facing = np.cos(_THETA[None] - normals[:, None])
    edges = np.where(facing > 0.05, reach[:, None] / np.maximum(facing, 0.05), np.inf)
    row = np.minimum(edges.min(0), 1.8)
    return Star(np.repeat(row[None], frames, 0))


def jointed(rng: np.random.Generator, frames: int) -> Jointed:
    """A walker, a swimmer or a vehicle, with random proportions."""
    if rng.random() < 0.3:
        return _vehicle(rng, frames)
    trunk = blob(rng, frames, 0.08, rng.uniform(1.0, 3.0), restlessness=0.3)
    rate, limbs = rng.uniform(0.3, 1.5), []
    for index in range(int(rng.integers(1, 6))):
        place = rng.uniform(-1, 1)
        down = np.pi / 2 + rng.uniform(-0.5, 0.5)
        limbs += _leg(rng, 0.9 * place, 0.35, down, rate, np.pi * index)
    neck = rng.uniform(-np.pi, 0)
    limbs += _leg(rng, 0.9 * np.cos(neck), 0.6 * np.sin(neck), neck, rate * 0.5, 0.0)
    size = rng.uniform(0.2, 0.5)
    head = Limb(1.1 * np.cos(neck), 1.0 * np.sin(neck), neck, 0.3, size, size * 0.8, 0.2, rate)
    return Jointed(trunk, (*limbs, head))


def _leg(
    rng: np.random.Generator, x: float, y: float, angle: float, rate: float, phase: float
) -> list[Limb]:
    thick = rng.uniform(0.1, 0.3)
    swing, length = rng.uniform(0.1, 0.7), rng.uniform(0.4, 1.2)
    return [Limb(x, y, angle, length, thick, thick * rng.uniform(0.4, 1.1), swing, rate, phase)]


def _vehicle(rng: np.random.Generator, frames: int) -> Jointed:
    trunk = polygon(rng, frames)
    size = rng.uniform(0.2, 0.45)
    low, spread = rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.8)
    wheels = tuple(Limb(side * spread, low, 0.0, 0.0, size, size) for side in (-1, 1))
    hull = Limb(
        -rng.uniform(0.7, 1.3), rng.uniform(0.0, 0.5), 0.0, rng.uniform(1.6, 2.4), 0.4, 0.35
    )
    return Jointed(trunk, (*wheels, hull))
