"""Windows on a big frame: a small object is seen at native resolution, through a crop.

Outside this module coordinates are those of the whole frame. A window's side comes from a ladder of
sizes and its corner from a lattice, so that neighbouring objects share windows, each of which is
encoded once per frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy import ndimage

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.object_mask import PixelBox

WindowChoice: TypeAlias = "Literal['auto'] | int | None"
"""Where windows are used: where it helps, always of a side in pixels, or never."""

OBJECT_SHARE, LONGEST_SHARE = 0.25, 0.35
"""Shares of its window's side that an object should have across, on average, and at its longest.

A rod that is as long as a round cell is wide needs a closer look, or it is a few pixels thin.
"""

CROWDED_SHARE = 0.55
"""An object that has grown to this share of its window's side gets a larger one."""

WHOLE_FRAME_SHARE = 0.49
"""A window that would cover more than this share of the frame is not worth it."""

MOST_ENLARGED = 2.0
"""Frame pixels are never enlarged more than this: there is nothing more to see."""

COARSE_LATTICE, LATTICE, COARSE_SHARE = 2, 4, 0.25
"""Windows begin at halves of their side, so that objects near each other share an encoding; at
quarters for objects longer than a share of it, which need a window more nearly around them.

An object of that share still keeps an eighth of the side from the edges of its window.
"""

LEAVE_MARGIN = 1 / 20
"""Share of a window's side that an object keeps from its edges, to stay in it."""

PART_IN_VIEW = 0.25
"""Separate parts of this share of the largest are kept in view with it: the daughters of a cell
are nearly of one size, and what a neighbour lends a mask is not.
"""

FARTHEST_VIEW = 2
"""As long as windows this much larger than the largest part's hold them."""


@dataclass(frozen=True)
class Window:
    """A rectangle of the frame, in whole pixels, which the model sees as its square input."""

    x: int
    y: int
    width: int
    height: int

    @property
    def box(self) -> PixelBox:
        """x0, y0, x1, y1, ends exclusive."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Cut the window out of an image [H, W, C]."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]

    def to_model(self, xy: np.ndarray, image_size: int) -> np.ndarray:
        """Frame coordinates [n, 2] to pixels of the model's input."""
        scale = np.array([image_size / self.width, image_size / self.height])
        return (xy - np.array([self.x, self.y])) * scale


