"""Regions of an image that enclose an area, by their values: from and to masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.labelstudio_backend.formats import bitmask, brush, geometry
from sam2_plugins.labelstudio_backend.formats.geometry import FrameSize

POLYGON_TOLERANCE = 0.7
"""Pixels by which a polygon may leave the mask: fewer points, and easier to correct by hand."""


AREAS = {"imageDataURL", "rle", "points", "radiusX", "vertices"}
"""Keys of values that enclose an area, or may."""


def mask_of(value: Mapping[str, Any], size: FrameSize) -> ObjectMask | None:
    """Read the mask of a region that encloses an area; None for a box, a click or a line.

    Raises
    ------
    FormatError
        If it is damaged.
    """
    if "imageDataURL" in value:
        return ObjectMask.from_array(bitmask.decode(str(value["imageDataURL"]), *size))
    if "rle" in value:
        return ObjectMask.from_array(brush.decode(value["rle"] or [], *size))
    if "points" in value:
        return geometry.mask_of_polygon(value["points"], size)
    if "radiusX" in value:
        return geometry.mask_of_ellipse(value, size)
    if value.get("closed") and "vertices" in value:
        height, width = size
        ring = np.array(geometry.vertices(value, size)) + 0.5
        return geometry.mask_of_polygon(ring * 100 / (width, height), size)
    return None


def value_of(mask: ObjectMask, shape: str) -> dict[str, Any]:
    """Return the value of a region of a shape with a mask; a box for every other shape."""
    if shape == "brush":
        return {"format": "rle", "rle": brush.encode(mask.to_array())}
    if shape == "bitmask":
        return {"imageDataURL": bitmask.encode(mask.to_array())}
    if shape == "polygon":
        return {"points": geometry.polygon(mask, POLYGON_TOLERANCE), "closed": True}
    if shape == "ellipse":
        return geometry.ellipse(mask)
    x, y, width, height = geometry.percent_box(mask.box or (0, 0, 0, 0), mask.frame_size)
    return {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
