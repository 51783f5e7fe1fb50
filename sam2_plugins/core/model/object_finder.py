"""ObjectFinder: where the objects of a picture are, without a prompt.

A small decoder on the image encoder's features tells, for every pixel, whether an object is there,
and how deep inside of its object it lies. Objects that touch are separate hills of depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.families.variant import Variant
from sam2_plugins.core.model.conv_trunk import Block
from sam2_plugins.core.model.layers import LayerNorm2d, twice
from sam2_plugins.core.model.sam2 import ImageFeatures

WIDTH = 48
"""Channels of the decoder."""

DETAIL = 16
"""Channels that keep what is finer than the encoder's features: the gap between two objects."""


@dataclass(frozen=True)
class Landscape:
    """What is found in pictures.

    Attributes
    ----------
    presence
        [B, S / 2, S / 2] logit: whether an object is there.
    depth
        [B, S / 2, S / 2] logit: distance to the object's outline, as a share of its deepest point.
    """

    presence: Tensor
    depth: Tensor


class ObjectFinder(nn.Module):
    """Decoder from a picture and its features to a landscape of objects."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width = variant.width
        self.stem = nn.Conv2d(3, DETAIL, 5, stride=2, padding=2)
        self.down = nn.Conv2d(DETAIL, WIDTH, 2, stride=2)
        self.coarse = nn.Conv2d(width, WIDTH, 1)
        self.middle = nn.Conv2d(width // 4, WIDTH, 1)
        self.fine = nn.Conv2d(width // 8, WIDTH, 1)
        self.mix_coarse = Block(WIDTH)
        self.mix_middle = nn.Sequential(Block(WIDTH), Block(WIDTH))
        self.mix_fine = nn.Sequential(Block(WIDTH), Block(WIDTH), Block(WIDTH))
        self.up = nn.Conv2d(WIDTH, DETAIL, 1)
        self.last = nn.Sequential(
            LayerNorm2d(2 * DETAIL),
            nn.Conv2d(2 * DETAIL, DETAIL, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(DETAIL, 2, 3, padding=1),
        )

    def forward(self, pixels: Tensor, features: ImageFeatures) -> Landscape:
        """Find objects.

        Parameters
        ----------
        pixels
            [B, 3, S, S] as the image encoder takes them.
        features
            What it made of them.
        """
        detail = F.gelu(self.stem(pixels))
        fine, middle = features.skips
        x = self.mix_coarse(self.coarse(features.coarse))
        x = self.mix_middle(self.middle(middle) + twice(x))
        x = self.mix_fine(self.fine(fine) + self.down(detail) + twice(x))
        found = self.last(torch.cat((detail, twice(self.up(x))), 1))
        return Landscape(found[:, 0], found[:, 1])
