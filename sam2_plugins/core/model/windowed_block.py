"""What the vision transformers share: patches of an image, and a block over windows of a map."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.model.layers import MLP, LayerNorm
from sam2_plugins.core.model.linear import Linear


class PatchEmbed(nn.Module):
    """The patches of an image as a map."""

    def __init__(self, channels: int, kernel: int, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, kernel, stride, padding)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pixels [B, 3, S, S] as [B, H, W, C]."""
        embedded: Tensor = self.proj(pixels)
        return embedded.permute(0, 2, 3, 1)


class _Attention(nn.Module):
    """Self-attention of maps [B, H, W, C], with the queries max-pooled where a stage begins."""

    def __init__(self, channels: int, out: int, heads: int, pool: bool) -> None:
        super().__init__()
        self.heads, self.pool = heads, pool
        self.qkv = Linear(channels, 3 * out)
        self.proj = Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.pool:
            q = halved(q)
            height, width = q.shape[1:3]
        q, k, v = (
            t.flatten(1, 2).unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.proj(mixed.reshape(batch, height, width, -1))


class WindowedBlock(nn.Module):
    """Pre-norm transformer block over windows of a map (window 0: over the whole map).

    Parameters
    ----------
    pool
        It halves the map.
    """

    def __init__(
        self, channels: int, out: int, heads: int, window: int, pool: bool = False
    ) -> None:
        super().__init__()
        self.window, self.pool = window, pool
        self.norm1 = LayerNorm(channels, eps=1e-6)
        self.attn = _Attention(channels, out, heads, pool)
        self.norm2 = LayerNorm(out, eps=1e-6)
        self.mlp = MLP(out, 4 * out, out, depth=2, activation="gelu")
        if channels != out:
            self.proj = Linear(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        """Mix a map [B, H, W, C]."""
        normal = self.norm1(x)
        x = halved(self.proj(normal)) if self.pool else x
        if self.window:
            windows, grid = to_windows(normal, self.window)
            mixed = from_windows(self.attn(windows), grid, *x.shape[1:3])
        else:
            mixed = self.attn(normal)
        x = x + mixed
        return x + self.mlp(self.norm2(x))


def halved(x: Tensor) -> Tensor:
    """Max-pool a map [B, H, W, C] by two."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def to_windows(x: Tensor, size: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut [B, H, W, C] into [B * windows, size, size, C], padded with zeros at the far edges."""
    batch, height, width, channels = x.shape
    down, right = -height % size, -width % size
    if down or right:  # padding by nothing would be a copy
        x = F.pad(x, (0, 0, 0, right, 0, down))
    rows, columns = (height + down) // size, (width + right) // size
    x = x.view(batch, rows, size, columns, size, channels).transpose(2, 3)
    return x.reshape(-1, size, size, channels), (rows, columns)


def from_windows(x: Tensor, grid: tuple[int, int], height: int, width: int) -> Tensor:
    """Put windows together again and cut the padding off."""
    rows, columns = grid
    size, channels = x.shape[1], x.shape[-1]
    x = x.view(-1, rows, columns, size, size, channels).transpose(2, 3)
    return x.reshape(-1, rows * size, columns * size, channels)[:, :height, :width]
