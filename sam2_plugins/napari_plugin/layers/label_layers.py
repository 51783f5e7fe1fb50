"""Reads the labels that a Labels layer shows over an image's frame, by world coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.masks import ObjectMask, split_label_image
from sam2_plugins.napari_plugin.layers.frames import frame_size, full_level
from sam2_plugins.napari_plugin.layers.placement import steps_of, world_of

_Pixels: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]"


def masks_at(layer: Any, image: Any, point: Sequence[float]) -> dict[int, ObjectMask]:
    """Cut out every label that a Labels layer shows on the shown frame of an image.

    Parameters
    ----------
    point
        Where the viewer is, in world coordinates.

    Returns
    -------
    dict
        Masks of the image's frame size by label; labels may be of any size and sign.

    Raises
    ------
    Sam2PluginsError
        If the layer shows nothing there.
    """
    plane = _seen_from(layer, image, point)
    values, inverse = np.unique(plane, return_inverse=True)
    # Renumbered from 1 on, with 0 for the background.
    order = np.zeros(len(values), np.int64)
    order[values != 0] = np.arange(1, np.count_nonzero(values) + 1)
    numbered = split_label_image(order[inverse].reshape(plane.shape))
    labels = values[values != 0]
    return {int(labels[number - 1]): mask for number, mask in numbered.items()}


def _seen_from(layer: Any, image: Any, point: Sequence[float]) -> NDArray[Any]:
    """Sample a Labels layer at the pixels of an image's frame, [H, W]; 0 beside the layer."""
    data, (height, width) = full_level(layer), frame_size(image)
    shape = np.asarray(data.shape)
    if _is_unplaced(layer, image) and tuple(shape[-2:]) == (height, width):
        at, down, right = _own_pixels(layer, image, point)
    else:
        at, down, right = _pixels_in(layer, image, point)
    leading = np.rint(at[:-2]).astype(int)
    if (leading < 0).any() or (leading >= shape[:-2]).any():
        raise Sam2PluginsError(
            f"{layer.name} shows nothing here: go to a frame on which its labels are."
        )
    plane = np.asarray(data[tuple(leading)])
    y, x = np.mgrid[:height, :width]
    rows, columns = (
        np.rint(at[axis] + y * down[axis] + x * right[axis]).astype(int) for axis in (-2, -1)
    )
    inside = (rows >= 0) & (rows < plane.shape[0]) & (columns >= 0) & (columns < plane.shape[1])
    seen = np.zeros((height, width), plane.dtype)
    seen[inside] = plane[rows[inside], columns[inside]]
    return seen


def _is_unplaced(layer: Any, image: Any) -> bool:
    """Whether labels have no scale though the image has: they were made on its bare pixels."""
    matrix, origin = world_of(layer)
    bare = np.array_equal(matrix, np.eye(layer.ndim)) and not origin.any()
    return bare and not np.allclose(steps_of(image), 1)


def _own_pixels(layer: Any, image: Any, point: Sequence[float]) -> _Pixels:
    """Return labels pixel by pixel, as if the layer had the image's place."""
    at = np.zeros(layer.ndim)
    here = np.asarray(image.world_to_data(point), float)
    for axis in range(3, layer.ndim + 1):
        at[-axis] = here[-axis] if axis <= image.ndim else point[-axis]
    step = np.eye(layer.ndim)
    return at, step[-2], step[-1]


def _pixels_in(layer: Any, image: Any, point: Sequence[float]) -> _Pixels:
    """Where pixel (0, 0) of the shown frame is in a layer's data, and the steps down and right."""
    here = np.asarray(image.world_to_data(point), float)
    here[-2:] = 0
    matrix, origin = world_of(image)
    size = max(layer.ndim, image.ndim, len(point))

    def in_world(own: NDArray[np.float64]) -> NDArray[np.float64]:
        world = np.zeros(size)
        world[size - len(point) :] = point
        world[size - image.ndim :] = matrix @ own + origin
        return world

    first = np.asarray(layer.world_to_data(in_world(here)), float)
    steps = []
    for axis in (-2, -1):
        beside = here.copy()
        beside[axis] += 1
        steps.append(np.asarray(layer.world_to_data(in_world(beside)), float) - first)
    return first, steps[0], steps[1]
