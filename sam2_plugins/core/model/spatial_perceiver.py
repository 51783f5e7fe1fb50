"""A memory map condensed to a few latents (Zhou et al. 2025, "2D spatial perceiver").

Latents are learned queries, as in the Perceiver (Jaegle et al. 2021). Those of one kind look at the
whole map. Those of the other kind are a grid, each of which looks at its own part of the map, so
that they keep the places of what they saw. All share the same layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.model.linear import Linear
from sam2_plugins.core.model.memory_form import MemoryForm, PlacedKeys, split_pointers
from sam2_plugins.core.model.position_encoding import rotary_table, rotate, sine_grid


class _CrossAttention(nn.Module):
    """Latents attend to tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_x = nn.LayerNorm(width)
        self.norm_latents = nn.LayerNorm(width)
        self.to_q = Linear(width, width, bias=False)
        self.to_kv = Linear(width, 2 * width, bias=False)
        self.to_out = Linear(width, width, bias=False)

    def keys_and_values(self, tokens: Tensor) -> Tensor:
        """Project tokens [..., C]: [2, ..., C]."""
        pair = self.to_kv(self.norm_x(tokens)).unflatten(-1, (2, -1))
        return pair.movedim(-2, 0)

    def forward(self, latents: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self.to_out(_attend(self.to_q(self.norm_latents(latents)), keys, values))


class _SelfAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.to_q = Linear(width, width, bias=False)
        self.to_kv = Linear(width, 2 * width, bias=False)
        self.to_out = Linear(width, width, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        normal = self.norm(latents)
        keys, values = self.to_kv(normal).chunk(2, dim=-1)
        # A latent that is alone looks at nothing but itself.
        mixed = values if latents.shape[1] == 1 else _attend(self.to_q(normal), keys, values)
        return self.to_out(mixed)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of one head of [B, N, C]."""
    if q.shape[1] == 1:  # many small ones: the kernels are made for few large ones
        weights = (k @ q.transpose(1, 2) * q.shape[-1] ** -0.5).softmax(1)
        return (weights * v).sum(1, keepdim=True)
    return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]


def _feedforward(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        Linear(width, 4 * width, bias=False),
        nn.GELU(),
        Linear(4 * width, width, bias=False),
    )


class _Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = _CrossAttention(width)
        self.ff = _feedforward(width)
        self.self_attn = _SelfAttention(width)
        self.self_ff = _feedforward(width)

    def forward(self, latents: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        latents = latents + self.attn(latents, keys, values)
        latents = latents + self.ff(latents)
        latents = latents + self.self_attn(latents)
        return latents + self.self_ff(latents)


class SpatialPerceiver(MemoryForm):
    """Condense maps [B, width, g, g] to [B, unplaced + side * side, width].

    Parameters
    ----------
    unplaced
        Latents that look at the whole map; they come first.
    side
        Side of the grid of the other latents, row by row; g is a multiple of it.
    """

    def __init__(self, width: int, unplaced: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.latents = nn.Parameter(torch.randn(unplaced, width))
        self.latents_2d = nn.Parameter(torch.randn(side * side, width))
        self.layers = nn.ModuleList(_Layer(width) for _ in range(2))
        self.norm = nn.LayerNorm(width)

    def forward(self, maps: Tensor) -> Tensor:
        """Let both kinds of latents look at the maps."""
        batch, width, height, across = maps.shape
        tokens = self._windows(maps)
        place = self._windows(sine_grid(height, across, width, maps.device)[None]).flatten(1, 2)
        whole = self.latents.expand(batch, -1, -1)
        parts = self.latents_2d[:, None].repeat(batch, 1, 1)
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            both = layer.attn.keys_and_values(tokens)
            # The position goes to the values too.
            whole = layer(whole, *(both.flatten(2, 3) + place))
            parts = layer(parts, *both.flatten(1, 2))
        return self.norm(torch.cat((whole, parts.view(batch, -1, width)), dim=1))

    def _windows(self, maps: Tensor) -> Tensor:
        """Tokens [B, side * side, cells of a window, C] of maps [B, C, g, g]."""
        windows = maps.unflatten(3, (self.side, -1)).unflatten(2, (self.side, -1))
        return windows.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)

    def tokens(self, memories: Tensor) -> Tensor:
        """Return the latents as they are."""
        return memories

    def position(self, memories: Tensor) -> Tensor:
        """Nothing for latents without a place; for the others, the sine encoding of their grid."""
        width = memories.shape[-1]
        placed = sine_grid(self.side, self.side, width, memories.device).flatten(1).T
        return torch.cat((placed.new_zeros(len(self.latents), width), placed))

    def place(self, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
        """Rotate the keys of the latents that have a place, by their own grid."""
        memories, pointers = split_pointers(keys, unplaced)
        free = len(self.latents)
        each = memories.unflatten(-2, (-1, free + self.side**2))
        table = rotary_table(self.side, self.side, keys.shape[-1], keys.device)
        turned = torch.cat((each[..., :free, :], rotate(each[..., free:, :], table)), dim=-2)
        return PlacedKeys(torch.cat((turned.flatten(-3, -2), pointers), dim=-2), values)
