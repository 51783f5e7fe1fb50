"""A small movie with two objects, as every writer gets it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sam2_plugins.core.export import Blank, Numbering, Subject
from sam2_plugins.core.masks import ObjectId, ObjectMask

SIZE = (31, 45)  # odd on purpose


@dataclass
class Picture:
    image: np.ndarray


@dataclass
class Movie:
    length: int | None = 10
    height: int = SIZE[0]
    width: int = SIZE[1]
    fps: float | None = 25.0
    name: str = "cells.tif"
    seekable: bool = True
    pixel_size: tuple[float, float] | None = None
    read: list[int] = field(default_factory=list)

    def __getitem__(self, index: int) -> Picture:
        self.read.append(index)
        level = 40 + 10 * (index % 16)
        return Picture(np.full((self.height, self.width, 3), level, np.uint8))


def blank(
    length: int | None = 10, objects: tuple[ObjectId, ...] = (), size=SIZE, parents=None
) -> Subject:
    """A movie of which a writer sees no picture."""
    return Subject(Blank("cells", size, length), Numbering(objects), parents or {})


def square(x: int, y: int = 4, side: int = 8, size=SIZE, **scores: float) -> ObjectMask:
    mask = ObjectMask.from_box((x, y, x + side, y + side), size)
    return ObjectMask(mask.crop, mask.offset, size, **scores)


def masks_on(frame: int) -> dict[int | str, ObjectMask]:
    """A moving square called "a" that is gone on frames 4 and 5, and a still one called 7."""
    moving = square(frame, iou=0.8, score=2.5) if frame not in (4, 5) else ObjectMask.empty(SIZE)
    return {"a": moving, 7: square(30, 20)}


def write_movie(writer, frames=range(10), masks=masks_on, step: float = 0.04) -> None:
    for frame in frames:
        writer.write(frame, frame * step, masks(frame))
