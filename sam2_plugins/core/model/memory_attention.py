"""Condition a frame's features on an object's memories (Ravi et al. 2024, section 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.model.key_placement import GridPlacement, KeyPlacement
from sam2_plugins.core.model.layers import Attention
from sam2_plugins.core.model.position_encoding import rotary_table, rotate

INPUT_POSITION_SCALE = 0.1

SCORES_AT_ONCE = 2**21
"""Attention weights in memory at once, where they are written out."""


class RotaryAttention(Attention):
    """Attention on a grid with axial rotary position encoding of queries and keys.

    Parameters
    ----------
    placement
        What gives keys their places; by default they are one or several grids like the queries'.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        memory_channels: int | None = None,
        placement: KeyPlacement | None = None,
    ) -> None:
        super().__init__(channels, heads, memory_channels=memory_channels)
        self.placement = placement or GridPlacement()

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, grid: int | None = None, unplaced: int = 0
    ) -> Tensor:
        """Attend from a grid to memories and pointers, or to itself.

        Parameters
        ----------
        q
            [B, grid * grid, C].
        k, v
            [B, T, .]: the last `unplaced` tokens (object pointers) have no place in the frame.
        """
        if grid is None:
            raise ValueError("rotary attention needs the side of the grid")
        queries, keys = self.split(self.q_proj(q)), self.split(self.k_proj(k))
        queries = rotate(queries, rotary_table(grid, grid, queries.shape[-1], q.device))
        placed = self.placement(keys, v, grid, unplaced)
        if q.device.type == "cpu" and not torch.is_grad_enabled():
            mixed = _mix_narrow(queries[:, 0], placed.keys[:, 0], placed.values, placed.bias)
            out: Tensor = self.out_proj(self.v_proj(mixed))
            return out
        return self.attend(
            queries, placed.keys, self.split(self.v_proj(placed.values)), placed.bias
        )


def _mix_narrow(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention that mixes values before they are projected: exact, since its weights sum to 1.

    Memories are a quarter as wide as their projection, which saves that much of the second product.
    Fused kernels want values as wide as keys, so rows are cut here into pieces that stay in cache.

    Parameters
    ----------
    q, k, v
        [B, N, C], [B, M, C] and [B, M, narrow].
    bias
        [M] to be added to the scaled logits.

    Returns
    -------
    Tensor
        [B, N, narrow].
    """
    rows = max(16, SCORES_AT_ONCE // k.shape[1])
    mixed = v.new_empty(*q.shape[:2], v.shape[-1])
    for one, keys, values, out in zip(q * q.shape[-1] ** -0.5, k, v, mixed, strict=True):
        for part, piece in zip(one.split(rows), out.split(rows), strict=True):
            logits = part @ keys.T if bias is None else torch.addmm(bias, part, keys.T)
            torch.mm(logits.softmax(-1), values, out=piece)
    return mixed


class _Layer(nn.Module):
    def __init__(self, width: int, memory_width: int, hidden: int, placement: KeyPlacement) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(width, heads=1)
        self.cross_attn_image = RotaryAttention(
            width, heads=1, memory_channels=memory_width, placement=placement
        )
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> Tensor:
        normal = self.norm1(x)
        x = x + self.self_attn(normal, normal, normal, grid)
        # From here on objects differ: x may have served all of them with a batch of one.
        x = x + self.cross_attn_image(
            self.norm2(x).expand(len(keys), -1, -1), keys, values, grid, unplaced
        )
        out: Tensor = x + self.linear2(F.relu(self.linear1(self.norm3(x))))
        return out


class MemoryAttention(nn.Module):
    """Layers of self-attention and cross-attention to the memory.

    Parameters
    ----------
    placement
        What gives the keys of memories their places.
    """

    def __init__(
        self, width: int, memory_width: int, hidden: int, depth: int, placement: KeyPlacement
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _Layer(width, memory_width, hidden, placement) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        features: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        unplaced: int,
    ) -> Tensor:
        """Condition features on memory.

        Parameters
        ----------
        features
            [1, C, g, g], shared by all objects.
        position
            [C, g, g] sine encoding of the grid.
        memory, memory_position
            [B, T, memory_width] tokens of B objects: those of memories one after another, then
            `unplaced` tokens of pointers.

        Returns
        -------
        Tensor
            [B, C, g, g].
        """
        grid = features.shape[-1]
        x = (features + INPUT_POSITION_SCALE * position).flatten(2).transpose(1, 2)
        keys = memory + memory_position
        for layer in self.layers:
            x = layer(x, keys, memory, grid, unplaced)
        out: Tensor = self.norm(x)
        return out.transpose(1, 2).unflatten(-1, (grid, grid))
