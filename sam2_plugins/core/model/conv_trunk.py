"""A small trunk of depthwise convolutions, for the embedded checkpoint.

Its blocks are those of ConvNeXt (Liu et al. 2022).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.families.nano import ConvTrunkConfig
from sam2_plugins.core.model.layers import LayerNorm2d


class Block(nn.Module):
    """A block of ConvNeXt: a wide depthwise convolution, then two products per pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = LayerNorm2d(channels)
        self.expand = nn.Conv2d(channels, 4 * channels, 1)
        self.reduce = nn.Conv2d(4 * channels, channels, 1)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """Mix [B, C, H, W] over places, then over channels."""
        mixed = self.reduce(F.gelu(self.expand(self.norm(self.depthwise(x)))))
        return x + self.scale * mixed


class ConvTrunk(nn.Module):
    """Feature maps at stride 4, 8, 16 and 32 of an image."""

    def __init__(self, config: ConvTrunkConfig) -> None:
        super().__init__()
        first = config.channels[0]
        stem = nn.Sequential(
            nn.Conv2d(3, first // 2, 3, stride=2, padding=1),
            LayerNorm2d(first // 2),
            nn.GELU(),
            nn.Conv2d(first // 2, first, 3, stride=2, padding=1),
            LayerNorm2d(first),
        )
        self.down = nn.ModuleList([stem])
        for before, after in zip(config.channels[:-1], config.channels[1:], strict=True):
            self.down.append(
                nn.Sequential(LayerNorm2d(before), nn.Conv2d(before, after, 2, stride=2))
            )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(channels) for _ in range(depth)))
            for channels, depth in zip(config.channels, config.stages, strict=True)
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode pixels [B, 3, S, S]; the maps are [B, C_i, S / stride, S / stride]."""
        x = pixels
        maps = []
        for down, stage in zip(self.down, self.stages, strict=True):
            x = stage(down(x))
            maps.append(x)
        return maps
