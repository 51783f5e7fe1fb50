"""A plain vision transformer with windows (Li et al. 2022), and its neck, for EfficientTAM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.families.efficienttam import VitConfig
from sam2_plugins.core.model.layers import LayerNorm2d
from sam2_plugins.core.model.windowed_block import PatchEmbed, WindowedBlock


class Vit(nn.Module):
    """One feature map, at stride 16, of an image."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        self.side = config.pos_embed_size
        self.patch_embed = PatchEmbed(config.embed_dim, kernel=16, stride=16)
        # The first row, of a class token, comes with the weights and is used by nothing.
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.side**2, config.embed_dim))
        self.blocks = nn.ModuleList(
            WindowedBlock(
                config.embed_dim,
                config.embed_dim,
                config.num_heads,
                0 if index in config.global_blocks else config.window_size,
            )
            for index in range(config.depth)
        )

    def position(self, height: int, width: int) -> Tensor:
        """Position embedding [1, height, width, C], resized to the map."""
        stored = self.pos_embed[:, 1:].unflatten(1, (self.side, self.side)).permute(0, 3, 1, 2)
        resized = F.interpolate(stored, size=(height, width), mode="bicubic")
        return resized.permute(0, 2, 3, 1)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode pixels [B, 3, S, S]; the map is [B, C, S / 16, S / 16]."""
        x = self.patch_embed(pixels)
        x = x + self.position(*x.shape[1:3])
        for block in self.blocks:
            x = block(x)
        return [x.permute(0, 3, 1, 2)]


class _Projection(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv2d(channels, width, 1, bias=False)
        self.norm_0 = LayerNorm2d(width)
        self.conv_3x3 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm_1 = LayerNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_1(self.conv_3x3(self.norm_0(self.conv_1x1(x))))


class PlainNeck(nn.Module):
    """The trunk's only map, brought to the width of the rest."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([_Projection(channels, width)])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Project [B, channels, g, g] to [B, width, g, g]."""
        return [self.convs[0](maps[-1])]
