"""Clips of one picture that drifts, turns, grows and bends, with any regions of it to follow.

Nothing in the picture tells where a region ends, unless it happens to be a cell: the outline is
known from the mask that was given, and must be drawn again as it was.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from .bodies import cut_patch
from .clip import Clip
from .noise import Field, drifting, log_uniform, smooth_field, white_noise
from .photos import Photos
from .shapes import Pose, blob, spread_cell
from .tiles import surface

_BORDER = 1.3
"""The picture is so much larger than the frame, so that there is something beyond its edges."""

_MOST = 8


def region_clip(
    rng: np.random.Generator,
    size: tuple[int, int],
    frames: int,
    still: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None,
    photos: Photos | None,
) -> Clip:
    """One clip.

    Parameters
    ----------
    still
        A micrograph [H, W, 3] with its labels, `_BORDER` times as large as the frame, whose cells,
        pairs, halves and surroundings are followed; other surfaces if None.
    """
    shape = canvas_shape(size)
    if still is None:
        image = photos.surface(rng, shape) if photos else surface(rng, shape)
        cells = np.zeros(shape, np.uint8)
    else:
        image, cells = np.asarray(still[0] / np.float32(255), np.float32), still[1]
    labels = _regions(rng, cells, size)
    layers = torch.from_numpy(np.concatenate((image, labels[..., None]), 2)).permute(2, 0, 1)[None]
    movie = np.zeros((frames, *size, 3), np.uint8)
    truth = np.zeros((frames, *size), np.uint8)
    noise, flicker = log_uniform(rng, 0.002, 0.04), float(rng.choice([0.0, 0.02, 0.06]))
    grey = still is not None
    for frame, grid in enumerate(_grids(rng, size, shape, frames)):
        seen = F.grid_sample(layers[:, :3], grid, align_corners=True, padding_mode="reflection")
        part = F.grid_sample(layers[:, 3:], grid, "nearest", align_corners=True)
        light = seen[0].permute(1, 2, 0).numpy() * np.float32(1 + flicker * rng.standard_normal())
        light = light + np.float32(noise) * white_noise(rng, (*size, 1 if grey else 3))
        movie[frame] = (np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8)
        truth[frame] = part[0, 0].numpy().astype(np.uint8)
    return Clip(movie, truth, "region")


def canvas_shape(size: tuple[int, int]) -> tuple[int, int]:
    """Shape of the picture behind a frame."""
    return round(size[0] * _BORDER), round(size[1] * _BORDER)


def _regions(rng: np.random.Generator, cells: NDArray[np.uint8], size: tuple[int, int]) -> Field:
    """Labels [H, W] of regions, later ones before earlier ones."""
    labels = np.zeros(cells.shape, np.float32)
    present = np.unique(cells)[1:]
    for label in range(1, int(rng.integers(2, _MOST + 1))):
        region = None
        if len(present) and rng.random() < 0.7:
            region = _of_cells(rng, cells, present)
        if region is None or not region.any():
            region = _anywhere(rng, cells.shape, min(size))
        labels[region] = label
    return labels


def _of_cells(
    rng: np.random.Generator, cells: NDArray[np.uint8], present: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """A cell, perhaps with a neighbour, cut in two, or with a wider or narrower outline."""
    one = cells == rng.choice(present)
    kind = int(rng.integers(4))
    if kind == 1:
        around = np.unique(cells[ndimage.binary_dilation(one, iterations=4)])
        one = one | (cells == around[-1]) if around[-1] else one
    elif kind == 2:
        rows, columns = np.nonzero(one)
        angle = rng.uniform(0, 2 * np.pi)
        y = np.arange(cells.shape[0])[:, None] - rows.mean()
        x = np.arange(cells.shape[1])[None] - columns.mean()
        one = one & (np.cos(angle) * x + np.sin(angle) * y > 0)
    elif kind == 3:
        steps = int(rng.integers(1, 5))
        change = ndimage.binary_dilation if rng.random() < 0.5 else ndimage.binary_erosion
        one = change(one, iterations=steps)
    return np.asarray(one)


def _anywhere(rng: np.random.Generator, shape: tuple[int, ...], side: int) -> NDArray[np.bool_]:
    """A blob that has nothing to do with the picture."""
    radius = log_uniform(rng, 0.04, 0.2) * side
    outline = blob(rng, 1, 0.15, rng.uniform(1, 3)) if rng.random() < 0.6 else spread_cell(rng, 1)
    y, x = (length * rng.uniform(0.2, 0.8) for length in shape[:2])
    region = np.zeros(shape[:2], bool)
    pose = Pose(x, y, rng.uniform(0, 2 * np.pi), radius)
    patch = cut_patch(outline, pose, 0, (shape[0], shape[1]))
    if patch is not None:
        region[patch.box] = patch.depth > 0
    return region


def _grids(
    rng: np.random.Generator, size: tuple[int, int], shape: tuple[int, int], frames: int
) -> list[torch.Tensor]:
    """Where in the picture each pixel of each frame is: [1, H, W, 2] from -1 to 1."""
    y, x = np.meshgrid(
        np.linspace(-1, 1, size[0], dtype=np.float32) / np.float32(shape[0] / size[0]),
        np.linspace(-1, 1, size[1], dtype=np.float32) / np.float32(shape[1] / size[1]),
        indexing="ij",
    )
    lively = log_uniform(rng, 0.1, 1.0)
    clock = np.arange(frames)
    drift = (
        lively * 0.03 * (clock[:, None] * rng.normal(0, 1, 2) + drifting(rng, frames, (2,), 0.5))
    )
    drift = np.clip(drift, -0.25, 0.25)
    turn = lively * 0.04 * (clock * rng.normal() + drifting(rng, frames, (), 0.7))
    growth = np.clip(lively * 0.03 * clock * rng.normal(), -0.35, 0.35)
    bumps = rng.uniform(1.5, 6)
    bends = [np.stack([smooth_field(rng, size, bumps) for _ in range(2)]) for _ in range(2)]
    strength = lively * log_uniform(rng, 0.003, 0.05) * drifting(rng, frames, (2,), 0.9)
    strength -= strength[:1] * (rng.random() < 0.5)
    grids = []
    for frame in range(frames):
        bend = strength[frame, 0] * bends[0] + strength[frame, 1] * bends[1]
        scale = np.float32(np.exp(-growth[frame]))
        cos, sin = np.float32(np.cos(turn[frame])), np.float32(np.sin(turn[frame]))
        u = scale * (cos * x + sin * y) + np.float32(drift[frame, 0]) + bend[0]
        v = scale * (cos * y - sin * x) + np.float32(drift[frame, 1]) + bend[1]
        grids.append(torch.from_numpy(np.stack((u, v), -1).astype(np.float32))[None])
    return grids
