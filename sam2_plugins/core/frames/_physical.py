"""Units of time and length, as formats write them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_SECONDS: Mapping[str, float] = {
    "ns": 1e-9, "nanosecond": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6,
    "microsecond": 1e-6, "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0,
    "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0,
}  # fmt: skip
_MICROMETRES: Mapping[str, float] = {
    "å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "um": 1.0,
    "µm": 1.0, "μm": 1.0, "micron": 1.0, "micrometer": 1.0, "micrometre": 1.0, "mm": 1e3,
    "millimeter": 1e3, "millimetre": 1e3, "cm": 1e4, "centimeter": 1e4, "centimetre": 1e4,
    "m": 1e6, "meter": 1e6, "metre": 1e6, "inch": 25400.0,
}  # fmt: skip


def seconds(unit: object) -> float | None:
    """Return the seconds of a unit of time; None if it is none."""
    return _look_up(_SECONDS, unit)


def micrometres(unit: object) -> float | None:
    """Return the micrometres of a unit of length; None if it is none (a pixel is none)."""
    return _look_up(_MICROMETRES, unit)


def even_times(count: int, step: float) -> NDArray[np.float64] | None:
    """Return the seconds of frames at an even distance; None if the distance is none."""
    return np.arange(count, dtype=np.float64) * step if math.isfinite(step) and step > 0 else None


def _look_up(units: Mapping[str, float], unit: object) -> float | None:
    name = str(unit).strip().replace("\\u00B5", "µ").lower()
    return units.get(name, units.get(name.removesuffix("s")))
