"""The truth of a movie: a label image a frame, or masks by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from sam2_plugins.core.masks import ObjectMask, split_label_image

Absent = Literal["davis", "ignore"]
LabelledFrame: TypeAlias = "NDArray[Any] | Mapping[int, ObjectMask]"
"""A label image, or masks by label, which may overlap."""

LabelledFrames: TypeAlias = "Sequence[LabelledFrame] | NDArray[Any]"
"""One per frame; an array is [T, H, W] of labels."""


def masks_of(frame: LabelledFrame) -> Mapping[int, ObjectMask]:
    """Masks of a frame by label."""
    return frame if isinstance(frame, Mapping) else split_label_image(frame)
