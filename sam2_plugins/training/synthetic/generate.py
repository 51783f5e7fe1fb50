"""The one door to the generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clip import Clip
from .microscopy import SPECIMENS, micrograph
from .natural import natural_clip
from .photos import Photos
from .region import canvas_shape, region_clip

KINDS: tuple[str, ...] = (*SPECIMENS, "texture", "region")

MASK_ONLY = frozenset({"region"})
"""Kinds whose objects are known by a mask alone: no click or box could tell what is meant."""

# What is harder to tell apart is made more often; natural objects differ the most.
_WEIGHTS = {"microcolony": 2.0, "dic": 1.5, "spread": 1.5, "texture": 3.0, "region": 3.0}
_SHARES = np.array([_WEIGHTS.get(kind, 1.0) for kind in KINDS])
_SHARES /= sum(_SHARES)

# A first frame needs an object of this share of its area, or there is nothing to prompt.
_LEAST_AREA = 0.0015


def make_clip(
    rng: np.random.Generator,
    size: int | tuple[int, int] = 256,
    frames: int = 8,
    kind: str | None = None,
    photos: Photos | None = None,
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
    photos
        Photographs from which natural clips may take their surfaces.

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
    chosen = kind or KINDS[int(rng.choice(len(KINDS), p=_SHARES))]
    while True:
        if chosen == "texture":
            clip = natural_clip(rng, shape, frames, photos)
        elif chosen == "region":
            clip = region_clip(rng, shape, frames, _still(rng, shape), photos)
        else:
            clip = micrograph(rng, shape, frames, chosen)
        areas = np.bincount(clip.labels[0].ravel(), minlength=2)[1:]
        if areas.max() >= _LEAST_AREA * shape[0] * shape[1]:
            return clip


def _still(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """A micrograph and its labels, or nothing, for a clip of regions."""
    if rng.random() < 0.35:
        return None
    specimen = list(SPECIMENS)[int(rng.integers(len(SPECIMENS)))]
    clip = micrograph(rng, canvas_shape(size), 1, specimen)
    return clip.frames[0], clip.labels[0]
