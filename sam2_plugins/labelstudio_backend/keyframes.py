"""Few keyframes for many boxes; the model's keyframes and a person's.

A keyframe of ours carries a note of what it was when it was made. Label Studio keeps the note
through drafts, annotations and exports, even when a person moves the box, and copies it to the
keyframe that a person adds before it: so the note is compared with what the keyframe is now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.labelstudio_backend.formats.geometry import PercentBox
from sam2_plugins.labelstudio_backend.formats.video_rectangle import Keyframe, keyframe_dict

NOTE, FRAMES = "sam2", "frames"
_SHOWN = "shown"
DIGITS = 4
"""Decimals of a percentage: a hundredth of a pixel of a frame of 10,000."""

TOLERANCE = 0.035
"""Largest distance of a side of the interpolated box from the tracked one, as share of the side."""
LEEWAY = 0.65
"""The same in pixels; the larger of the two counts, because tracked boxes are in whole pixels."""


def make_keyframe(
    frame: int, box: PercentBox, enabled: bool, rate: float, masks: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a keyframe of ours: its drawn part, and the note that marks it."""
    x, y, width, height = (round(side, DIGITS) for side in box)
    note: dict[str, Any] = {"frame": frame, "box": [x, y, width, height], "enabled": enabled}
    if masks:
        note["masks"] = dict(masks)
    return {**keyframe_dict(frame, (x, y, width, height), enabled, rate), NOTE: note}


def keep_keyframe(
    keyframe: Keyframe, rate: float, masks: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a person's keyframe unchanged, with a mask but without the note that marks ours.

    What an imported one lacks is filled in: the editor hides a box without `enabled`.
    """
    whole = keyframe_dict(keyframe.frame, keyframe.box, keyframe.enabled, rate)
    kept = {key: value for key, value in {**whole, **keyframe.raw}.items() if key != NOTE}
    note: dict[str, Any] = {_SHOWN: keyframe.frame} if is_shown_on(keyframe) else {}
    if masks:
        note["masks"] = dict(masks)
    return {**kept, NOTE: note} if note else kept


def with_frames(keyframe: Mapping[str, Any], packed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a keyframe of an answer with the frames of the file that are shown."""
    return {**keyframe, NOTE: {**keyframe.get(NOTE, {}), FRAMES: packed}}


def is_ours(keyframe: Keyframe) -> bool:
    """Whether the model made a keyframe that nobody has changed since."""
    note = keyframe.raw.get(NOTE)
    if not isinstance(note, Mapping) or not isinstance(note.get("box"), Sequence):
        return False
    made = np.array(note["box"], dtype=object)
    if made.shape != (4,) or not all(isinstance(side, int | float) for side in made):
        return False
    near = np.abs(made.astype(float) - keyframe.box).max() < 2 * 10**-DIGITS
    same = note.get("frame") == keyframe.frame and note.get("enabled") == keyframe.enabled
    return bool(near and same and keyframe.rotation == 0)


def is_shown_on(keyframe: Keyframe) -> bool:
    """Whether a person has the box shown after a keyframe of ours that hid it."""
    note = keyframe.raw.get(NOTE)
    if not keyframe.enabled or not isinstance(note, Mapping):
        return False
    is_as_hidden = note.get("enabled") is False and note.get("frame") == keyframe.frame
    return is_as_hidden or note.get(_SHOWN) == keyframe.frame


def thin(
    frames: NDArray[np.intp], corners: NDArray[np.float64], fixed: set[int]
) -> dict[int, NDArray[np.float64]]:
    """Replace the boxes of one unbroken stretch by few, with straight lines between them.

    Each line is as long as possible: every box that it passes restricts the slope of each side,
    and the line ends where no slope is left.

    Parameters
    ----------
    frames
        [n], rising by 1.
    corners
        x0, y0, x1, y1 in pixels on each, [n, 4].
    fixed
        Positions that stay as they are, a person's.

    Returns
    -------
    dict
        Position to corners, in order; the first, the last and the fixed ones are among them. Every
        side of every box is within the tolerance of the lines.
    """
    extent = corners[:, [2, 3, 2, 3]] - corners[:, [0, 1, 0, 1]]
    allowed = np.maximum(TOLERANCE * extent, LEEWAY)
    stops = sorted(fixed | {len(frames) - 1})
    chosen = {0: corners[0]}
    position = 0
    for stop in stops:
        while position < stop:
            exact = stop in fixed
            position, end = _line(frames, corners, allowed, position, chosen[position], stop, exact)
            chosen[position] = end
    return chosen


def _line(
    frames: NDArray[np.intp],
    corners: NDArray[np.float64],
    allowed: NDArray[np.float64],
    start: int,
    origin: NDArray[np.float64],
    stop: int,
    exact: bool,
) -> tuple[int, NDArray[np.float64]]:
    """Return the end of the longest line from `start`, not beyond `stop`, and its corners."""
    ahead = slice(start + 1, stop + 1)
    steps = (frames[ahead] - frames[start])[:, None]
    slack = allowed[ahead].copy()
    if exact:
        slack[-1] = 0
    slopes = corners[ahead] - origin
    low = np.maximum.accumulate((slopes - slack) / steps, axis=0)
    high = np.minimum.accumulate((slopes + slack) / steps, axis=0)
    possible = (low <= high + 1e-12).all(axis=1)
    reach = len(steps) if possible.all() else int(np.argmin(possible))
    slope = np.clip(slopes[reach - 1] / steps[reach - 1], low[reach - 1], high[reach - 1])
    return start + reach, origin + slope * steps[reach - 1]
