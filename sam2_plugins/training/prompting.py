"""Prompts as a person would give them, simulated from the true mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sam2_plugins.core.model.prompt_encoder import BACKGROUND, FOREGROUND

BOX_JITTER = 0.08


def click_inside(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Pick a pixel (x, y) well inside a mask [H, W]: often its innermost, else one half as deep."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    deep = depth >= depth.max() * rng.choice([0.99, 0.5, 0.2], p=[0.5, 0.35, 0.15])
    ys, xs = np.nonzero(deep)
    pick = rng.integers(len(ys))
    return float(xs[pick]), float(ys[pick])


def box_around(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Corners [[x0, y0], [x1, y1]] of a box drawn by hand around a mask."""
    ys, xs = np.nonzero(mask)
    corners = np.array([[xs.min(), ys.min()], [xs.max(), ys.max()]], float)
    side = corners[1] - corners[0] + 1
    jitter: np.ndarray = rng.normal(0, BOX_JITTER / 2, (2, 2)).clip(-0.15, 0.15)
    return np.asarray(corners + jitter * side)


def correction(
    wanted: np.ndarray, got: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[float, float], int]:
    """Click in the largest wrong region, or inside the object: (x, y) and its label."""
    wrong = wanted ^ got
    regions, count = ndimage.label(wrong)
    if count == 0:
        target = wanted if wanted.any() else ~wanted
        return click_inside(target, rng), FOREGROUND if wanted.any() else BACKGROUND
    largest = regions == 1 + np.argmax(np.bincount(regions.ravel())[1:])
    x, y = click_inside(largest, rng)
    return (x, y), FOREGROUND if wanted[int(y), int(x)] else BACKGROUND
