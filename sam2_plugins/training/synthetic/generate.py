"""The one door to the generator."""

from __future__ import annotations

import numpy as np

from .clip import Clip
from .microscopy import SPECIMENS, micrograph
from .natural import natural_clip

KINDS: tuple[str, ...] = (*SPECIMENS, "texture")

# What is harder to tell apart is made more often; natural objects differ the most.
_WEIGHTS = {"microcolony": 2.0, "dic": 1.5, "spread": 1.5, "texture": 3.0}

# A first frame needs an object of this share of its area, or there is nothing to prompt.
_LEAST_AREA = 0.0015


def make_clip(
    rng: np.random.Generator,
    size: int | tuple[int, int] = 256,
    frames: int = 8,
    kind: str | None = None,
) -> Clip:
    """Make a random clip; the same state of `rng` makes the same clip.

    Parameters
    ----------
    rng
        Source of all randomness.
    size
        Side of the frames, or (height, width), in pixels.
    frames
        Number of frames.
    kind
        One of `KINDS`; drawn at random when None.

    Returns
    -------
    Clip
        At least one of its objects covers 0.15 % of the first frame or more.

    Raises
    ------
    ValueError
        If `kind` is not in `KINDS`.
    """
    shape = (size, size) if isinstance(size, int) else size
    if kind is not None and kind not in KINDS:
        raise ValueError(f"no kind of clip is called {kind!r}; choose one of {', '.join(KINDS)}")
    chosen = kind or KINDS[int(rng.choice(len(KINDS), p=_shares()))]
    while True:
        if chosen == "texture":
            clip = natural_clip(rng, shape, frames)
        else:
            clip = micrograph(rng, shape, frames, chosen)
        areas = np.bincount(clip.labels[0].ravel(), minlength=2)[1:]
        if areas.max() >= _LEAST_AREA * shape[0] * shape[1]:
            return clip


def _shares() -> list[float]:
    """Share of each of `KINDS`."""
    weights = [_WEIGHTS.get(kind, 1.0) for kind in KINDS]
    return [weight / sum(weights) for weight in weights]
