"""Percent of the picture to pixels and back, for points, rectangles and polygons.

Label Studio's coordinates are percent of the picture's width and height, and pixels span
[i, i + 1]: the right edge of the last one is 100 %. A rectangle turns around its top left corner,
clockwise, in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.polygons import ring_area
from sam2_plugins.labelstudio_backend.errors import FormatError

FrameSize: TypeAlias = tuple[int, int]
"""Height and width in pixels."""
Box: TypeAlias = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, ends exclusive."""
PercentBox: TypeAlias = tuple[float, float, float, float]
"""x, y of the top left corner, width, height in percent of the picture."""


def number(value: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """Return a finite number of a region's value.

    Raises
    ------
    FormatError
        If it is missing and there is no default, or it is no finite number.
    """
    found = value.get(key, default)
    try:
        if not isinstance(found, bool) and isinstance(found, int | float) and math.isfinite(found):
            return float(found)
    except OverflowError:
        found = "an integer beyond all floats"
    raise FormatError(f"A region's {key!r} is {found!r} instead of a number.")


def to_pixels(value: Mapping[str, Any], size: FrameSize) -> Box:
    """Return the upright box around a rectangle of percents, which may be turned."""
    x, y, width, height = (number(value, key) for key in ("x", "y", "width", "height"))
    return upright((x, y, width, height), number(value, "rotation", 0), size)


def upright(rectangle: PercentBox, rotation: float, size: FrameSize) -> Box:
    """Return the upright box around a rectangle that is turned by so many degrees."""
    height, width = size
    x, y, w, h = (a * b / 100 for a, b in zip(rectangle, (width, height) * 2, strict=True))
    angle = math.radians(rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    xs = [x + dx * cos - dy * sin for dx, dy in ((0, 0), (w, 0), (0, h), (w, h))]
    ys = [y + dx * sin + dy * cos for dx, dy in ((0, 0), (w, 0), (0, h), (w, h))]
    return min(xs), min(ys), max(xs), max(ys)


def meets(box: Box, size: FrameSize) -> bool:
    """Whether a box has a part of the picture in it."""
    (height, width), (x0, y0, x1, y1) = size, box
    return max(x0, 0) < min(x1, width) and max(y0, 0) < min(y1, height)


def percent_box(box: Sequence[float], size: FrameSize) -> PercentBox:
    """Return a pixel box in percent."""
    (height, width), (x0, y0, x1, y1) = size, box
    x, y, w, h = x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height
    return x * 100, y * 100, w * 100, h * 100


def point(value: Mapping[str, Any], size: FrameSize) -> tuple[float, float]:
    """Return the (x, y) of a key point in pixels whose centres are at whole numbers."""
    height, width = size
    return number(value, "x") * width / 100 - 0.5, number(value, "y") * height / 100 - 0.5


def box_of_ellipse(value: Mapping[str, Any], size: FrameSize) -> Box:
    """Return the upright box around an ellipse of percents, which may be turned."""
    height, width = size
    x, y = number(value, "x") * width / 100, number(value, "y") * height / 100
    a, b = number(value, "radiusX") * width / 100, number(value, "radiusY") * height / 100
    angle = math.radians(number(value, "rotation", 0))
    dx = math.hypot(a * math.cos(angle), b * math.sin(angle))
    dy = math.hypot(a * math.sin(angle), b * math.cos(angle))
    return x - dx, y - dy, x + dx, y + dy


def mask_of_ellipse(value: Mapping[str, Any], size: FrameSize) -> ObjectMask:
    """Fill an ellipse of percents, which may be turned."""
    height, width = size
    x, y = point(value, size)
    a, b = number(value, "radiusX") * width / 100, number(value, "radiusY") * height / 100
    angle = math.radians(number(value, "rotation", 0))
    cos, sin = math.cos(angle), math.sin(angle)
    ys, xs = np.mgrid[:height, :width]
    along, across = (xs - x) * cos + (ys - y) * sin, (ys - y) * cos - (xs - x) * sin
    return ObjectMask.from_array((along * b) ** 2 + (across * a) ** 2 <= (a * b) ** 2)


def ellipse(mask: ObjectMask) -> dict[str, float]:
    """Return the ellipse of percents with the place, extent and direction of a mask."""
    height, width = mask.frame_size
    ys, xs = np.nonzero(mask.crop)
    x, y = xs.mean() + mask.offset[0] + 0.5, ys.mean() + mask.offset[1] + 0.5
    # Of a pixel itself, the variance is 1/12; of an ellipse, a quarter of each half axis squared.
    spread = np.cov(np.stack([xs, ys]).astype(float), bias=True) + np.eye(2) / 12
    (minor, major), directions = np.linalg.eigh(spread)
    angle = math.degrees(math.atan2(directions[1, 1], directions[0, 1]))
    return {
        "x": float(x * 100 / width),
        "y": float(y * 100 / height),
        "radiusX": float(2 * math.sqrt(major) * 100 / width),
        "radiusY": float(2 * math.sqrt(minor) * 100 / height),
        "rotation": angle % 360,
    }


def vertices(value: Mapping[str, Any], size: FrameSize) -> tuple[tuple[float, float], ...]:
    """Return the (x, y) of a vector's vertices, as `point` does."""
    found = value.get("vertices")
    if not isinstance(found, Sequence) or not found:
        raise FormatError("A vector region has no vertices.")
    return tuple(point(one, size) for one in found if isinstance(one, Mapping))


def polygon(mask: ObjectMask, tolerance: float) -> list[list[float]]:
    """Return the outline of a mask's largest part as a polygon of percents; holes are filled."""
    rings = mask.to_polygons(tolerance)
    if not rings:
        return []
    height, width = mask.frame_size
    largest = max(rings, key=ring_area)
    return ((largest + 0.5) / (width, height) * 100).tolist()


def mask_of_polygon(points: Any, size: FrameSize) -> ObjectMask:
    """Fill a polygon of percents."""
    height, width = size
    try:
        ring = np.asarray(points, dtype=float) * (width, height) / 100 - 0.5
        return ObjectMask.from_polygons([ring], size)
    except (ValueError, TypeError) as error:
        raise FormatError(f"A polygon region is damaged: {error}") from error
