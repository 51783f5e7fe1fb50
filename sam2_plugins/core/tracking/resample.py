"""From low-resolution logits in a window to the mask of an object in its frame, and back."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model.sam2 import MASK_SCALE, MASK_SHIFT
from sam2_plugins.core.tracking.windows.planner import Window


def to_object_mask(
    logits: Tensor,
    window: Window,
    frame_size: tuple[int, int],
    iou: float,
    score: float,
    specks: float = 0.0,
) -> ObjectMask:
    """Mask of logits [h, w] that cover a window: where their bilinear interpolation is positive.

    Only the part of the window where the mask can be is interpolated. Separate parts that are
    smaller than the share `specks` of the largest are left out.
    """
    positive = logits > 0
    rows = _reach(positive.any(1), window.height)
    columns = _reach(positive.any(0), window.width)
    if rows is None or columns is None:
        return ObjectMask.empty(frame_size, iou, score)
    down = _bilinear(logits.shape[0], window.height)[rows].to(logits.device)
    across = _bilinear(logits.shape[1], window.width)[columns].to(logits.device)
    crop = (down @ logits.float() @ across.T > 0).cpu().numpy()
    if specks:
        crop = _without_specks(crop, specks)
    offset = (window.x + columns.start, window.y + rows.start)
    return ObjectMask(crop, offset, frame_size, iou, score)


def to_frame_logits(logits: Tensor, window: Window, frame_size: tuple[int, int]) -> Tensor:
    """Interpolate logits [h, w] of a window to the frame; minus infinity outside of the window."""
    size = (window.height, window.width)
    inside = F.interpolate(logits[None, None].float(), size=size, mode="bilinear")[0, 0]
    frame = inside.new_full(frame_size, -torch.inf)
    x0, y0, x1, y1 = window.box
    frame[y0:y1, x0:x1] = inside
    return frame


def to_model_mask(mask: ObjectMask, window: Window, image_size: int) -> Tensor:
    """Bring a mask to the model's input, [1, 1, S, S] of 0 and 1: antialiased, then thresholded."""
    inside = torch.from_numpy(window.mask(mask).astype(np.float32))[None, None]
    size = (image_size, image_size)
    return (F.interpolate(inside, size=size, mode="bilinear", antialias=True) >= 0.5).float()


def to_logits(mask: ObjectMask, window: Window, image_size: int) -> Tensor:
    """Low-resolution logits [1, 1, S / 4, S / 4] that stand for a mask whose own are gone."""
    sure = to_model_mask(mask, window, image_size) * MASK_SCALE + MASK_SHIFT
    size = (image_size // 4, image_size // 4)
    return F.interpolate(sure, size=size, mode="bilinear", antialias=True)


def _without_specks(crop: np.ndarray, share: float) -> np.ndarray:
    parts, count = ndimage.label(crop)
    if count <= 1:
        return crop
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept: np.ndarray = (sizes >= share * sizes.max())[parts] & crop
    return kept


def _reach(occupied: Tensor, length: int) -> slice | None:
    """Output indices that an interpolation of the occupied input cells can make positive."""
    index = torch.nonzero(occupied)[:, 0]
    if not len(index):
        return None
    scale = length / len(occupied)
    first = int((int(index[0]) - 1) * scale)
    last = int(np.ceil((int(index[-1]) + 2) * scale))
    return slice(max(0, first), min(length, last))


@lru_cache(maxsize=64)
def _bilinear(old: int, new: int) -> Tensor:
    """Matrix [new, old] of a bilinear interpolation without aligned corners."""
    with torch.inference_mode(False), torch.no_grad():
        rows = torch.eye(old)[None]
        return F.interpolate(rows, size=new, mode="linear", align_corners=False)[0].T.contiguous()
