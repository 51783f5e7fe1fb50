"""Trunk and neck: an image to feature maps of one width, the coarsest at stride 16."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.families.variant import Variant
from sam2_plugins.core.model.linear import linear


class _Lateral(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu":
            # The trunk's channels come last, which a product takes as they are.
            last = linear(x.permute(0, 2, 3, 1), self.conv.weight[:, :, 0, 0], self.conv.bias)
            return last.permute(0, 3, 1, 2)
        return self.conv(x)


class FpnNeck(nn.Module):
    """Feature pyramid (Lin et al. 2017) in which only some levels receive the level above."""

    def __init__(self, channels: Sequence[int], width: int, top_down: Sequence[int]) -> None:
        super().__init__()
        # The published tensors count the convolutions from the coarsest level down.
        self.convs = nn.ModuleList(_Lateral(c, width) for c in reversed(channels))
        self.top_down = tuple(top_down)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Bring maps, finest first, to one width; the coarsest only feeds the one below it."""
        out: list[Tensor] = []
        above: Tensor | None = None
        for level in reversed(range(len(maps))):
            here: Tensor = self.convs[len(maps) - 1 - level](maps[level])
            if above is not None and level in self.top_down:
                here = here + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = here
            out.append(here)
        return out[:0:-1]


class ImageEncoder(nn.Module):
    """The part that runs once per frame, whatever the number of objects."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.trunk = variant.trunk.build_trunk()
        self.neck = variant.trunk.build_neck(variant.width, variant.top_down_levels)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode pixels [B, 3, S, S] to [B, width, S / stride, S / stride], finest first.

        The strides are 4, 8 and 16, or 16 alone.
        """
        return self.neck(self.trunk(pixels))
