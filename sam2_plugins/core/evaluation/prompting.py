"""Simulated prompts from the truth: a first prompt, or a click where a mask is wrong."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from scipy import ndimage

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.prompts import Prompt

PromptKind: TypeAlias = Literal["mask", "click", "box"]
PROMPT_KINDS: tuple[PromptKind, ...] = ("mask", "click", "box")


def prompt_from_mask(kind: PromptKind, frame: int, obj: ObjectId, mask: ObjectMask) -> Prompt:
    """Return a prompt for a true mask: a click at its innermost pixel, its box, or the mask itself.

    Raises
    ------
    PromptError
        If the mask is empty.
    """
    if mask.box is None:
        raise PromptError(f"Object {obj!r} is not on frame {frame}: there is nothing to prompt.")
    if kind == "click":
        return Prompt.of(frame, obj, points=[innermost_pixel(mask)])
    if kind == "box":
        return Prompt.of(frame, obj, box=mask.box)
    return Prompt.of(frame, obj, mask=mask)


def innermost_pixel(mask: ObjectMask) -> tuple[int, int]:
    """Return the pixel (x, y) of a mask that is farthest from the mask's outline."""
    return _deepest(mask)[1]


def next_click(truth: ObjectMask, found: ObjectMask | None) -> tuple[tuple[int, int], int] | None:
    """Choose the click that corrects a mask, as the SAM 2 paper simulates it.

    It goes to the pixel deepest in the wrong region: on what is missing (label 1), or on what is
    too much (label 0).

    Returns
    -------
    (x, y) and the label; None if nothing is wrong.
    """
    if found is None:
        found = ObjectMask.empty(truth.frame_size)
    missing, excess = _without(truth, found), _without(found, truth)
    if not missing.visible and not excess.visible:
        return None
    depth, pixel = _deepest(missing)
    other_depth, other_pixel = _deepest(excess)
    return (pixel, 1) if depth >= other_depth else (other_pixel, 0)


def _without(mask: ObjectMask, other: ObjectMask) -> ObjectMask:
    """Pixels of a mask that another one does not have."""
    if mask.box is None:
        return mask
    return ObjectMask(mask.crop & ~other.window(mask.box), mask.offset, mask.frame_size)


def _deepest(mask: ObjectMask) -> tuple[float, tuple[int, int]]:
    """Depth and place of the pixel that is farthest from the mask's outline."""
    if not mask.visible:
        return 0.0, (0, 0)
    depth = ndimage.distance_transform_edt(np.pad(mask.crop, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    pixel = mask.offset[0] + int(column), mask.offset[1] + int(row)
    return float(depth[row, column]), pixel
