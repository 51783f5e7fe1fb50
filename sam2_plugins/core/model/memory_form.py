"""What becomes of a frame's memory map: what is stored, and the tokens that are attended to.

Memory attention's keys are those of the memories one after another, then those of object pointers,
which have no place in the frame. A form rotates the keys of its memories by their places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import log
from typing import Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.model.position_encoding import rotary_table, rotate, sine_grid


class PlacedKeys(NamedTuple):
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


Place: TypeAlias = Callable[[Tensor, Tensor, int, int], PlacedKeys]
"""See `MemoryForm.place`."""


def on_grid(keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
    """Rotate all keys but those of pointers: every memory is a map of the frame's own grid."""
    table = rotary_table(grid, grid, keys.shape[-1], keys.device)
    return PlacedKeys(rotate(keys, table, unplaced), values)


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

    @abstractmethod
    def place(self, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
        """Give keys their places; they may be overwritten.

        Parameters
        ----------
        keys, values
            [B, heads, T, C / heads] and [B, T, C].
        grid
            Side of the frame's own grid.
        unplaced
            So many of the last tokens are pointers.
        """


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

    def place(self, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
        """Place keys on the frame's own grid."""
        return on_grid(keys, values, grid, unplaced)


_FOUR = log(4)


class PooledForm(MapForm):
    """Maps, of which four neighbouring keys become one where there is more than one memory.

    Parameters
    ----------
    weigh
        What log 4 is added to: the logits of such a key, or all its channels. The latter is how
        one model was published, and trained.
    """

    def __init__(self, weigh: Literal["logits", "keys"]) -> None:
        super().__init__()
        self.weigh = weigh

    def place(self, keys: Tensor, values: Tensor, grid: int, unplaced: int) -> PlacedKeys:
        """Rotate, then average two by two."""
        placed = on_grid(keys, values, grid, unplaced)
        memories, pointers = split_pointers(placed.keys, unplaced)
        if memories.shape[-2] <= grid * grid:
            return placed
        pooled = _pooled(memories, grid)
        kept, rest = split_pointers(values, unplaced)
        bias = None
        if self.weigh == "keys":
            pooled = pooled + _FOUR
        else:
            bias = F.pad(pointers.new_full((pooled.shape[-2],), _FOUR), (0, unplaced))
        return PlacedKeys(
            torch.cat((pooled, pointers), dim=-2),
            torch.cat((_pooled(kept, grid), rest), dim=-2),
            bias,
        )


def split_pointers(tokens: Tensor, unplaced: int) -> tuple[Tensor, Tensor]:
    """Tokens [..., T, C] of memories, and of pointers."""
    count = tokens.shape[-2] - unplaced
    return tokens[..., :count, :], tokens[..., count:, :]


def _pooled(tokens: Tensor, grid: int) -> Tensor:
    """Average tokens [..., M * grid * grid, C] two by two: [..., M * grid * grid / 4, C]."""
    squares = tokens.unflatten(-2, (-1, grid // 2, 2, grid // 2, 2))
    return squares.mean((-4, -2)).flatten(-4, -2)
