"""The truth of a movie: a label image a frame, or masks by label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from sam2_plugins.core.masks import ObjectId, ObjectMask, compose_label_image, split_label_image

Absent = Literal["davis", "ignore"]
LabelledFrame: TypeAlias = "NDArray[Any] | Mapping[int, ObjectMask]"
"""A label image, or masks by label, which may overlap."""

LabelledFrames: TypeAlias = "Sequence[LabelledFrame] | NDArray[Any]"
"""One per frame; an array is [T, H, W] of labels."""


def masks_of(frame: LabelledFrame) -> Mapping[int, ObjectMask]:
    """Masks of a frame by label."""
    return frame if isinstance(frame, Mapping) else split_label_image(frame)


class LazyFrames(Sequence[Any]):
    """Frames that are each read when they are used.

    Parameters
    ----------
    frames
        Their numbers, which `read` takes.
    """

    def __init__(self, frames: range, read: Callable[[int], LabelledFrame]) -> None:
        self._frames = frames
        self._read = read

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int | slice) -> Any:
        chosen = self._frames[index]
        return LazyFrames(chosen, self._read) if isinstance(chosen, range) else self._read(chosen)


def label_images(
    masks: Sequence[Mapping[ObjectId, ObjectMask]], frame_size: tuple[int, int]
) -> Sequence[NDArray[Any]]:
    """Compose the masks of each frame into a label image, by the rule of overlap."""

    def compose(frame: int) -> NDArray[Any]:
        return compose_label_image({int(o): m for o, m in masks[frame].items()}, frame_size)

    return LazyFrames(range(len(masks)), compose)