@dataclass(frozen=True)
class Extent:
    """How large an object is.

    Attributes
    ----------
    box
        x0, y0, x1, y1, ends exclusive.
    area
        In pixels; that of an ellipse in the box where only the box is known.
    """

    box: PixelBox
    area: float

    @classmethod
    def of_box(cls, box: PixelBox) -> Extent:
        """Take an ellipse for granted."""
        return cls(box, math.pi / 4 * (box[2] - box[0]) * (box[3] - box[1]))

    @property
    def across(self) -> float:
        """Diameter of a disc of the same area."""
        return math.sqrt(4 / math.pi * self.area)

    @property
    def longest(self) -> int:
        """Longer side of the box."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


def extent_of(mask: ObjectMask, point: tuple[float, float] | None = None) -> Extent | None:
    """Extent of a mask's main part: the one under a point, else the largest. Specks do not count.

    None if the mask is empty.
    """
    if mask.box is None:
        return None
    if mask.is_connected:
        return Extent(mask.box, mask.area)
    parts, _ = mask.parts()
    sizes = np.bincount(parts.ravel())[1:]
    main = int(sizes.argmax()) + 1
    if point is not None:
        column, row = (round(p) - o for p, o in zip(point, mask.offset, strict=True))
        height, width = parts.shape
        if 0 <= row < height and 0 <= column < width and parts[row, column]:
            main = int(parts[row, column])
    rows, columns = ndimage.find_objects(parts)[main - 1]
    x, y = mask.offset
    box = x + columns.start, y + rows.start, x + columns.stop, y + rows.stop
    return Extent(box, float(sizes[main - 1]))


def without_cut_parts(mask: ObjectMask, window: Window) -> ObjectMask:
    """Leave out separate parts that an edge of their window cuts, but for the largest part.

    A window follows the largest part. What another was cut to would end in a straight line.
    """
    if mask.box is None or mask.is_connected:
        return mask
    sides = zip(window.box, mask.box, (0, 0, *mask.frame_size[::-1]), strict=True)
    cut = [edge == reached and edge != last for edge, reached, last in sides]
    if not any(cut):
        return mask
    parts, count = mask.parts()
    stays = np.ones(count + 1, bool)
    for reached, line in zip(cut, (parts[:, 0], parts[0], parts[:, -1], parts[-1]), strict=True):
        if reached:
            stays[line] = False
    stays[np.bincount(parts.ravel())[1:].argmax() + 1] = True
    stays[0] = False
    return replace(mask, crop=stays[parts])


def window_choice(value: object) -> WindowChoice:
    """Read a window, also as people type it: auto, none, or a number of pixels.

    Raises
    ------
    TrackingError
        If it is none of them.
    """
    if value in ("auto", "none", None):
        return "auto" if value == "auto" else None
    if str(value).isdecimal() and int(str(value)) > 0:
        return int(str(value))
    raise TrackingError(f"The window is auto, none, or a number of pixels, not {value!r}.")


class WindowPlanner:
    """Chooses windows for one movie, of a frame size (height, width) and a model's image size."""

    def __init__(self, frame_size: tuple[int, int], image_size: int, choice: WindowChoice) -> None:
        self.frame_size = frame_size
        self.image_size = image_size
        self.choice = window_choice(choice)
        self.whole = Window(0, 0, frame_size[1], frame_size[0])

    def ladder(self, enlarged: float = MOST_ENLARGED) -> list[int]:
        """Sides of the windows that may be used, smallest first, without the whole frame.

        Parameters
        ----------
        enlarged
            Pixels of the model's input across one of the frame, at most.
        """
        height, width = self.frame_size
        if self.choice is None:
            return []
        if self.choice != "auto":
            return [self.choice] if self.choice < max(self.frame_size) else []
        sides = []
        side = self.image_size / enlarged
        # A long low frame is seen through windows of its whole height.
        while min(side, width) * min(side, height) < WHOLE_FRAME_SHARE * width * height:
            sides.append(round(side))
            side *= math.sqrt(2)
        return sides

    def enlarges(self, side: int | None) -> bool:
        """Whether windows of a side enlarge the frame more than those of the ladder do."""
        return side is not None and side < min(self.ladder(), default=math.inf)

    def coarser(self, side: int | None) -> int | None:
        """Side of the next larger windows; None: the whole frame."""
        return next((rung for rung in self.ladder() if side is not None and rung > side), None)

    def side_for(self, extent: Extent) -> int | None:
        """Side of the smallest window that shows an object well; None for the whole frame."""
        wanted = max(extent.across / OBJECT_SHARE, extent.longest / LONGEST_SHARE)
        # A rung of the ladder may be a little smaller than wanted before the next one is taken.
        return next((side for side in self.ladder() if side * 2**0.25 >= wanted), None)

    def window(self, box: PixelBox, side: int | None) -> Window:
        """Window of a side around an object, whatever other objects there are.

        Its corner is on a lattice, so that neighbours share it.
        """
        longest = max(box[2] - box[0], box[3] - box[1])
        coarse = side is not None and longest <= COARSE_SHARE * side
        return self.around(box, side, COARSE_LATTICE if coarse else LATTICE)

    def around(self, box: PixelBox, side: int | None, lattice: int = LATTICE) -> Window:
        """Window of a side around a place, on a lattice."""
        if side is None:
            return self.whole
        step = max(1, side // lattice)
        x, y = ((box[i] + box[i + 2]) / 2 - side / 2 for i in (0, 1))
        return self.at(round(x / step) * step, round(y / step) * step, side)

    def at(self, x: float, y: float, side: int) -> Window:
        """Window of a side with its corner at (x, y), moved into the frame."""
        height, width = self.frame_size
        w, h = min(side, width), min(side, height)
        return Window(round(min(max(x, 0), width - w)), round(min(max(y, 0), height - h)), w, h)

    def keeps(self, window: Window, box: PixelBox) -> bool:
        """Whether an object may stay in its window."""
        return self.margin(window, box) >= LEAVE_MARGIN

    def in_view(self, mask: ObjectMask) -> Extent | None:
        """Extent of what a window has to hold: all large parts of an object, or else its main part.

        None if the mask is empty.
        """
        main = extent_of(mask)
        if main is None or mask.is_connected:
            return main
        large = mask.without_specks(PART_IN_VIEW)
        assert large.box is not None
        side, parts = self.side_for(main), Extent(large.box, large.area)
        # A false part shall not lead to a view that is too coarse for the true one.
        far = side is not None and self.crowded(parts, FARTHEST_VIEW * side)
        return main if far else parts

    def at_edge(self, mask: ObjectMask) -> bool:
        """Whether the frame's edge may cut an object."""
        if mask.box is None:
            return False
        height, width = self.frame_size
        x0, y0, x1, y1 = mask.box
        return x0 <= 1 or y0 <= 1 or x1 >= width - 1 or y1 >= height - 1

    def crowded(self, extent: Extent, side: int | None) -> bool:
        """Whether an object has grown too large for windows of a side."""
        return side is not None and extent.longest > CROWDED_SHARE * side

    def margin(self, window: Window, box: PixelBox) -> float:
        """Smallest distance of an object to an edge of its window, as a share of its side.

        The frame's own edges do not count: there is nothing behind them.
        """
        height, width = self.frame_size
        x0, y0, x1, y1 = window.box
        gaps = [
            math.inf if x0 <= 0 else (box[0] - x0) / window.width,
            math.inf if y0 <= 0 else (box[1] - y0) / window.height,
            math.inf if x1 >= width else (x1 - box[2]) / window.width,
            math.inf if y1 >= height else (y1 - box[3]) / window.height,
        ]
        return min(gaps)
