"""Cells that wander, push each other, divide, fade and come back: poses for every frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .bodies import Body
from .noise import Field, log_uniform
from .shapes import Pose, Shape

MOST_CELLS = 40
_SPLIT_FRAMES = 3  # a cell shows that it will divide this many frames before


@dataclass(frozen=True)
class Habits:
    """How the cells of one clip behave. Lengths are in pixels, times in frames.

    `step` is the usual move per frame, `inertia` how much of a velocity lasts to the next frame,
    `softness` how far cells may overlap before they push (0 not at all).
    """

    diameter: float
    spread: float
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

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        size: tuple[int, int],
        rods: bool,
        diameters: tuple[float, float],
    ) -> Habits:
        """Random habits; diameters are shares of the shorter side."""
        diameter = max(5.0, log_uniform(rng, *diameters) * min(size))
        # Slow movers are the rule under a microscope.
        tempo = log_uniform(rng, 0.004, 0.12) if rng.random() < 0.8 else rng.uniform(0.1, 0.35)
        footprint = diameter**2 * (0.25 if rods else np.pi / 4)
        cover = [log_uniform(rng, 0.02, 0.12), rng.uniform(0.1, 0.4), rng.uniform(0.5, 1.3)]
        wanted = cover[int(rng.integers(3))] * size[0] * size[1] / footprint
        return cls(
            diameter=diameter,
            spread=rng.uniform(0.03, 0.3),
            count=int(np.clip(round(wanted), 1, MOST_CELLS)),
            clusters=int(rng.choice([0, 1, 1, 2, 3])),
            rods=rods,
            step=tempo * diameter,
            inertia=rng.uniform(0.2, 0.97),
            flow=diameter * rng.choice([0, 0, 0.02, 0.08]) * np.exp(2j * np.pi * rng.random()),
            spin=float(rng.choice([0.005, 0.03, 0.1])),
            growth=float(rng.choice([0.0, 0.005, 0.02, 0.05])) * (2 if rods else 0.5),
            division=float(rng.choice([0, 0, 0.01, 0.04])),
            hiding=float(rng.choice([0, 0, 0.01, 0.03])),
            softness=rng.uniform(0.03, 0.12) if rods else rng.uniform(0.0, 0.35),
        )


@dataclass
class _Cell:
    label: int
    shape: Shape
    texture: Field
    place: complex
    angle: float
    radius: float
    half_length: float
    gain: float
    velocity: complex = 0j
    limit: float = np.inf
    divides_at: int | None = None
    hidden: tuple[int, int] = (0, 0)
    poses: dict[int, Pose] = field(default_factory=dict)

    def pinch(self, frame: int) -> float:
        if self.divides_at is None:
            return 0.0
        return float(np.clip(1 - (self.divides_at - 1 - frame) / _SPLIT_FRAMES, 0, 1))

    def pose(self, frame: int) -> Pose:
        start, stop = self.hidden
        # Out of focus by degrees: half as bright just before and after it is lost.
        seen = 0.0 if start <= frame < stop else 1.0
        if stop > start and frame in (start - 1, stop):
            seen = 0.5
        return Pose(
            self.place.real,
            self.place.imag,
            self.angle,
            self.radius,
            self.half_length,
            self.pinch(frame),
            self.gain * seen,
        )


MakeShape = Callable[[], Shape]
MakeTexture = Callable[[], Field]


def grow_colony(
    rng: np.random.Generator,
    size: tuple[int, int],
    frames: int,
    habits: Habits,
    make_shape: MakeShape,
    make_texture: MakeTexture,
    stage: NDArray[np.complex128],
) -> tuple[list[Body], dict[int, int]]:
    """Simulate a colony and return its bodies and the mother of each daughter.

    `stage` is the way of the microscope's stage [frames], in pixels, x + iy: the frame moves, so
    that the cells seem to move the other way.
    """
    cells = _sow(rng, size, frames, habits, make_shape, make_texture)
    everyone, parents = list(cells), dict[int, int]()
    for frame in range(frames):
        daughters: list[_Cell] = []
        for cell in [c for c in cells if c.divides_at == frame]:
            cells.remove(cell)
            label = len(everyone) + 1
            if label + 1 > 255:
                continue
            pair = _divide(rng, cell, (label, label + 1), make_shape, make_texture, habits)
            parents.update(dict.fromkeys((label, label + 1), cell.label))
            daughters += pair
            everyone += pair
        cells += daughters
        for cell in cells:
            cell.poses[frame] = _shifted(cell.pose(frame), stage[frame])
        _live(rng, cells, habits, frame, frames)
    bodies = [Body(c.label, c.shape, c.texture, c.poses) for c in everyone]
    return bodies, parents


def _shifted(pose: Pose, by: complex) -> Pose:
    return Pose(pose.x - by.real, pose.y - by.imag, *list(vars(pose).values())[2:])


def _sow(
    rng: np.random.Generator,
    size: tuple[int, int],
    frames: int,
    habits: Habits,
    make_shape: MakeShape,
    make_texture: MakeTexture,
) -> list[_Cell]:
    height, width = size
    n = habits.count
    places = rng.uniform(0, width, n) + 1j * rng.uniform(0, height, n)
    if habits.clusters:
        hearts = rng.uniform(0.15, 0.85, habits.clusters) * width + 1j * height * rng.uniform(
            0.15, 0.85, habits.clusters
        )
        jitter = rng.standard_normal(n) + 1j * rng.standard_normal(n)
        room = 0.3 * habits.diameter * np.sqrt(n / habits.clusters)
        places = hearts[rng.integers(habits.clusters, size=n)] + room * jitter
    # The first cell stays well in view, so that no clip begins empty.
    places[0] = width * rng.uniform(0.3, 0.7) + 1j * height * rng.uniform(0.3, 0.7)
    sizes = habits.diameter * np.exp(habits.spread * rng.standard_normal(n))
    trend = rng.uniform(0, 2 * np.pi)
    disorder = rng.choice([0.15, 0.6, 3.0])
    thickness = habits.diameter * rng.uniform(0.09, 0.2)
    cells = []
    for index in range(n):
        radius, half = sizes[index] / 2, 0.0
        if habits.rods:
            radius = thickness * rng.uniform(0.93, 1.07)
            half = max(sizes[index] * rng.uniform(0.5, 1.0) - 2 * radius, radius) / 2
        cell = _Cell(
            index + 1,
            make_shape(),
            make_texture(),
            complex(places[index]),
            trend + disorder * rng.standard_normal(),
            radius,
            half,
            float(np.exp(rng.normal(0, habits.spread * 1.5))),
            habits.step * complex(*rng.standard_normal(2)),
        )
        _make_plans(rng, cell, habits, 0, frames, hide=index > 0)
        cells.append(cell)
    _separate(cells, habits, rounds=25)
    return cells


def _make_plans(
    rng: np.random.Generator, cell: _Cell, habits: Habits, now: int, frames: int, hide: bool = True
) -> None:
    """Decide when a cell divides and when it is lost from sight, if at all."""
    if rng.random() < 1 - (1 - habits.division) ** frames and frames - now > 2:
        cell.divides_at = int(rng.integers(now + 2, frames))
    elif hide and rng.random() < 1 - (1 - habits.hiding) ** frames and frames - now > 2:
        start = int(rng.integers(now + 1, frames))
        # One in three does not come back: it died or left the focal plane for good.
        stays = frames if rng.random() < 0.33 else int(rng.integers(1, 5))
        cell.hidden = (start, start + stays)


def _divide(
    rng: np.random.Generator,
    mother: _Cell,
    labels: tuple[int, int],
    make_shape: MakeShape,
    make_texture: MakeTexture,
    habits: Habits,
) -> list[_Cell]:
    axis = np.exp(1j * mother.angle)
    if habits.rods:
        radius = mother.radius
        half = max((mother.half_length - radius) / 2, 0.3 * radius)
        gap = half + radius
    else:
        radius, half = mother.radius * 0.74, 0.0
        gap = mother.radius * 0.72
    pair = []
    for label, side in zip(labels, (-1, 1), strict=True):
        turn = rng.normal(0, 0.05 if habits.rods else 0.4)
        cell = _Cell(
            label,
            make_shape(),
            make_texture(),
            mother.place + side * gap * axis,
            mother.angle + turn,
            radius,
            half,
            mother.gain,
            mother.velocity + side * 0.08 * mother.radius * axis,
        )
        pair.append(cell)
    return pair


def _live(
    rng: np.random.Generator, cells: list[_Cell], habits: Habits, frame: int, frames: int
) -> None:
    """Move, turn and grow every cell by one frame."""
    kick = habits.step * np.sqrt(1 - habits.inertia**2)
    for cell in cells:
        noise = complex(*rng.standard_normal(2))
        cell.velocity = habits.inertia * cell.velocity + kick * noise
        calm = 1 - 0.8 * cell.pinch(frame)
        cell.place += calm * cell.velocity + habits.flow
        cell.angle += calm * rng.normal(0, habits.spin)
        cell.gain *= float(np.exp(rng.normal(0, 0.03)))
        if habits.rods:
            cell.half_length *= 1 + habits.growth
        else:
            cell.radius *= 1 + habits.growth * 0.3
    _separate(cells, habits, rounds=3)


def _separate(cells: list[_Cell], habits: Habits, rounds: int) -> None:
    """Push overlapping cells apart, each seen as a chain of discs."""
    if len(cells) < 2:
        return
    links = np.linspace(-1, 1, 5) if habits.rods else np.zeros(1)
    place = np.array([c.place for c in cells])
    angle = np.array([c.angle for c in cells])
    half = np.array([c.half_length for c in cells])
    radius = np.repeat([c.radius * (1 - habits.softness) for c in cells], len(links))
    owner = np.repeat(np.arange(len(cells)), len(links))
    touch = radius[:, None] + radius[None]
    touch[owner[:, None] == owner[None]] = -1
    for _ in range(rounds):
        arms = (np.exp(1j * angle) * half)[:, None] * links
        discs = (place[:, None] + arms).ravel()
        gaps = discs[:, None] - discs[None]
        distance = np.abs(gaps)
        overlap = touch - distance
        close = overlap > 0
        if not close.any():
            break
        push = np.where(close, 0.5 * overlap / (distance + 1e-3), 0) * gaps
        force = push.sum(1).reshape(len(cells), -1)
        contacts = np.maximum(close.sum(1).reshape(len(cells), -1).sum(1), 1)
        place = place + 1.2 * force.sum(1) / np.maximum(contacts, 2)
        if habits.rods:
            torque = (np.conj(arms) * force).imag.sum(1)
            angle = angle + np.clip(torque / (np.abs(arms) ** 2).sum(1), -0.1, 0.1)
    for cell, where, turn in zip(cells, place, angle, strict=True):
        cell.place, cell.angle = complex(where), float(turn)
