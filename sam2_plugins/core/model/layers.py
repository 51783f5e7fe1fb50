"""Layers that several parts of the network share."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.model.linear import Activation, Linear

FEW_CHANNELS = 64
"""A card's layer norm takes a block of threads per pixel, which so few channels leave idle."""

_EPSILON = 1e-6


class LayerNorm(nn.LayerNorm):
    """Layer normalisation of what goes into a product next.

    Where a card infers in half precision it hands over half precision, as the product would make
    it, and moves half of the bytes. To learn, it stays as exact as it is.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        if not x.is_cuda or torch.is_grad_enabled() or not torch.is_autocast_enabled("cuda"):
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cuda")
        with torch.autocast("cuda", enabled=False):
            weight, bias = self.weight.to(dtype), self.bias.to(dtype)
            return F.layer_norm(x.to(dtype), self.normalized_shape, weight, bias, self.eps)


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of a feature map [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each pixel's channels."""
        if x.is_cuda and x.shape[1] <= FEW_CHANNELS:
            return self._by_planes(x.float())
        last = x.permute(0, 2, 3, 1)
        normal = F.layer_norm(last, self.weight.shape, self.weight, self.bias, _EPSILON)
        return normal.permute(0, 3, 1, 2)

    def _by_planes(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        scale = (variance + _EPSILON).rsqrt()
        weight, bias = self.weight[:, None, None], self.bias[:, None, None]
        return torch.addcmul(bias, (x - mean) * scale, weight)


class MLP(nn.Module):
    """Linear layers with an activation between them."""

    def __init__(
        self,
        channels: int,
        hidden: int,
        out: int,
        depth: int,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        sizes = [channels, *[hidden] * (depth - 1), out]
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(sizes))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to the last dimension."""
        for layer in self.layers[:-1]:
            x = layer(x, self.activation)
        return self.layers[-1](x)


class Attention(nn.Module):
    """Multi-head attention whose projections may be narrower than its input.

    Parameters
    ----------
    channels
        Channels of the queries and of the output.
    inner
        Channels after projection; `channels` if None.
    memory_channels
        Channels of keys and values; `channels` if None.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        inner: int | None = None,
        memory_channels: int | None = None,
    ) -> None:
        super().__init__()
        inner = inner or channels
        memory_channels = memory_channels or channels
        self.heads = heads
        self.q_proj = Linear(channels, inner)
        self.k_proj = Linear(memory_channels, inner)
        self.v_proj = Linear(memory_channels, inner)
        self.out_proj = Linear(inner, channels)

    def split(self, x: Tensor) -> Tensor:
        """[B, N, C] to [B, heads, N, C / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attention of projected and split tokens, joined and projected out.

        `bias` [M] or [B, M] is added to the scaled logits of the keys.
        """
        mask = None if bias is None else bias.view(-1, 1, 1, bias.shape[-1]).to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from q [B, N, C] to k and v [B, M, memory_channels]."""
        return self.attend(
            self.split(self.q_proj(q)), self.split(self.k_proj(k)), self.split(self.v_proj(v))
        )


def twice(x: Tensor) -> Tensor:
    """Enlarge a map [B, C, H, W] to twice its size."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")
