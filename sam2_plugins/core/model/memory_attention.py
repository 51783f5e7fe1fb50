"""Condition a frame's features on an object's memories (Ravi et al. 2024, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sam2_plugins.core.model.layers import Attention, LayerNorm
from sam2_plugins.core.model.linear import Linear, linear
from sam2_plugins.core.model.memory_form import Place, on_grid
from sam2_plugins.core.model.position_encoding import rotary_table, rotate

INPUT_POSITION_SCALE = 0.1

SCORES_AT_ONCE = 2**21
"""Attention weights in memory at once, where they are written out."""

FILLS_THE_CARD = 4
"""Objects of 64 × 64 tokens that keep all processors of a large card busy."""

_FOR_ONE = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

ONE_BY_ONE = ("cpu",)
"""Devices that serve objects in turn: what is computed of one stays in a processor's cache."""


class RotaryAttention(Attention):
    """Attention on a grid with axial rotary position encoding of queries and keys."""

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        grid: int | None = None,
        unplaced: int = 0,
        bias: Tensor | None = None,
        place: Place = on_grid,
    ) -> Tensor:
        """Attend from a grid to memories and pointers, or to itself.

        Parameters
        ----------
        q
            [B, grid * grid, C].
        k, v
            [B, T, .]: the last `unplaced` tokens (object pointers) have no place in the frame.
        bias
            [B, T] to be added to the scaled logits, if `place` leaves tokens as they are.
        place
            Gives keys their places; by default they are one or several grids like the queries'.
        """
        if grid is None:
            raise ValueError("rotary attention needs the side of the grid")
        queries, keys = self.split(self.q_proj(q)), self.split(self.k_proj(k))
        queries = rotate(queries, rotary_table(grid, grid, queries.shape[-1], q.device))
        keys, values, own = place(keys, v, grid, unplaced)
        bias = own if bias is None else bias
        mixed = _mix(queries, keys, values, bias)
        if mixed is None:
            return self.attend(queries, keys, self.split(self.v_proj(values)), bias)
        # Exact, since the weights of the values sum to 1.
        return self.out_proj(self.v_proj(mixed))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend; for one object on a card by the kernel that keeps the whole card busy."""
        if q.is_cuda and len(q) == 1:
            with sdpa_kernel(_FOR_ONE):
                return super().attend(q, k, v, bias)
        return super().attend(q, k, v, bias)


def _mix(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor | None:
    """Mix values before they are projected, where that is faster; None where it is not.

    Memories are a quarter as wide as their projection, which saves that much of the second product.
    """
    if torch.is_grad_enabled():
        return None
    if q.device.type == "cpu":
        return _mix_on_processor(q, k, v, bias)
    if q.is_cuda and bias is None and v.shape[-1] < q.shape[-1]:
        return _mix_by_cudnn(q, k, v[:, None])
    return None


def _mix_by_cudnn(q: Tensor, k: Tensor, v: Tensor) -> Tensor | None:
    """Attention of one head by cuDNN, the only fused kernel that likes narrow values.

    It gives each object to a part of the card: the keys of few objects are cut into pieces, whose
    results are joined, weighed by what each piece's logits sum to.
    """
    pieces = FILLS_THE_CARD // len(q) if k.shape[2] % FILLS_THE_CARD == 0 else 1
    try:
        given = torch.backends.cuda.SDPAParams(q, k, v, None, 0.0, False, False)
        if not torch.backends.cuda.can_use_cudnn_attention(given):
            return None
        if pieces > 1:
            return _mix_pieces(q, k, v, pieces)
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return F.scaled_dot_product_attention(q, k, v)[:, 0]
    except (RuntimeError, TypeError, AttributeError):  # an older one, or none for these shapes
        return None


def _mix_pieces(q: Tensor, k: Tensor, v: Tensor, pieces: int) -> Tensor:
    """Attend to `pieces` equal parts of the keys at once: [B, N, C]."""
    keys, values = (t.reshape(len(q) * pieces, 1, -1, t.shape[-1]) for t in (k, v))
    queries = q.repeat_interleave(pieces, dim=0)
    attention = torch.ops.aten._scaled_dot_product_cudnn_attention
    mixed, sums = attention(queries, keys, values, None, True, 0.0, False, False)[:2]
    shape = (len(q), pieces, q.shape[2], -1)
    share = sums.view(shape).softmax(1)
    return (share * mixed.view(shape)).sum(1).to(v.dtype)


def _mix_on_processor(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Attention of one head on a processor.

    Fused kernels want values as wide as keys, so rows are cut here into pieces that stay in cache.

    Parameters
    ----------
    q, k, v
        [B, 1, N, C], [B, 1, M, C] and [B, M, narrow].
    bias
        [M] or [B, M] to be added to the scaled logits.

    Returns
    -------
    Tensor
        [B, N, narrow].
    """
    q, k = q[:, 0] * q.shape[-1] ** -0.5, k[:, 0]
    rows = max(16, SCORES_AT_ONCE // k.shape[1])
    mixed = v.new_empty(*q.shape[:2], v.shape[-1])
    biases = cycle([bias]) if bias is None or bias.ndim == 1 else bias
    for one, keys, values, own, out in zip(q, k, v, biases, mixed, strict=False):
        for part, piece in zip(one.split(rows), out.split(rows), strict=True):
            piece.copy_(linear(linear(part, keys, own).softmax(-1), values.T))
    return mixed


@dataclass(frozen=True)
class _Remembered:
    """What objects attend to.

    Attributes
    ----------
    keys, values
        [B, T, C] tokens, the last `unplaced` of which are of pointers.
    bias
        [B, T] to be added to the scaled logits; None: nothing.
    place
        Gives the keys their places.
    """

    keys: Tensor
    values: Tensor
    unplaced: int
    bias: Tensor | None
    place: Place

    def split(self, count: int) -> Iterator[_Remembered]:
        """Take so many objects after one another."""
        rows = range(0, len(self.keys), count)
        for some in (slice(row, row + count) for row in rows):
            bias = None if self.bias is None else self.bias[some]
            yield replace(self, keys=self.keys[some], values=self.values[some], bias=bias)


class _Layer(nn.Module):
    def __init__(self, width: int, memory_width: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(width, heads=1)
        self.cross_attn_image = RotaryAttention(width, heads=1, memory_channels=memory_width)
        self.linear1 = Linear(width, hidden)
        self.linear2 = Linear(hidden, width)
        self.norm1 = LayerNorm(width)
        self.norm2 = LayerNorm(width)
        self.norm3 = LayerNorm(width)

    def attend_to_itself(self, x: Tensor, grid: int) -> Tensor:
        """Let places of the frame attend to each other."""
        normal = self.norm1(x)
        return x + self.self_attn(normal, normal, normal, grid)

    def attend_to_memory(self, x: Tensor, grid: int, memory: _Remembered) -> Tensor:
        """Let places of the frame attend to memories; x may serve all objects with a batch of 1."""
        queries = self.norm2(x).expand(len(memory.keys), -1, -1)
        x = x + self.cross_attn_image(
            queries, memory.keys, memory.values, grid, memory.unplaced, memory.bias, memory.place
        )
        return x + self.linear2(self.linear1(self.norm3(x), "relu"))


class MemoryAttention(nn.Module):
    """Layers of self-attention and cross-attention to the memory."""

    def __init__(self, width: int, memory_width: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(width, memory_width, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        features: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        unplaced: int,
        place: Place,
        there: Tensor | None = None,
    ) -> Tensor:
        """Condition features on memory.

        Parameters
        ----------
        features
            [1, C, g, g], shared by all objects, or [B, C, g, g].
        position
            [C, g, g] sine encoding of the grid.
        memory, memory_position
            [B, T, memory_width] tokens of B objects: those of memories one after another, then
            `unplaced` tokens of pointers.
        place
            Gives the keys of memories their places.
        there
            bool [B, T]: which tokens are attended to; None: all.

        Returns
        -------
        Tensor
            [B, C, g, g].
        """
        grid = features.shape[-1]
        x = (features + INPUT_POSITION_SCALE * position).flatten(2).transpose(1, 2)
        keys = memory + memory_position
        if keys.is_cuda and torch.is_autocast_enabled("cuda"):
            half = torch.get_autocast_dtype("cuda")
            keys, memory = keys.to(half), memory.to(half)  # once, and not in each layer
        # Objects differ from their first look at the memory on.
        x = self._each[0].attend_to_itself(x, grid)
        some = 1 if x.device.type in ONE_BY_ONE else len(keys)
        shared = [x] if len(x) == 1 else x.split(some)
        bias = None
        if there is not None:
            bias = torch.zeros_like(there, dtype=keys.dtype).masked_fill(~there, -torch.inf)
        remembered = _Remembered(keys, memory, unplaced, bias, place).split(some)
        each = zip(cycle(shared), remembered, strict=False)
        out = torch.cat([self._condition(x, grid, one) for x, one in each])
        return out.transpose(1, 2).unflatten(-1, (grid, grid))

    @property
    def _each(self) -> list[_Layer]:
        return cast("list[_Layer]", list(self.layers))

    def _condition(self, x: Tensor, grid: int, memory: _Remembered) -> Tensor:
        for index, layer in enumerate(self._each):
            if index:
                x = layer.attend_to_itself(x, grid)
            x = layer.attend_to_memory(x, grid, memory)
        return self.norm(x)
