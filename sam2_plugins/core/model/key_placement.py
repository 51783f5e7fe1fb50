"""Where the keys of memories are: what a form of memory does to them before they are attended to.

Memory attention's keys are those of the memories one after another, then those of object pointers,
which have no place in the frame. A placement rotates the keys of the memories by their places.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2_plugins.core.model.position_encoding import rotary_table, rotate

_FOUR = log(4)


@dataclass(frozen=True)
class PlacedKeys:
    """What is attended to.

    Attributes
    ----------
    keys
        [B, heads, T, C / heads], rotated.
    values
        [B, T, C], in the order of the keys.
    bias
        [T] to be added to the scaled logits; None: nothing.
    """

    keys: Tensor
    values: Tensor
    bias: Tensor | None = None


class KeyPlacement(Protocol):
    """Give the keys of memories their places."""

    def __call__(self, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
        """Place keys, which may be overwritten.

        Parameters
        ----------
        keys, values
            [B, heads, T, C / heads] and [B, T, C].
        grid
            Side of the frame's own grid.
        unplaced
            So many of the last tokens are pointers.
        """


class GridPlacement:
    """Every memory is a map of the frame's own grid."""

    def __call__(self, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
        """Rotate all keys but those of pointers."""
        return PlacedKeys(_rotated(keys, grid, unplaced), values)


@dataclass(frozen=True)
class LatentPlacement:
    """Every memory is `latents` tokens without a place, then a grid of its own `side`."""

    latents: int
    side: int

    def __call__(self, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
        """Rotate the keys that have a place."""
        memories, pointers = _parts(keys, unplaced)
        each = memories.unflatten(-2, (-1, self.latents + self.side**2))
        free, placed = each[..., : self.latents, :], each[..., self.latents :, :]
        table = rotary_table(self.side, self.side, keys.shape[-1], keys.device)
        turned = torch.cat((free, rotate(placed, table)), dim=-2).flatten(-3, -2)
        return PlacedKeys(torch.cat((turned, pointers), dim=-2), values)


@dataclass(frozen=True)
class PooledPlacement:
    """Maps, of which four neighbouring keys become one where there is more than one memory.

    Parameters
    ----------
    weigh
        What log 4 is added to: the logits of such a key, or all its channels. The latter is how
        one model was published, and trained.
    """

    weigh: Literal["logits", "keys"]

    def __call__(self, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
        """Rotate, then average two by two."""
        keys = _rotated(keys, grid, unplaced)
        memories, pointers = _parts(keys, unplaced)
        if memories.shape[-2] <= grid * grid:
            return PlacedKeys(keys, values)
        pooled = _pooled(memories, grid)
        kept, rest = _parts(values, unplaced)
        bias = None
        if self.weigh == "keys":
            pooled = pooled + _FOUR
        else:
            bias = F.pad(keys.new_full((pooled.shape[-2],), _FOUR), (0, unplaced))
        return PlacedKeys(
            torch.cat((pooled, pointers), dim=-2),
            torch.cat((_pooled(kept, grid), rest), dim=-2),
            bias,
        )


def _parts(tokens: Tensor, unplaced: int) -> tuple[Tensor, Tensor]:
    """Tokens [..., T, C] of memories, and of pointers."""
    count = tokens.shape[-2] - unplaced
    return tokens[..., :count, :], tokens[..., count:, :]


def _rotated(keys: Tensor, grid: int, unplaced: int) -> Tensor:
    return rotate(keys, rotary_table(grid, grid, keys.shape[-1], keys.device), unplaced)


def _pooled(tokens: Tensor, grid: int) -> Tensor:
    """Average tokens [..., M * grid * grid, C] two by two: [..., M * grid * grid / 4, C]."""
    squares = tokens.unflatten(-2, (-1, grid // 2, 2, grid // 2, 2))
    return squares.mean((-4, -2)).flatten(-4, -2)
