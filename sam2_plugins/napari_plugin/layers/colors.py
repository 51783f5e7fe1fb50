"""One colour an object, the same in masks, outlines, table, tracks and plots."""

from __future__ import annotations

from colorsys import hsv_to_rgb
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0.381966
"""Of the circle of hues: however many there are, neighbours in number are far apart in hue."""
_STRENGTHS = ((0.78, 1.0), (0.55, 1.0), (0.95, 0.92))
"""Saturation and value, in turn: to stand out from grey, and from black."""
COLORS = 60


@cache
def palette() -> NDArray[np.float64]:
    """RGBA [1 + COLORS, 4]: nothing for the background, then the colours of labels 1, 2, …"""
    rows = [(0.0, 0.0, 0.0, 0.0)]
    for i in range(COLORS):
        saturation, value = _STRENGTHS[i % len(_STRENGTHS)]
        rows.append((*hsv_to_rgb((0.35 + i * _GOLDEN) % 1, saturation, value), 1.0))
    return np.array(rows)


def color_of(label: int) -> NDArray[np.float64]:
    """RGBA of an object, 0 to 1."""
    return palette()[(label - 1) % COLORS + 1]


def label_colormap() -> Any:
    """The colours for a Labels layer of napari."""
    from napari.utils import CyclicLabelColormap

    return CyclicLabelColormap(colors=palette())


class TrackColors:
    """The colours for a Tracks layer, whose ids are labels."""

    name = "labels"

    def map(self, values: Any) -> NDArray[np.float64]:
        """RGBA [n, 4] of track ids [n]."""
        return palette()[(np.asarray(values, int) - 1) % COLORS + 1]
