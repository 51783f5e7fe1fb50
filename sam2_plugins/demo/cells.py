"""A dozen cells to prompt, found without a model: bright, apart from the others, spread out.

A person who tries the tracker would pick such cells by eye. The rules are fixed, so that the demo
shows the same cells every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import regionprops

from sam2_plugins.core.evaluation import PromptKind, prompt_from_mask
from sam2_plugins.core.masks import ObjectMask, split_label_image
from sam2_plugins.core.prompts import Prompt

SOLID = 0.92
"""A single nucleus is convex: this share of its convex hull at least."""

SIZES = (0.6, 1.6)
"""Areas that are taken, over the median of all: neither debris nor clumps."""

ROOMS = (0.9, 0.7, 0.5, 0.3)
"""Free distance to the next nucleus, and to the frame's border, in diameters: as much as possible
while there are enough cells to choose from."""

PROMPTS: tuple[PromptKind, ...] = ("click", "box")
"""What the cells are prompted with, in turn."""


def choose_prompts(image: NDArray[np.uint8], count: int = 12) -> list[Prompt]:
    """Prompt cells of frame 0, the odd ones with a click, the even ones with a box.

    Parameters
    ----------
    image
        uint8 [H, W, 3] or [H, W] of bright cells on a dark ground.
    count
        At most so many; fewer if there are not enough good ones.

    Returns
    -------
    list of Prompt
        Of objects 1, 2, …, from the top of the frame to its bottom.
    """
    cells = sorted(_spread(_good_cells(image, count), count), key=lambda cell: cell.offset[1])
    return [
        prompt_from_mask(PROMPTS[index % len(PROMPTS)], 0, index + 1, cell)
        for index, cell in enumerate(cells)
    ]


def _good_cells(image: NDArray[np.uint8], enough: int) -> list[ObjectMask]:
    """Nuclei that stand alone, the brightest first."""
    grey = np.asarray(image, np.float32)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    smooth = gaussian(grey, 1.5)
    labels, _ = ndimage.label(smooth > threshold_otsu(smooth))
    regions = regionprops(labels, smooth)
    if not regions:
        return []
    typical = float(np.median([region.area for region in regions]))
    diameter = 2 * np.sqrt(typical / np.pi)
    single = [region for region in regions if _is_single(region, typical)]
    apart: list[Any] = []
    for room in ROOMS:
        apart = [r for r in single if _has_room(r, labels, round(room * diameter))]
        if len(apart) >= enough:
            break
    apart.sort(key=lambda region: -region.intensity_mean)
    masks = split_label_image(labels)
    return [masks[region.label] for region in apart]


def _is_single(region: Any, typical: float) -> bool:
    low, high = SIZES
    return bool(low * typical <= region.area <= high * typical and region.solidity >= SOLID)


def _has_room(region: Any, labels: NDArray[Any], room: int) -> bool:
    """Whether neither another region nor the frame's border is within `room` pixels."""
    y0, x0, y1, x1 = region.bbox
    height, width = labels.shape
    if min(y0, x0, height - y1, width - x1) < room:
        return False
    around = labels[y0 - room : y1 + room, x0 - room : x1 + room]
    near = ndimage.distance_transform_edt(around != region.label) < room
    return bool(np.isin(around[near], (0, region.label)).all())


def _spread(cells: Sequence[ObjectMask], count: int) -> list[ObjectMask]:
    """Take the first cell, then each time the one that is farthest from all that were taken."""
    if not cells:
        return []
    centres = np.array([cell.centroid for cell in cells])
    taken = [0]
    while len(taken) < min(count, len(cells)):
        gaps = np.linalg.norm(centres[:, None] - centres[taken], axis=2).min(axis=1)
        taken.append(int(gaps.argmax()))
    return [cells[index] for index in taken]
