"""What a person says of an object, as data: points, a box, a mask.

Coordinates are (x, y) in pixels of the original frame, frames are 0-based.
`core.prompt_files` saves prompts and loads them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectId, ObjectMask, plain_id

POSITIVE, NEGATIVE = 1, 0

XY: TypeAlias = tuple[float, float]
"""In pixels of the frame."""

Click: TypeAlias = tuple[float, float, int]
"""x, y in pixels of the frame; 1 on the object, 0 not on it."""


@dataclass(frozen=True)
class Points:
    """Clicks on one frame.

    Parameters
    ----------
    xy
        (x, y) of each click.
    labels
        For each click: 1 if it is on the object, 0 if it is not.

    Raises
    ------
    PromptError
        If there is no click, a coordinate is not finite, or the labels do not fit.
    """

    xy: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.xy or not all(len(point) == 2 for point in self.xy):
            raise PromptError("Points are one or more pairs (x, y).")
        if not all(math.isfinite(value) for point in self.xy for value in point):
            raise PromptError(f"A point has a coordinate that is not finite: {list(self.xy)}.")
        if len(self.labels) != len(self.xy):
            raise PromptError(
                f"{len(self.xy)} point(s) but {len(self.labels)} label(s): give one label a point."
            )
        if not set(self.labels) <= {POSITIVE, NEGATIVE}:
            raise PromptError(
                f"Point labels are 1 (on the object) or 0 (not on it), not {list(self.labels)}."
            )

    @classmethod
    def of(cls, xy: ArrayLike, labels: ArrayLike | None = None) -> Points:
        """Make points of an array [n, 2] or one pair; without labels, all are on the object."""
        array = _numbers(xy, "Points are pairs (x, y) of numbers")
        if array.shape == (2,):
            array = array[None]
        if array.ndim != 2 or array.shape[1] != 2:
            raise PromptError(f"Points are an array of pairs (x, y), not one of {array.shape}.")
        given = np.ones(len(array)) if labels is None else _numbers(labels, "Labels are 0 or 1")
        if not np.isin(given, (POSITIVE, NEGATIVE)).all():
            raise PromptError(
                f"Point labels are 1 (on the object) or 0 (not on it), not {given.tolist()}."
            )
        pairs = tuple((float(x), float(y)) for x, y in array)
        return cls(pairs, tuple(int(label) for label in np.atleast_1d(given).ravel()))

    @property
    def on_it(self) -> tuple[XY, ...]:
        """Those on the object."""
        return tuple(xy for xy, label in zip(self.xy, self.labels, strict=True) if label)


@dataclass(frozen=True)
class Box:
    """A rectangle around an object, ends exclusive.

    Corners may be given in any order and are sorted.

    Raises
    ------
    PromptError
        If a side is not finite or the box is empty.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(side) for side in self):
            raise PromptError(f"A box has a side that is not finite: {tuple(self)}.")
        x0, x1 = sorted((float(self.x0), float(self.x1)))
        y0, y1 = sorted((float(self.y0), float(self.y1)))
        if x0 == x1 or y0 == y1:
            raise PromptError(f"The box {tuple(self)} is empty: x0 < x1 and y0 < y1 are needed.")
        for name, side in zip(("x0", "y0", "x1", "y1"), (x0, y0, x1, y1), strict=True):
            object.__setattr__(self, name, side)

    @classmethod
    def of(cls, box: ArrayLike) -> Box:
        """Make a box of four numbers x0, y0, x1, y1."""
        array = _numbers(box, "A box is four numbers x0, y0, x1, y1")
        if array.size != 4:
            raise PromptError(f"A box is four numbers x0, y0, x1, y1, not {array.tolist()}.")
        return cls(*(float(side) for side in array.ravel()))

    def within(self, frame_size: tuple[int, int]) -> Box:
        """Return the part of the box that is in the frame: beyond it nothing is to be seen."""
        height, width = frame_size
        x0, x1 = max(0.0, self.x0), min(float(width), self.x1)
        return Box(x0, max(0.0, self.y0), x1, min(float(height), self.y1))

    def __iter__(self) -> Iterator[float]:
        yield from (self.x0, self.y0, self.x1, self.y1)


