"""Masks drawn on an image, for people."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from sam2_plugins.core.export.registry import Numbering
from sam2_plugins.core.masks import ObjectId, ObjectMask, PixelBox, back_to_front

Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]

_GOLDEN = 0.618033988749895


def colour_of(label: int) -> Colour:
    """Return the colour of a label: always the same, and far from those of its neighbours."""
    hue = (0.53 + label * _GOLDEN) % 1
    # Every second and third colour is paler or deeper, for hues that come close to one another.
    saturation, value = ((0.85, 1.0), (0.55, 1.0), (0.95, 0.85))[label % 3]
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def overlay(
    image: NDArray[np.uint8],
    masks: Mapping[ObjectId, ObjectMask],
    numbering: Numbering | None = None,
    scale: float = 1.0,
    view: PixelBox | None = None,
    alpha: float = 0.3,
    names: bool = True,
) -> Picture:
    """Draw masks over a frame: translucent, with a crisp outline and the object's id.

    Parameters
    ----------
    image
        uint8 [H, W], [H, W, 1] or [H, W, 3].
    masks
        Object id to mask, of the image's size.
    numbering
        Which label, and so which colour, an object has; made of the masks if None.
    scale
        Size of the picture over that of the frame.
    view
        The part of the frame to show, as x0, y0, x1, y1; all of it if None.
    alpha
        Opacity of the fill.
    names
        Whether to write the ids.

    Returns
    -------
    NDArray
        uint8 [h, w, 3].
    """
    numbering = numbering or Numbering(masks)
    colour_image = _as_rgb(image)
    height, width = colour_image.shape[:2]
    x0, y0, x1, y1 = view or (0, 0, width, height)
    size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    shown = Image.fromarray(colour_image[y0:y1, x0:x1])
    how = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    canvas = np.array(shown if shown.size == size else shown.resize(size, how))

    order = [(obj, masks[obj]) for obj in back_to_front(masks)]
    for obj, mask in order:
        _paint(canvas, mask, colour_of(numbering.label(obj)), (x0, y0, x1, y1), scale, alpha)
    if names:
        picture = Image.fromarray(canvas)
        write_names(picture, order, (x0, y0), scale)
        canvas = np.array(picture)
    return canvas


def _as_rgb(image: NDArray[np.uint8]) -> Picture:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(
            f"An overlay needs a uint8 image [H, W] or [H, W, 3], not {image.dtype} "
            f"{image.shape}: normalise it first, as open_frames does."
        )
    if image.ndim == 2:
        image = image[..., None]
    return np.ascontiguousarray(np.broadcast_to(image[..., :3], (*image.shape[:2], 3)))


def _paint(
    canvas: Picture, mask: ObjectMask, colour: Colour, view: PixelBox, scale: float, alpha: float
) -> None:
    """Fill one mask and draw its outline, in place."""
    if mask.box is None:
        return
    height, width = canvas.shape[:2]
    shift = np.array(view[:2] * 2)
    inner = (np.array(mask.box) - shift) * scale
    left, top = np.maximum(np.floor(inner[:2]).astype(int) - 2, 0)
    right, bottom = np.minimum(np.ceil(inner[2:]).astype(int) + 2, (width, height))
    if left >= right or top >= bottom:
        return
    # The mask is enlarged as a picture, so that its outline is smooth at any scale.
    source = np.array([left, top, right, bottom]) / scale + shift
    x0, y0 = (int(side) for side in np.floor(source[:2]) - 2)
    x1, y1 = (int(side) for side in np.ceil(source[2:]) + 2)
    grey = Image.fromarray(mask.window((x0, y0, x1, y1)).astype(np.uint8) * 255)
    part = (source[0] - x0, source[1] - y0, source[2] - x0, source[3] - y0)
    size = (int(right - left), int(bottom - top))
    inside = np.asarray(grey.resize(size, Image.Resampling.BILINEAR, box=part)) > 127
    thickness = 1 if min(inner[2:] - inner[:2]) < 24 else 2
    core = ndimage.binary_erosion(inside, iterations=thickness, border_value=1)
    region = canvas[top:bottom, left:right]
    blend = (1 - alpha) * region[core] + alpha * np.array(colour)
    region[core] = blend.round().astype(np.uint8)
    # Paler than the fill, so that dark hues show on a dark ground.
    region[inside & ~core] = 0.75 * np.array(colour) + 0.25 * 255


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
            taken, (right, bottom) = np.vstack([others, written]), picture.size
            beside = _beside(boxes[index], extent)
            within = (p for p in beside if min(p) >= 0 and p[2] <= right and p[3] <= bottom)
            place = next((p for p in within if not _meets(p, taken)), place)
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


def _meets(place: _Rectangle, boxes: NDArray[np.float64]) -> bool:
    x0, y0, x1, y1 = place
    return bool(
        np.any((boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0))
    )
