"""Clips for the tests, each made once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sam2_plugins.training.synthetic import Clip, make_clip


@lru_cache(maxsize=256)
def clip_of(seed: int, kind: str, size: int | tuple[int, int] = 64, frames: int = 8) -> Clip:
    return make_clip(np.random.default_rng(seed), size, frames, kind)


def frames_of(labels: np.ndarray, label: int) -> list[int]:
    """The frames in which an object can be seen."""
    return [t for t, frame in enumerate(labels) if (frame == label).any()]
