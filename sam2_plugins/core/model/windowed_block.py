"""What the vision transformers share: patches of an image, and a block over windows of a map."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.model.layers import MLP, LayerNorm


class PatchEmbed(nn.Module):
    """The patches of an image as a map."""

    def __init__(self, channels: int, kernel: int, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, kernel, stride, padding)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed pixels [B, 3, S, S] as [B, H, W, C]."""
        embedded: Tensor = self.proj(pixels)
        return embedded.permute(0, 2, 3, 1)


class WindowedBlock(nn.Module):
    """Pre-norm transformer block over windows of a map (window 0: over the whole map)."""

    def __init__(self, attention: nn.Module, channels: int, out: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = LayerNorm(channels, eps=1e-6)
        self.attn = attention
        self.norm2 = LayerNorm(out, eps=1e-6)
        self.mlp = MLP(out, 4 * out, out, depth=2, activation="gelu")

    def forward(self, x: Tensor) -> Tensor:
        """Mix a map [B, H, W, C]."""
        normal = self.norm1(x)
        x = self.residual(x, normal)
        if self.window:
            windows, grid = to_windows(normal, self.window)
            mixed = from_windows(self.attn(windows), grid, *x.shape[1:3])
        else:
            mixed = self.attn(normal)
        x = x + mixed
        return x + self.mlp(self.norm2(x))

    def residual(self, x: Tensor, normal: Tensor) -> Tensor:
        """Return what attention is added to, of the input as it is and normalised."""
        return x


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
