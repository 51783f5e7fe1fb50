"""Movies of bars: per frame, label to the columns that it covers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Bars = Mapping[int, tuple[int, int]]


def scene(*frames: Bars) -> np.ndarray:
    """uint16 [T, 8, 40]: bars of full height but for a row above and below."""
    movie = np.zeros((len(frames), 8, 40), np.uint16)
    for image, bars in zip(movie, frames, strict=True):
        for label, (begin, end) in bars.items():
            image[1:7, begin:end] = label
    return movie


MOTHER = {1: (10, 20), 9: (30, 36)}
DAUGHTERS = {2: (9, 15), 3: (15, 21), 9: (30, 36)}
DIVISION = scene(MOTHER, MOTHER, DAUGHTERS, DAUGHTERS, DAUGHTERS)
"""Object 1 divides into 2 and 3 on frame 2; 9 is there all the time."""
