"""Hiera, the hierarchical vision transformer of the published checkpoints (Ryali et al. 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.families.sam2 import HieraConfig
from sam2_plugins.core.model.layers import MLP
from sam2_plugins.core.model.linear import Linear
from sam2_plugins.core.model.window_partition import from_windows, to_windows


def _pool(x: Tensor) -> Tensor:
    """Max-pool a map [B, H, W, C] by two."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


class _Attention(nn.Module):
    """Self-attention of a map, with the queries max-pooled where a stage begins."""

    def __init__(self, channels: int, out: int, heads: int, pool: bool) -> None:
        super().__init__()
        self.heads, self.pool = heads, pool
        self.qkv = Linear(channels, 3 * out)
        self.proj = Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.pool:
            q = _pool(q)
            height, width = q.shape[1:3]
        q, k, v = (
            t.flatten(1, 2).unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        out: Tensor = self.proj(mixed.reshape(batch, height, width, -1))
        return out


class _Block(nn.Module):
    """Pre-norm transformer block over windows (window 0: over the whole map)."""

    def __init__(self, channels: int, out: int, heads: int, window: int, pool: bool) -> None:
        super().__init__()
        self.window, self.pool = window, pool
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = _Attention(channels, out, heads, pool)
        self.norm2 = nn.LayerNorm(out, eps=1e-6)
        self.mlp = MLP(out, 4 * out, out, depth=2, activation="gelu")
        if channels != out:
            self.proj = Linear(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        normal = self.norm1(x)
        if self.pool:
            x = _pool(self.proj(normal))
        if self.window:
            windows, grid = to_windows(normal, self.window)
            mixed = from_windows(self.attn(windows), grid, *x.shape[1:3])
        else:
            mixed = self.attn(normal)
        x = x + mixed
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class _PatchEmbed(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, kernel_size=7, stride=4, padding=3)

    def forward(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.proj(pixels)
        return embedded.permute(0, 2, 3, 1)


class Hiera(nn.Module):
    """Feature maps at stride 4, 8, 16 and 32 of an image."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbed(config.embed_dim)
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
                self.blocks.append(_Block(channels, out, heads, window, pool=begins))
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
