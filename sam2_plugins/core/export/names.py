"""Ids written near their objects, without covering one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sam2_plugins.core.masks import ObjectId, ObjectMask

_LARGE_PX, _SMALL_PX = 13, 11
_Rectangle = tuple[float, float, float, float]


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font in a size in pixels."""
    return ImageFont.load_default(size)


def printable(text: object, longest: int = 32) -> str:
    """Bring a name to one short line of characters that can be drawn."""
    line = " ".join(str(text).split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def write_names(
    picture: Image.Image,
    masks: Sequence[tuple[ObjectId, ObjectMask]],
    origin: tuple[int, int],
    scale: float,
) -> None:
    """Write the id of every object that has room for it, in place.

    A name is written on its object if it fits there, else beside it where nothing else is, else
    on it all the same. A name that would cover another one is left out.

    Parameters
    ----------
    masks
        In order of importance.
    origin, scale
        Where the picture's first pixel is in the frame, and how much it is enlarged.
    """
    draw = ImageDraw.Draw(picture)
    shown = [(printable(obj), mask) for obj, mask in masks if mask.visible]
    boxes = np.array([mask.box for _, mask in shown], dtype=float).reshape(-1, 4)
    boxes = (boxes - np.array(origin * 2)) * scale
    written = np.zeros((0, 4))
    for index, (text, mask) in enumerate(shown):
        others = np.delete(boxes, index, axis=0)
        centre = (np.array(mask.centroid) + 0.5 - origin) * scale
        if not (0 <= centre[0] < picture.width and 0 <= centre[1] < picture.height):
            continue
        x0, y0, x1, y1 = boxes[index]
        fits = draw.textlength(text, font(_LARGE_PX)) + 8 <= x1 - x0 and y1 - y0 >= _LARGE_PX + 8
        size = _LARGE_PX if fits else _SMALL_PX
        extent = np.array([draw.textlength(text, font(size)) + 2, size + 1])
        place = _around(centre, extent)
        if not fits:
            beside = (p for p in _beside(boxes[index], extent) if _inside(p, picture.size))
            taken = np.vstack([others, written])
            place = next((p for p in beside if not _meets(p, taken)), place)
        if _meets(place, written):
            continue
        written = np.vstack([written, place])
        where = (round((place[0] + place[2]) / 2), round((place[1] + place[3]) / 2))
        white, black = (255, 255, 255), (0, 0, 0)
        draw.text(where, text, white, font(size), anchor="mm", stroke_width=2, stroke_fill=black)


def _around(centre: NDArray[np.float64], extent: NDArray[np.float64]) -> _Rectangle:
    (x, y), (w, h) = centre, extent / 2
    return x - w, y - h, x + w, y + h


def _beside(box: NDArray[np.float64], extent: NDArray[np.float64]) -> Iterator[_Rectangle]:
    """Places above, right of, below and left of a box."""
    middle = (box[:2] + box[2:]) / 2
    reach = (box[2:] - box[:2] + extent) / 2 + 2
    for direction in ((0, -1), (1, 0), (0, 1), (-1, 0)):
        yield _around(middle + reach * np.array(direction), extent)


def _inside(place: _Rectangle, size: tuple[int, int]) -> bool:
    x0, y0, x1, y1 = place
    return x0 >= 0 and y0 >= 0 and x1 <= size[0] and y1 <= size[1]


def _meets(place: _Rectangle, boxes: NDArray[np.float64]) -> bool:
    x0, y0, x1, y1 = place
    return bool(
        np.any((boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0))
    )
