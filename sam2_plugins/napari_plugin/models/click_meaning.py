"""What a click means, by where it lands: one cell a click, a click on a mask selects its object."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot
from typing import Literal, TypeAlias

import numpy as np
from scipy.ndimage import distance_transform_edt

from sam2_plugins.core.masks import ObjectMask

Meaning: TypeAlias = 'Literal["refine", "new"] | int'
"""Prompt the selected object, begin another one, or select the one of this label."""

WELL_OUTSIDE = 0.35
"""In widths of a fresh object's mask: from so far beside it on, a click is on another cell."""
A_MISS = 2.0
"""Pixels by which a click may miss a thin object."""


def meaning_of_click(
    x: float, y: float, masks: Mapping[int, ObjectMask], selected: int | None, fresh: bool
) -> Meaning:
    """Return the meaning of a positive click.

    Parameters
    ----------
    masks
        Of the frame, by label.
    fresh
        The selected object has no more than one click, on this frame: what is corrected or
        tracked already is more likely to be corrected again.
    """
    mine = masks.get(selected) if selected is not None else None
    if selected is not None and (mine is None or not mine.visible or _covers(mine, x, y)):
        return "refine"
    others = [label for label, mask in masks.items() if label != selected and _covers(mask, x, y)]
    if others:
        return min(others, key=lambda label: masks[label].area)
    if mine is None:
        return "new"
    # Of the widest circle inside: rods that lie side by side are near each other for their area.
    width = 2 * float(distance_transform_edt(np.pad(mine.crop, 1)).max())
    well_outside = _distance(mine, x, y) > max(WELL_OUTSIDE * width, A_MISS)
    return "new" if fresh and well_outside else "refine"


def _covers(mask: ObjectMask, x: float, y: float) -> bool:
    return bool(mask.around(x + 0.5, y + 0.5, 0).any())


def _distance(mask: ObjectMask, x: float, y: float) -> float:
    """Pixels from a point to the nearest pixel of a mask."""
    rows, columns = np.nonzero(mask.crop)
    dx, dy = columns + mask.offset[0] - x, rows + mask.offset[1] - y
    nearest = int(np.argmin(dx**2 + dy**2))
    return hypot(float(dx[nearest]), float(dy[nearest]))
