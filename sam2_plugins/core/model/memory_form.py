"""What becomes of a frame's memory map: what is stored, and the tokens that are attended to.

Memory attention's keys are those of the memories one after another, then those of object pointers,
which have no place in the frame. A placement rotates the keys of the memories by their places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.model.position_encoding import rotary_table, rotate, sine_grid


class MemoryForm(nn.Module, ABC):
    """From a map to what is stored, and from what is stored to tokens with their positions."""

    @abstractmethod
    def forward(self, maps: Tensor) -> Tensor:
        """Turn maps [B, C, g, g] of B objects into what is stored of each."""

    @abstractmethod
    def tokens(self, memories: Tensor) -> Tensor:
        """Tokens [..., N, C] of stored memories."""

    @abstractmethod
    def position(self, memories: Tensor) -> Tensor:
        """Position encoding [N, C] of the tokens of each memory."""


class MapForm(MemoryForm):
    """The map itself is stored; each of its cells is a token."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps as they are."""
        return maps

    def tokens(self, memories: Tensor) -> Tensor:
        """[..., C, g, g] to [..., g * g, C]."""
        return memories.flatten(-2).transpose(-2, -1)

    def position(self, memories: Tensor) -> Tensor:
        """Sine encoding of the grid."""
        channels, height, width = memories.shape[-3:]
        return sine_grid(height, width, channels, memories.device).flatten(1).T


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
