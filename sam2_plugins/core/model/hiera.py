"""Hiera, the hierarchical vision transformer of the published checkpoints (Ryali et al. 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.families.sam2 import HieraConfig
from sam2_plugins.core.model.windowed_block import PatchEmbed, WindowedBlock


class Hiera(nn.Module):
    """Feature maps at stride 4, 8, 16 and 32 of an image."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config.embed_dim, kernel=7, stride=4, padding=3)
        side, window = config.pos_embed_size, config.window_sizes[0]
        self.pos_embed = nn.Parameter(torch.zeros(1, config.embed_dim, side, side))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, config.embed_dim, window, window))
        self.blocks = nn.ModuleList()
        self.stage_ends: list[int] = []
        channels, heads = config.embed_dim, config.num_heads
        for stage, depth in enumerate(config.stages):
            for position in range(depth):
                begins = position == 0 and stage > 0
                # A stage's first block still sees the windows of the stage before it.
                window = config.window_sizes[stage - 1 if begins else stage]
                if len(self.blocks) in config.global_blocks:
                    window = 0
                out = channels * 2 if begins else channels
                heads = heads * 2 if begins else heads
                self.blocks.append(WindowedBlock(channels, out, heads, window, pool=begins))
                channels = out
            self.stage_ends.append(len(self.blocks) - 1)

    def position(self, height: int, width: int) -> Tensor:
        """Position embedding [1, height, width, C]: a resized map plus a repeated window."""
        whole = F.interpolate(self.pos_embed, size=(height, width), mode="bicubic")
        repeats = (
            1,
            1,
            height // self.pos_embed_window.shape[2],
            width // self.pos_embed_window.shape[3],
        )
        return (whole + self.pos_embed_window.tile(repeats)).permute(0, 2, 3, 1)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode pixels [B, 3, S, S]; the maps are [B, C_i, S / stride, S / stride]."""
        x = self.patch_embed(pixels)
        x = x + self.position(*x.shape[1:3])
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.stage_ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps
