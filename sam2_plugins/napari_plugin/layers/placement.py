"""The place of an image layer in the world, which the layers that belong to it share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine")
_NAMED = ("units", "axis_labels")  # napari 0.5.4 and newer


def placement_of(image: Any) -> dict[str, Any]:
    """Arguments for a new layer with the coordinates of an image layer."""
    return {name: getattr(image, name) for name in (*_TRANSFORMS, *_NAMED) if hasattr(image, name)}


def keep_placed(image: Any, layers: Callable[[], Iterable[Any]]) -> Callable[[], None]:
    """Move layers whenever their image is moved, scaled or turned; returns what ends that."""

    def follow(event: Any = None) -> None:
        for layer in layers():
            for name, value in placement_of(image).items():
                setattr(layer, name, value)

    events = [
        event
        for name in _TRANSFORMS + _NAMED
        if (event := getattr(image.events, name, None)) is not None
    ]
    for event in events:
        event.connect(follow)

    def end() -> None:
        for event in events:
            event.disconnect(follow)

    return end


def pixel_size(image: Any) -> tuple[float, float, str]:
    """Height and width of a pixel, and their unit: "px" for pixels, "unit" where scale has none."""
    height, width = steps_of(image)[-2:]
    unit = getattr(image, "units", ("pixel",))[-1]
    if str(unit) == "pixel":
        return height, width, "px" if np.allclose((height, width), 1) else "unit"
    return height, width, _symbol(unit)


def micrometres(image: Any) -> tuple[float, float] | None:
    """Micrometres per pixel (x, y); None if not known."""
    sizes = [_in(image, axis, "micrometer") for axis in (-1, -2)]
    return None if None in sizes else (sizes[0] or 0.0, sizes[1] or 0.0)


def time_step(image: Any, axis: int | None) -> float | None:
    """Seconds from one frame to the next; None if not known."""
    return None if axis is None else _in(image, axis, "second")


def step_along(image: Any, axis: int | None) -> tuple[float, str]:
    """Step from one frame to the next, and its unit; 1 and "" if not known."""
    units = getattr(image, "units", ())
    if axis is None or len(units) != image.ndim or str(units[axis]) == "pixel":
        return 1.0, ""
    return steps_of(image)[axis], _symbol(units[axis])


def _symbol(unit: Any) -> str:
    """Short name of a unit, with one sign for micro: Pint's was a Greek letter since 0.26."""
    return f"{unit:~}".replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")


def _in(image: Any, axis: int, unit: str) -> float | None:
    """Step along an axis in a unit; None if the axis is in another kind of unit, or in none."""
    units = getattr(image, "units", ())
    if len(units) != image.ndim or not units[axis].is_compatible_with(unit):
        return None
    return float((steps_of(image)[axis] * units[axis]).to(unit).magnitude)


def steps_of(layer: Any) -> tuple[float, ...]:
    """How far apart in the world two neighbours along each axis of a layer are."""
    matrix, _ = world_of(layer)
    return tuple(float(n) for n in np.linalg.norm(matrix, axis=0))


def world_of(layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix [n, n] and offset [n] from a layer's data to its world coordinates."""
    origin = np.asarray(layer.data_to_world((0.0,) * layer.ndim))
    columns = [np.asarray(layer.data_to_world(tuple(row))) - origin for row in np.eye(layer.ndim)]
    return np.stack(columns, axis=1), origin
