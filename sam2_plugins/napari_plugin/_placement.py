"""Every layer that is added lies where the image lies: scale, units and axes are copied."""

from __future__ import annotations

from typing import Any


def placement_of(image: Any) -> dict[str, Any]:
    """Arguments for a new layer with the coordinates of an image layer."""
    placed = {
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
    }
    for name in ("units", "axis_labels"):  # napari 0.5.4 and newer
        if hasattr(image, name):
            placed[name] = getattr(image, name)
    return placed


def pixel_size(image: Any) -> tuple[float, float, str]:
    """Height and width of a pixel, and their unit ("px" if the image does not say)."""
    height, width = (float(n) for n in image.scale[-2:])
    unit = getattr(image, "units", ("pixel",))[-1]
    return height, width, "px" if str(unit) == "pixel" else f"{unit:~}"
