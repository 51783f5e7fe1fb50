"""Few keyframes for many boxes, and telling the model's keyframes from a person's.

A keyframe of ours carries a note of what it was when it was made. Label Studio keeps the note
through drafts, annotations and exports, even when a person moves the box, and copies it to the
keyframe that a person adds before it: so the note is compared with what the keyframe is now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.labelstudio_backend.formats.video_rectangle import (
    Keyframe,
    PercentBox,
    keyframe_dict,
)

NOTE = "sam2"
DIGITS = 4
"""Decimals of a percentage: a hundredth of a pixel of a frame of 10,000."""

TOLERANCE = 0.025
"""How far a side of the interpolated box may be from the tracked one, as share of its length."""
LEEWAY = 0.5
"""The same in pixels, which counts where it is more: a tracked box is a mask's, in whole pixels."""


def make_keyframe(
    frame: int, box: PercentBox, enabled: bool, rate: float, masks: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a keyframe of ours: its drawn part, and the note that tells it from a person's."""
    x, y, width, height = (round(side, DIGITS) for side in box)
    note: dict[str, Any] = {"frame": frame, "box": [x, y, width, height], "enabled": enabled}
    if masks:
        note["masks"] = dict(masks)
    return {**keyframe_dict(frame, (x, y, width, height), enabled, rate), NOTE: note}


def keep_keyframe(keyframe: Keyframe, masks: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a person's keyframe as it is, with a mask for it but no claim to it."""
    kept = {key: value for key, value in keyframe.raw.items() if key != NOTE}
    return {**kept, NOTE: {"masks": dict(masks)}} if masks else kept


def is_ours(keyframe: Keyframe) -> bool:
    """Whether the model made a keyframe and no one has touched it since."""
    note = keyframe.raw.get(NOTE)
    if not isinstance(note, Mapping) or not isinstance(note.get("box"), Sequence):
        return False
    made = np.array(note["box"], dtype=object)
    if made.shape != (4,) or not all(isinstance(side, int | float) for side in made):
        return False
    near = np.abs(made.astype(float) - keyframe.box).max() < 2 * 10**-DIGITS
    same = note.get("frame") == keyframe.frame and note.get("enabled") == keyframe.enabled
    return bool(near and same and keyframe.rotation == 0)


def thin(
    frames: NDArray[np.intp], corners: NDArray[np.float64], fixed: set[int], leeway: float
) -> list[int]:
    """Choose few of the boxes of one unbroken stretch, so that straight lines tell the others.

    Parameters
    ----------
    frames
        [n], rising by 1.
    corners
        x0, y0, x1, y1 on each, [n, 4].
    fixed
        Positions that are chosen anyway, a person's.
    leeway
        Allowed distance of a side in the unit of the corners, where `TOLERANCE` gives less.

    Returns
    -------
    list[int]
        Positions, the first and the last among them. On each stretch between two of them every
        side of every box is within the tolerance of the line.
    """
    extent = corners[:, [2, 3, 2, 3]] - corners[:, [0, 1, 0, 1]]
    allowed = np.maximum(TOLERANCE * extent, leeway)
    chosen = [0]
    while chosen[-1] < len(frames) - 1:
        start = chosen[-1]
        end = min((f for f in fixed if f > start), default=len(frames) - 1)
        chosen.append(_reach(frames, corners, allowed, start, end))
    return chosen


def _reach(
    frames: NDArray[np.intp],
    corners: NDArray[np.float64],
    allowed: NDArray[np.float64],
    start: int,
    end: int,
) -> int:
    """Return the furthest position, up to `end`, to which a line from `start` is close enough.

    Each box on the way leaves only some slopes for each side; a box that lies itself within what
    the others left can be the end of the line.
    """
    steps = (frames[start + 1 : end + 1] - frames[start])[:, None]
    slopes = (corners[start + 1 : end + 1] - corners[start]) / steps
    slack = allowed[start + 1 : end + 1] / steps
    low = np.maximum.accumulate(slopes - slack, axis=0)
    high = np.minimum.accumulate(slopes + slack, axis=0)
    fits = ((slopes >= low) & (slopes <= high)).all(axis=1)
    return start + 1 + int(np.flatnonzero(fits)[-1])
