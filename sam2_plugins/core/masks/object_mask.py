"""One object in one frame: a crop, its offset, and the model's scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import floor, nan
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from sam2_plugins.core.masks import polygons, rle

ObjectId: TypeAlias = "int | str"
Pixels: TypeAlias = NDArray[np.bool_]
PixelBox: TypeAlias = tuple[int, int, int, int]

_FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)


def plain_id(obj: Any) -> Any:
    """Return an id or a number as Python has it: numpy's equal its own, but no file takes them."""
    return int(obj) if isinstance(obj, np.integer) else obj


@dataclass(frozen=True, eq=False)
class ObjectMask:
    """The pixels of one object in one frame, kept as a tight crop.

    Two masks are equal if they cover the same pixels of frames of the same size, whatever the
    model predicted of them. The constructor takes any crop and tightens it.

    Parameters
    ----------
    crop
        bool [h, w], tight around the object and read-only; (0, 0) if the object has no pixel.
    offset
        (x, y) of the crop's first pixel in the frame.
    frame_size
        (height, width) of the frame.
    iou
        The IoU that the model predicts for this mask; nan if no model made it.
    score
        The object score, a logit: above 0, the model believes the object to be in the frame.

    Raises
    ------
    ValueError
        If the crop is not two-dimensional or reaches out of the frame.
    """

    crop: Pixels
    offset: tuple[int, int]
    frame_size: tuple[int, int]
    iou: float = nan
    score: float = nan

    def __post_init__(self) -> None:
        crop = np.asarray(self.crop, dtype=bool)
        if crop.ndim != 2:
            raise ValueError(f"A mask has two dimensions (height, width), not shape {crop.shape}.")
        x, y, height, width = (int(n) for n in (*self.offset, *self.frame_size))
        rows, columns = _tight(crop)
        # A copy, so that neither a whole frame is kept alive nor the caller's array shared.
        tight = crop[rows, columns].copy()
        tight.flags.writeable = False
        if tight.size:
            x, y = x + columns.start, y + rows.start
            if x < 0 or y < 0 or x + tight.shape[1] > width or y + tight.shape[0] > height:
                raise ValueError(
                    f"A mask of {tight.shape[1]}×{tight.shape[0]} pixels at ({x}, {y}) reaches "
                    f"out of its frame of {width}×{height}."
                )
        object.__setattr__(self, "crop", tight)
        object.__setattr__(self, "offset", (x, y) if tight.size else (0, 0))
        object.__setattr__(self, "frame_size", (height, width))
        object.__setattr__(self, "iou", float(self.iou))  # which may be numpy's
        object.__setattr__(self, "score", float(self.score))

    @classmethod
    def from_array(cls, mask: ArrayLike, iou: float = nan, score: float = nan) -> ObjectMask:
        """Make a mask of an array [H, W] of the frame's size: whatever is not 0 is the object."""
        pixels = np.asarray(mask, dtype=bool)
        height, width = pixels.shape if pixels.ndim == 2 else (0, 0)
        return cls(pixels, (0, 0), (height, width), iou, score)

    @classmethod
    def from_box(cls, box: Sequence[float], frame_size: tuple[int, int]) -> ObjectMask:
        """Fill a box (x0, y0, x1, y1; ends exclusive), rounded to pixels and cut at the frame."""
        height, width = frame_size
        x0, x1 = (int(np.clip(round(x), 0, width)) for x in box[0::2])
        y0, y1 = (int(np.clip(round(y), 0, height)) for y in box[1::2])
        crop = np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), bool)
        return cls(crop, (x0, y0), frame_size)

    @classmethod
    def empty(cls, frame_size: tuple[int, int], iou: float = nan, score: float = nan) -> ObjectMask:
        """Make the mask of an object that is not in the frame."""
        return cls(np.zeros((0, 0), bool), (0, 0), frame_size, iou, score)

    def to_array(self) -> Pixels:
        """Return the mask as bool [H, W] of the frame's size."""
        array = np.zeros(self.frame_size, bool)
        self.paste_into(array, True)
        return array

    @property
    def visible(self) -> bool:
        """Whether the object has a pixel in the frame."""
        return self.crop.size > 0

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.crop))

    def parts(self) -> tuple[NDArray[np.int32], int]:
        """Tell which connected part each pixel of the crop is in, from 1, and count them."""
        labels, count = ndimage.label(self.crop, _FOUR_NEIGHBOURS)
        return labels, int(count)

    @cached_property
    def is_connected(self) -> bool:
        """Whether it has one part only, or none."""
        return _is_a_run_a_row(self.crop) or self.parts()[1] <= 1

    def _known(self, connected: bool) -> ObjectMask:
        """Note what parts were counted for, so that they are not counted again."""
        self.__dict__["is_connected"] = connected
        return self

    @property
    def box(self) -> PixelBox | None:
        """The tight box (x0, y0, x1, y1), ends exclusive; None if there is no pixel."""
        if not self.visible:
            return None
        (x, y), (h, w) = self.offset, self.crop.shape
        return x, y, x + w, y + h

    @cached_property
    def centroid(self) -> tuple[float, float] | None:
        """Mean (x, y) of the pixels, whose centres are at whole numbers; None without pixels."""
        if not self.visible:
            return None
        (x, y), (h, w) = self.offset, self.crop.shape
        by_column, by_row = self.crop.sum(axis=0), self.crop.sum(axis=1)
        return (
            x + float(by_column @ np.arange(w)) / self.area,
            y + float(by_row @ np.arange(h)) / self.area,
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the frame that the crop covers."""
        (x, y), (h, w) = self.offset, self.crop.shape
        return slice(y, y + h), slice(x, x + w)

    def window(self, box: PixelBox) -> Pixels:
        """Return the mask inside a box as bool [y1 - y0, x1 - x0]; outside the frame is False."""
        x0, y0, x1, y1 = box
        view = np.zeros((y1 - y0, x1 - x0), bool)
        (x, y), (h, w) = self.offset, self.crop.shape
        left, top = max(x, x0), max(y, y0)
        right, bottom = min(x + w, x1), min(y + h, y1)
        if left < right and top < bottom:
            part = self.crop[top - y : bottom - y, left - x : right - x]
            view[top - y0 : bottom - y0, left - x0 : right - x0] = part
        return view

    def moved(self, dx: int, dy: int) -> ObjectMask:
        """Return the mask so many pixels further right and down, cut at the frame."""
        (x, y), (height, width) = self.offset, self.frame_size
        x, y = x + dx, y + dy
        crop = self.crop[max(0, -y) : max(0, height - y), max(0, -x) : max(0, width - x)]
        return replace(self, crop=crop, offset=(max(0, x), max(0, y)))

    def around(self, x: float, y: float, reach: int) -> Pixels:
        """Return the mask within so many pixels of a point of the frame."""
        column, row = floor(x), floor(y)
        return self.window((column - reach, row - reach, column + reach + 1, row + reach + 1))

    def without_specks(self, share: float, keep: Sequence[tuple[float, float]] = ()) -> ObjectMask:
        """Leave out parts that are smaller than this share of the largest part.

        Parameters
        ----------
        keep
            (x, y) of points whose part stays, whatever its size.
        """
        if _is_a_run_a_row(self.crop):
            return self._known(connected=True)
        parts, count = self.parts()
        if count <= 1:
            return self._known(connected=True)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        stays = sizes >= share * sizes.max()
        for x, y in keep:
            column, row = floor(x) - self.offset[0], floor(y) - self.offset[1]
            if 0 <= row < parts.shape[0] and 0 <= column < parts.shape[1]:
                stays[parts[row, column]] = True
        if stays[1:].all():
            return self._known(connected=False)
        rest = replace(self, crop=stays[parts])
        return rest._known(connected=np.count_nonzero(stays) == 1)

    def paste_into(self, array: NDArray[Any], value: Any) -> None:
        """Write `value` (a number, or one per channel) to this object's pixels of [H, W, ...]."""
        if array.shape[:2] != self.frame_size:
            raise ValueError(
                f"A mask of a {self.frame_size} frame does not fit an array of {array.shape[:2]}."
            )
        array[self.slices][self.crop] = value

    def intersection_with(self, other: ObjectMask) -> int:
        """Return the number of pixels that both masks cover."""
        if self.frame_size != other.frame_size:
            raise ValueError(
                f"Masks of frames of different size, {self.frame_size} and {other.frame_size}, "
                "cannot be compared."
            )
        own, others = self.box, other.box
        if own is None or others is None:
            return 0
        (x0, y0, x1, y1), (u0, v0, u1, v1) = own, others
        if u0 >= x1 or x0 >= u1 or v0 >= y1 or y0 >= v1:
            return 0
        return int(np.count_nonzero(self.crop & other.window(own)))

    def iou_with(self, other: ObjectMask) -> float:
        """Return intersection over union; 1 if both are empty."""
        intersection = self.intersection_with(other)
        union = self.area + other.area - intersection
        return intersection / union if union else 1.0

    def union_with(self, other: ObjectMask) -> ObjectMask:
        """Return the mask of what either covers, which no model predicted."""
        return ObjectMask.from_array(self.to_array() | other.to_array())

    def to_rle(self) -> rle.CocoRle:
        """Encode as COCO compressed RLE, byte for byte what pycocotools makes of the frame."""
        x0, _, x1, _ = self.box or (0, 0, 0, 0)
        columns = self.window((x0, 0, x1, self.frame_size[0]))
        return rle.encode(columns, x0, self.frame_size)

    @classmethod
    def from_rle(
        cls, encoded: Mapping[str, Any], iou: float = nan, score: float = nan
    ) -> ObjectMask:
        """Decode a COCO RLE: compressed (str or bytes), or a list of counts.

        Raises
        ------
        ValueError
            If it is damaged: its runs do not fill a frame of the stated size.
        """
        return cls.from_array(rle.decode(encoded), iou, score)

    def to_polygons(self, tolerance: float = 0.0) -> list[NDArray[np.float64]]:
        """Return the outline as rings of (x, y), each [n, 2]; see `masks.polygons`.

        Without `tolerance`, `from_polygons` gives the same mask back, exactly. With it, vertices
        are dropped that lie within so many pixels of the line, and small detail may be lost.
        """
        offset = np.asarray(self.offset)
        return [ring + offset for ring in polygons.trace(self.crop, tolerance)]

    @classmethod
    def from_polygons(cls, rings: Sequence[ArrayLike], frame_size: tuple[int, int]) -> ObjectMask:
        """Fill rings of (x, y) by the even-odd rule, cut at the frame."""
        crop, offset = polygons.fill(rings, frame_size)
        return cls(crop, offset, frame_size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectMask):
            return NotImplemented
        return self is other or (
            self.frame_size == other.frame_size
            and self.offset == other.offset
            and np.array_equal(self.crop, other.crop)
        )

    def __hash__(self) -> int:
        return hash((self.frame_size, self.offset, self.crop.shape, self.crop.tobytes()))

    def __repr__(self) -> str:
        where = "no pixel" if self.box is None else f"box={self.box}, area={self.area}"
        sure = f"iou={self.iou:.3g}, score={self.score:.3g}"
        return f"ObjectMask({where}, frame_size={self.frame_size}, {sure})"


def _is_a_run_a_row(crop: Pixels) -> bool:
    """Whether each row is one run that touches the next row's: connected, at a tenth of the cost.

    Most cells are so.
    """
    if not (crop[1:] & crop[:-1]).any(axis=1).all():
        return False
    starts = np.count_nonzero(crop[:, :1]) + np.count_nonzero(crop[:, 1:] > crop[:, :-1])
    return starts == len(crop)  # with no row empty: one in each


def _tight(mask: Pixels) -> tuple[slice, slice]:
    """Rows and columns between the first and the last pixel of a mask."""
    rows: Pixels = np.asarray(mask.any(axis=1))
    if not rows.any():
        return slice(0, 0), slice(0, 0)
    band = slice(int(rows.argmax()), len(rows) - int(rows[::-1].argmax()))
    columns: Pixels = np.asarray(mask[band].any(axis=0))
    return band, slice(int(columns.argmax()), len(columns) - int(columns[::-1].argmax()))
