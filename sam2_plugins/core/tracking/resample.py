"""From low-resolution logits in a window to the mask of an object in its frame, and back."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model.sam2 import sure_logits
from sam2_plugins.core.tracking.memory.bank import Box, in_frame
from sam2_plugins.core.tracking.transfer import to_device, to_host
from sam2_plugins.core.tracking.windows.planner import Window

PIXELS_AT_ONCE = 2**24
"""Pixels of the frame that a device interpolates logits to at once."""


class Rendering:
    """Masks of n objects: where the bilinear interpolation of logits to their windows is positive.

    A card interpolates whole windows and hands over bits. The host's processor only interpolates
    the part of a window where the mask can be. Both give the same masks.

    Parameters
    ----------
    logits
        [n, h, w], each over its window.
    windows
        One for each.

    Attributes
    ----------
    tensors
        What the host has to read, and to give back to `masks` as arrays.
    """

    def __init__(self, logits: Tensor, windows: Sequence[Window]) -> None:
        self.windows = windows
        self.shape = logits.shape[1:]
        positive = logits > 0
        self.tensors = [positive.any(2), positive.any(1)]
        self._groups: list[Sequence[int]] = []
        if logits.device.type == "cpu":
            self.tensors.append(logits.float())
        else:
            self._render_bits(logits.float())

    def _render_bits(self, logits: Tensor) -> None:
        """Interpolate, many windows of one size at once, and pack the signs."""
        by_size = _by_size(self.windows)
        for size, alike in by_size.items():
            some = logits
            if len(by_size) > 1:
                some = logits[to_device(np.array(alike), logits.device)]
            count = max(1, PIXELS_AT_ONCE // (size[0] * size[1]))
            bits = [_bits(_resize(part, size) > 0) for part in some.split(count)]
            self.tensors.append(torch.cat(bits))
            self._groups.append(alike)

    def boxes(self, arrays: Sequence[NDArray[Any]]) -> list[Box | None]:
        """Boxes x0, y0, x1, y1 of the positive logits, in pixels of the frame; None if empty."""
        edges = (edge.tolist() for edge in _edges(arrays))
        return [
            in_frame((x0, y0, x1, y1), self.shape, window) if y1 > y0 else None
            for window, y0, y1, x0, x1 in zip(self.windows, *edges, strict=True)
        ]

    def masks(
        self,
        arrays: Sequence[NDArray[Any]],
        frame_size: tuple[int, int],
        ious: Sequence[float],
        scores: Sequence[float],
        specks: float = 0.0,
    ) -> list[ObjectMask]:
        """Make masks of what was read.

        Separate parts that are smaller than the share `specks` of the largest are left out.
        """
        y0, y1, x0, x1 = (edge.tolist() for edge in _edges(arrays))
        place = {i: (g, k) for g, alike in enumerate(self._groups) for k, i in enumerate(alike)}
        masks = []
        for i, window in enumerate(self.windows):
            if y1[i] <= y0[i]:
                masks.append(ObjectMask.empty(frame_size, ious[i], scores[i]))
                continue
            rows = _reach(y0[i], y1[i], self.shape[0], window.height)
            columns = _reach(x0[i], x1[i], self.shape[1], window.width)
            if self._groups:
                group, row = place[i]
                first = columns.start // 8
                packed = arrays[2 + group][row, rows, first : -(-columns.stop // 8)]
                crop = np.unpackbits(packed, axis=1).view(bool)
                left = 8 * first
            else:
                crop, left = _interpolated(arrays[2][i], rows, columns, window), columns.start
            offset = (window.x + left, window.y + rows.start)
            mask = ObjectMask(crop, offset, frame_size, ious[i], scores[i])
            masks.append(mask.without_specks(specks) if specks else mask)
        return masks


def to_object_mask(
    logits: Tensor,
    window: Window,
    frame_size: tuple[int, int],
    iou: float,
    score: float,
    specks: float = 0.0,
) -> ObjectMask:
    """Mask of logits [h, w] that cover a window; see `Rendering`."""
    rendering = Rendering(logits[None], [window])
    arrays = to_host(rendering.tensors)
    return rendering.masks(arrays, frame_size, [iou], [score], specks)[0]


def to_frame_logits(logits: Tensor, window: Window, frame_size: tuple[int, int]) -> Tensor:
    """Interpolate logits [h, w] of a window to the frame; minus infinity outside of the window."""
    size = (window.height, window.width)
    inside = F.interpolate(logits[None, None].float(), size=size, mode="bilinear")[0, 0]
    frame = inside.new_full(frame_size, -torch.inf)
    x0, y0, x1, y1 = window.box
    frame[y0:y1, x0:x1] = inside
    return frame


def to_model_masks(
    masks: Sequence[ObjectMask], windows: Sequence[Window], image_size: int, device: torch.device
) -> Tensor:
    """Bring masks to the model's input, [n, 1, S, S] of 0 and 1: antialiased, then thresholded."""
    by_size, size = _by_size(windows), (image_size, image_size)
    found = []
    for rows in by_size.values():
        inside = np.stack([masks[row].window(windows[row].box) for row in rows])
        pixels = to_device(inside, device).float()[:, None]
        resized = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)
        found.append((resized >= 0.5).float())
    if len(found) == 1:
        return found[0]
    order = np.argsort(np.concatenate(list(by_size.values())))
    return torch.cat(found)[to_device(order, device)]