@dataclass(frozen=True)
class Prompt:
    """All that was said of one object on one frame.

    Use `Prompt.of` to make one of plain numbers and arrays.

    Parameters
    ----------
    frame
        0-based.
    obj
        The caller's id of the object.
    points, box, mask
        At least one of them. An empty mask says that the object is not on this frame.
    beside
        Clicks on other objects that this one's mask was made to leave out; None:
        nothing was predicted from it yet. Prompts are equal with and without.

    Raises
    ------
    PromptError
        If the frame is negative, the id is neither int nor str, or nothing was said.
    """

    frame: int
    obj: ObjectId
    points: Points | None = None
    box: Box | None = None
    mask: ObjectMask | None = None
    beside: tuple[XY, ...] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.obj, bool) or not isinstance(self.obj, int | str):
            raise PromptError(f"An object's id is a whole number or a text, not {self.obj!r}.")
        if isinstance(self.frame, bool) or not isinstance(self.frame, int) or self.frame < 0:
            raise PromptError(
                f"Object {self.obj!r}: a frame is a whole number from 0 on, not {self.frame!r}."
            )
        if self.points is None and self.box is None and self.mask is None:
            raise PromptError(f"{self.where}: give points, a box or a mask.")

    @classmethod
    def of(
        cls,
        frame: int,
        obj: ObjectId,
        points: Points | ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: Box | ArrayLike | None = None,
        mask: ObjectMask | ArrayLike | None = None,
    ) -> Prompt:
        """Make a prompt of plain values; errors name the object and the frame.

        Parameters
        ----------
        points
            [n, 2], or one pair (x, y).
        labels
            [n] of 1 (on the object) or 0; all 1 if None.
        box
            x0, y0, x1, y1, corners in any order.
        mask
            [H, W] of the frame's size: 0, and one other value for the object.
        """
        frame, obj = plain_id(frame), plain_id(obj)
        try:
            if points is None and labels is not None:
                raise PromptError("Labels were given without points.")
            if isinstance(points, Points) and labels is not None:
                raise PromptError("The points have their labels already: leave out `labels`.")
            if points is not None and not isinstance(points, Points):
                points = Points.of(points, labels)
            if box is not None and not isinstance(box, Box):
                box = Box.of(box)
            if mask is not None and not isinstance(mask, ObjectMask):
                mask = _mask(mask)
        except PromptError as error:
            raise PromptError(f"Object {obj!r}, frame {frame!r}: {error}") from error
        return cls(frame, obj, points, box, mask)

    def parts(self) -> list[Prompt]:
        """Cut a prompt into its mask, its box and each of its clicks, in this order.

        So the prediction does not depend on how a host groups what a person did.
        """
        one = partial(Prompt, self.frame, self.obj)
        parts = [one(mask=self.mask)] if self.mask is not None else []
        parts += [one(box=self.box)] if self.box is not None else []
        if (clicks := self.all_points) is not None:
            each = zip(clicks.xy, clicks.labels, strict=True)
            parts += [one(points=Points((xy,), (label,))) for xy, label in each]
        return parts

    @property
    def all_points(self) -> Points | None:
        """The clicks, and those on other objects as clicks that exclude."""
        if not self.beside:
            return self.points
        own = self.points
        excluded = (NEGATIVE,) * len(self.beside)
        if own is None:
            return Points(self.beside, excluded)
        return Points(own.xy + self.beside, own.labels + excluded)

    @property
    def shows(self) -> bool:
        """Whether it shows the object, and not only what the object is not."""
        drawn = self.box is not None or self.mask is not None
        return drawn or (self.points is not None and bool(self.points.on_it))

    @property
    def where(self) -> str:
        """The object and the frame, for messages."""
        return f"Object {self.obj!r}, frame {self.frame}"

    def check_fits(self, frame_size: tuple[int, int], n_frames: int | None = None) -> None:
        """Check that the prompt lies in a movie.

        Parameters
        ----------
        frame_size
            (height, width).
        n_frames
            None if the movie's end is not known.

        Raises
        ------
        PromptError
            If the frame does not exist, a point or the whole box lies outside of it, the box is in
            shares of the frame, or the mask is of another size.
        """
        height, width = frame_size
        size = f"the frame of {width}×{height} pixels"
        if n_frames is not None and self.frame >= n_frames:
            raise PromptError(f"{self.where}: the movie ends with frame {n_frames - 1}.")
        for x, y in self.points.xy if self.points else ():
            if not (-0.5 <= x <= width and -0.5 <= y <= height):
                raise PromptError(f"{self.where}: the point ({x:g}, {y:g}) is outside {size}.")
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            box = f"({x0:g}, {y0:g}, {x1:g}, {y1:g})"
            if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
                raise PromptError(f"{self.where}: the box {box} is outside {size}.")
            if min(self.box) >= 0 and max(self.box) < 1:
                raise PromptError(
                    f"{self.where}: the box {box} is within a pixel: give x0, y0, x1, y1 in "
                    f"pixels of {size}, not as shares of it."
                )
        if self.mask is not None and self.mask.frame_size != frame_size:
            rows, columns = self.mask.frame_size
            raise PromptError(
                f"{self.where}: the mask is {columns}×{rows} pixels and does not fit {size}."
            )


def _numbers(values: ArrayLike, what: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{what}, not {values!r}.") from error


def _mask(mask: ArrayLike) -> ObjectMask:
    try:
        pixels = np.asarray(mask)
        found = ObjectMask.from_array(pixels)
    except (TypeError, ValueError) as error:
        raise PromptError(str(error)) from error
    inside = pixels[found.slices][found.crop] if found.visible else pixels[:0]
    if inside.size and not (inside == inside[0]).all():
        # Labels of several objects, or how sure something is of each pixel.
        raise PromptError(
            "The mask has several values beside 0, so what is the object is not clear: give "
            "`labels == 3` for one of several labels, or `probability > 0.5`."
        )
    return found
