"""OutlineRefiner: the outline of a tracked object, drawn anew from near.

A tracked mask has the resolution of the mask decoder's grid. The refiner sees the object enlarged,
now, on the frame before and where it was prompted, each with its mask, and redraws the mask of now.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.model.fast import replayed
from sam2_plugins.core.model.layers import twice

SIDE = 64
"""Side of a closeup in pixels; a multiple of 8."""

PICTURE, MASK = 0, 1
"""Channels of a closeup."""

_CHANNELS = (32, 48)
_GAIN = 4.0
_FLAT = 2.0  # grey values: a picture without contrast is not enlarged into noise


class OutlineRefiner(nn.Module):
    """A small U-Net from closeups to the logits of a mask. Untaught, it keeps the mask."""

    def __init__(self) -> None:
        super().__init__()
        fine, coarse = _CHANNELS
        self.enter = _Block(4 * 6, fine)
        self.middle = _Block(fine, coarse)
        self.deep = _Block(coarse, coarse)
        self.up_middle = _Block(2 * coarse, coarse)
        self.up_fine = _Block(coarse + fine, fine)
        self.last = nn.Conv2d(fine, 4, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.last.weight.device

    @replayed
    def forward(self, closeups: Tensor) -> Tensor:
        """Redraw masks.

        Parameters
        ----------
        closeups
            [n, 3, 2, SIDE, SIDE] of now, the frame before and the prompted frame: a grey picture
            and its mask, both 0 to 255.

        Returns
        -------
        Tensor
            [n, 1, SIDE, SIDE] logits.
        """
        closeups = closeups.float()
        pictures, masks = closeups[:, :, PICTURE], closeups[:, :, MASK] / 255
        level = pictures.mean((2, 3), keepdim=True)
        contrast = pictures.std((2, 3), keepdim=True) + _FLAT
        x = F.pixel_unshuffle(torch.cat(((pictures - level) / contrast, masks), 1), 2)
        fine = self.enter(x)
        middle = self.middle(F.max_pool2d(fine, 2))
        deep = self.deep(F.max_pool2d(middle, 2))
        x = self.up_middle(torch.cat((twice(deep), middle), 1))
        x = self.up_fine(torch.cat((twice(x), fine), 1))
        return F.pixel_shuffle(self.last(x), 2) + kept(masks[:, :1])


def kept(masks: Tensor) -> Tensor:
    """Logits of masks, from 0 to 1, that stay as they are; the refiner adds what it changes."""
    return _GAIN * (masks - 0.5)


class _Block(nn.Sequential):
    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__(
            nn.Conv2d(entering, leaving, 3, padding=1),
            nn.GroupNorm(4, leaving),
            nn.GELU(),
            nn.Conv2d(leaving, leaving, 3, padding=1),
            nn.GroupNorm(4, leaving),
            nn.GELU(),
        )
