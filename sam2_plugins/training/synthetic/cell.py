"""One cell on its way through a clip, and how cells push each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .shapes import Pose, Shape
from .tiles import Interior

_SPLIT_FRAMES = 3  # a cell shows that it will divide this many frames before
_SETTLE_FRAMES = 4  # and its daughters are rounder for so many after


@dataclass(eq=False)
class Cell:
    """A living cell; `poses` is its log. Lengths in pixels, places as x + iy on the stage.

    `longest` is the half length at which a rod divides, `hidden` the frames in which the cell is
    out of focus.
    """

    shape: Shape
    texture: Interior
    place: complex
    angle: float
    radius: float
    half_length: float
    gain: float
    velocity: complex
    longest: float = np.inf
    label: int = 0
    born: int | None = None
    divides_at: int | None = None
    hidden: tuple[int, int] = (0, 0)
    poses: dict[int, Pose] = field(default_factory=dict)

    def pinch(self, frame: int) -> float:
        """How near the division is, 0 to 1."""
        if self.divides_at is None:
            return 0.0
        return float(np.clip(1 - (self.divides_at - 1 - frame) / _SPLIT_FRAMES, 0, 1))

    def pose(self, frame: int, stage: complex) -> Pose:
        """The pose in a frame taken at this place of the stage."""
        start, stop = self.hidden
        # Out of focus by degrees: half as bright just before and after it is lost.
        seen = 0.0 if start <= frame < stop else 1.0
        if stop > start and frame in (start - 1, stop):
            seen = 0.5
        pinch = self.pinch(frame)
        fresh = 0.0 if self.born is None else max(0.0, 1 - (frame - self.born) / _SETTLE_FRAMES)
        place = self.place - stage
        return Pose(
            place.real,
            place.imag,
            self.angle,
            self.radius,
            self.half_length,
            pinch,
            rounded=max(min(1.0, 2 * pinch), fresh),
            gain=self.gain * seen * (1 + 0.3 * max(pinch, fresh)),
        )


def separate(cells: list[Cell], softness: float, rounds: int) -> None:
    """Push overlapping cells apart, each seen as a chain of discs.

    `softness` is the share of their radius by which they may overlap.
    """
    if len(cells) < 2:
        return
    place = np.array([c.place for c in cells])
    angle = np.array([c.angle for c in cells])
    half = np.array([c.half_length for c in cells])
    thick = np.array([c.radius for c in cells])
    rods = half.max() > 0
    links = np.linspace(-1, 1, int(np.clip((half / thick).max() + 2, 3, 8)) if rods else 1)
    links = links if rods else np.zeros(1)
    radius = np.repeat(thick * (1 - softness), len(links))
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
        contacts = close.sum(1).reshape(len(cells), -1).sum(1)
        place = place + 1.2 * force.sum(1) / np.maximum(contacts, 2)
        if rods:
            torque = (np.conj(arms) * force).imag.sum(1)
            angle = angle + np.clip(torque / (np.abs(arms) ** 2).sum(1), -0.1, 0.1)
    for cell, where, turn in zip(cells, place, angle, strict=True):
        cell.place, cell.angle = complex(where), float(turn)
