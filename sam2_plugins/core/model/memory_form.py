"""What becomes of a frame's memory map: what is stored, and the tokens that are attended to."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from sam2_plugins.core.model.position_encoding import sine_grid


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
