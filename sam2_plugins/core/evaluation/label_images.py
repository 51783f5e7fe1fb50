"""Tracked masks as label images, the form in which most truths come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from numpy.typing import NDArray

from sam2_plugins.core.masks import ObjectId, ObjectMask, compose_label_image


class LabelImages(Sequence[NDArray[Any]]):
    """Tracked masks as a stack of label images, each composed when it is used."""

    def __init__(
        self, masks: Sequence[Mapping[ObjectId, ObjectMask]], frame_size: tuple[int, int]
    ) -> None:
        self._masks = masks
        self._frame_size = frame_size

    def __len__(self) -> int:
        return len(self._masks)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Sequence[NDArray[Any]]:
        if isinstance(index, slice):
            return LabelImages(self._masks[index], self._frame_size)
        labelled = {int(obj): mask for obj, mask in self._masks[index].items()}
        return compose_label_image(labelled, self._frame_size)