def to_logits(mask: ObjectMask, window: Window, image_size: int, device: torch.device) -> Tensor:
    """Low-resolution logits [1, 1, S / 4, S / 4] that stand for a mask whose own are gone."""
    return sure_logits(to_model_masks([mask], [window], image_size, device), image_size // 4)


def _by_size(windows: Sequence[Window]) -> dict[tuple[int, int], list[int]]:
    """Indices of the windows of each size (height, width)."""
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, window in enumerate(windows):
        by_size[window.height, window.width].append(index)
    return by_size


def _edges(arrays: Sequence[NDArray[Any]]) -> list[NDArray[np.intp]]:
    """First of the occupied rows and one past the last, [n] each, then of the columns; or 0, 0."""
    edges: list[NDArray[np.intp]] = []
    for occupied in arrays[:2]:
        any_at_all = occupied.any(1)
        edges.append(occupied.argmax(1) * any_at_all)
        edges.append((occupied.shape[1] - occupied[:, ::-1].argmax(1)) * any_at_all)
    return edges


def _reach(first: int, stop: int, old: int, new: int) -> slice:
    """Output indices that an interpolation of the occupied input cells can make positive."""
    scale = new / old
    return slice(max(0, int((first - 1) * scale)), min(new, math.ceil((stop + 1) * scale)))


def _interpolated(
    logits: NDArray[np.float32], rows: slice, columns: slice, window: Window
) -> NDArray[np.bool_]:
    """Interpolate a part of a window: the rows, then the columns, by a matrix product."""
    down = _bilinear(logits.shape[0], window.height)[rows]
    across = _bilinear(logits.shape[1], window.width)[columns]
    # Far from the part, logits have no weight.
    high, wide = (_support(matrix) for matrix in (down, across))
    return down[:, high] @ logits[high, wide] @ across[:, wide].T > 0


def _support(matrix: NDArray[np.float32]) -> slice:
    """Columns of an interpolation matrix that are not all zero."""
    last = int((matrix[-1, ::-1] > 0).argmax())
    return slice(int((matrix[0] > 0).argmax()), matrix.shape[1] - last)


def _resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def _bits(mask: Tensor) -> Tensor:
    """Pack bool [n, h, w] to uint8 [n, h, ⌈w / 8⌉], the first bit highest, as numpy unpacks it."""
    padded = F.pad(mask.to(torch.uint8), (0, -mask.shape[2] % 8)).unflatten(2, (-1, 8))
    places = 1 << torch.arange(7, -1, -1, dtype=torch.uint8, device=mask.device)
    return (padded * places).sum(3, dtype=torch.uint8)


@lru_cache(maxsize=64)
def _bilinear(old: int, new: int) -> NDArray[np.float32]:
    """Matrix [new, old] of a bilinear interpolation without aligned corners."""
    rows = torch.eye(old)[None]
    matrix: NDArray[np.float32] = F.interpolate(rows, size=new, mode="linear")[0].T.numpy()
    return np.ascontiguousarray(matrix)
