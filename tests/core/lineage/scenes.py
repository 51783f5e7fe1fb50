"""Label images as proposals, in a movie that shows them: what is proposed is known exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.lineage import LineageTracker, from_label_images
from sam2_plugins.core.tracking.tracker import VideoTracker
from tests.support.movies import disc

Labels = NDArray[np.uint8]
SIZE = (96, 128)
CELL, SECOND = (40, 32, 12), (70, 108, 12)


def scene(discs: Sequence[tuple[int, int, int]]) -> Labels:
    """Discs (y, x, radius), numbered from 1."""
    labels = np.zeros(SIZE, np.uint8)
    for number, (y, x, radius) in enumerate(discs, 1):
        labels[disc(SIZE, (x, y), radius)] = number
    return labels


def lineage_of(labels: Sequence[Labels], shown: Sequence[Labels] | None = None) -> LineageTracker:
    """Keep up with labels, in a movie that shows them, or others."""
    rng = np.random.default_rng(0)
    light = [ndimage.gaussian_filter((one > 0) * 150.0, 1) for one in shown or labels]
    movie = np.stack([rng.normal(40, 4, SIZE) + one for one in light]).clip(0, 255)
    tracker = VideoTracker(cached_model("nano", "cpu", 128), movie.astype(np.uint8))
    return LineageTracker(tracker, from_label_images(labels))


def dividing(before: int = 3, after: int = 5) -> list[Labels]:
    """A long cell that falls into two halves."""
    whole = scene([(40, 34, 13), (40, 50, 13)]) > 0
    halves = scene([(40, 30, 11), (40, 56, 11), SECOND])
    other = scene([SECOND]) > 0
    mother = whole * np.uint8(1) + other * np.uint8(3)
    return [mother] * before + [halves] * after
