"""A mask and its frame's features to one memory (Ravi et al. 2024, section 4)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sam2_plugins.core.model.layers import LayerNorm2d
from sam2_plugins.core.model.linear import Linear


class _MaskDownsampler(nn.Module):
    """Strided convolutions from the frame's size to stride 16."""

    def __init__(self, width: int) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        # The channels grow by four each step.
        channels = [1, *(max(1, width // shrunk) for shrunk in (64, 16, 4, 1))]
        for before, after in pairwise(channels):
            modules += [
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                LayerNorm2d(after),
                nn.GELU(),
            ]
        modules.append(nn.Conv2d(channels[-1], width, 1))
        self.encoder = nn.Sequential(*modules)

    def forward(self, mask: Tensor) -> Tensor:
        return self.encoder(mask)


class _FuserBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = LayerNorm2d(width)
        self.pwconv1 = Linear(width, 4 * width)
        self.pwconv2 = Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        mixed = self.gamma * self.pwconv2(self.pwconv1(mixed, "gelu"))
        return x + mixed.permute(0, 3, 1, 2)


class _Fuser(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_FuserBlock(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Fuse a scaled mask [B, 1, 16 g, 16 g] with features [B or 1, C, g, g]."""

    def __init__(self, width: int, memory_width: int) -> None:
        super().__init__()
        self.mask_downsampler = _MaskDownsampler(width)
        self.pix_feat_proj = nn.Conv2d(width, width, 1)
        self.fuser = _Fuser(width)
        self.out_proj = nn.Conv2d(width, memory_width, 1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return memories [B, memory_width, g, g]."""
        fused = self.fuser(self.pix_feat_proj(features) + self.mask_downsampler(mask))
        return self.out_proj(fused)
