"""A second look at tracked objects: what the model makes of their boxes on this frame alone.

What memory leads to keeps the outline that was shown, and a small model loses parts of it from
frame to frame; what it makes of a box errs in other places. Where both see the same object, their
mean is better than either.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2_plugins.core.model import ImageFeatures, Sam2Model
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START
from sam2_plugins.core.tracking.test_time_augmentation import LOGIT_LIMIT

SHARE = 0.3
"""Of the second look in the mean; chosen by `benchmarks/nano_validation.py`, as the next one."""

SAME = 0.7
"""IoU from which on both see the same object."""


def look_again(model: Sam2Model, here: ImageFeatures, masks: Tensor) -> Tensor:
    """Return the masks of n objects after a second look, as logits on the same grid.

    Parameters
    ----------
    here
        Features of the objects' windows, of n or of one that all share.
    masks
        [n, 1, h, w] tracked logits.
    """
    seen = masks[:, 0] > 0
    corners, kinds = _boxes(seen, model.image_size)
    decoded = model.decode(model.without_memory(here.coarse), here.skips, corners, kinds)
    fresh = F.interpolate(decoded.mask.float(), masks.shape[-2:], mode="bilinear")
    again = fresh[:, 0] > 0
    common, either = (seen & again).sum((1, 2)), (seen | again).sum((1, 2))
    tracked, fresh = (each.clamp(-LOGIT_LIMIT, LOGIT_LIMIT) for each in (masks.float(), fresh))
    same = common >= SAME * either.clamp(min=1)
    return torch.where(same[:, None, None, None], tracked.lerp(fresh, SHARE), masks)


def _boxes(masks: Tensor, image_size: int) -> tuple[Tensor, Tensor]:
    """Corners [n, 2, 2] (x, y) of the boxes of masks [n, h, w] in the model's input, and kinds."""
    ends = []
    for along in (1, 2):
        filled = masks.any(along).float()
        first = filled.argmax(1)
        last = filled.shape[1] - filled.flip(1).argmax(1)
        ends.append(torch.stack((first, last), 1) * (image_size / filled.shape[1]))
    kinds = torch.arange(BOX_START, BOX_END + 1, device=masks.device)
    return torch.stack(ends, 2), kinds.expand(len(masks), -1)
