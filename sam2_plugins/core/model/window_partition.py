"""A map cut into windows, for attention that sees only a window, and put together again."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


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
