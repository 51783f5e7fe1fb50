"""Where a token is: sine tables, random Fourier features for prompts, rotary tables for attention.

Tables that depend on shapes only are made once and kept for good: captured graphs refer to them.
They are made outside inference mode, so that training may use a table that an inference call made
first.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

_TEMPERATURE = 10000.0


@cache
def _frequencies(channels: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        exponent = 2 * torch.div(torch.arange(channels), 2, rounding_mode="floor") / channels
        return (_TEMPERATURE**exponent).to(device)


@cache
def sine_grid(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Sine encoding of a grid, as in DETR (Carion et al. 2020), with coordinates scaled to 2π.

    Returns
    -------
    Tensor
        [channels, height, width]; the first half of the channels tells y, the second x.
    """
    with torch.inference_mode(False), torch.no_grad():
        half = channels // 2
        frequencies = _frequencies(half, torch.device("cpu"))

        def along(size: int) -> Tensor:
            angle = torch.arange(1, size + 1) / (size + 1e-6) * (2 * math.pi)
            angle = angle[:, None] / frequencies
            return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=-1).flatten(1)

        y = along(height)[:, None, :].expand(height, width, half)
        x = along(width)[None, :, :].expand(height, width, half)
        return torch.cat((y, x), dim=-1).permute(2, 0, 1).contiguous().to(device)


def sine_of(positions: Tensor, channels: int) -> Tensor:
    """Sine encoding of scalar positions: [...] to [..., channels]."""
    angle = positions[..., None] / _frequencies(channels // 2, positions.device)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


@cache
def rotary_table(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Turns of the axial rotary encoding (Su et al. 2021; Heo et al. 2024).

    Returns
    -------
    Tensor
        Complex [height * width, channels / 2]: half of the pairs turn with x, half with y.
    """
    with torch.inference_mode(False), torch.no_grad():
        rates = 1.0 / _TEMPERATURE ** (
            torch.arange(0, channels, 4)[: channels // 4].float() / channels
        )
        index = torch.arange(height * width)
        x = (index % width).float()
        y = torch.div(index, width, rounding_mode="floor").float()
        angle = torch.cat((torch.outer(x, rates), torch.outer(y, rates)), dim=-1)
        return torch.polar(torch.ones_like(angle), angle).to(device)


def rotate(tokens: Tensor, table: Tensor, unplaced: int = 0) -> Tensor:
    """Turn each pair of neighbouring channels of tokens [..., M * N + unplaced, C].

    The tokens may be overwritten, which saves a copy of the largest tensors that there are.

    Parameters
    ----------
    table
        Complex [N, C / 2], which serves M grids, one after the other.
    unplaced
        So many tokens at the end are not turned.
    """
    pairs = torch.view_as_complex(tokens.float().unflatten(-1, (-1, 2)))
    placed = pairs.shape[-2] - unplaced
    pairs[..., :placed, :].unflatten(-2, (-1, len(table))).mul_(table)
    return torch.view_as_real(pairs).flatten(-2).to(tokens.dtype)


class RandomFourierEncoding(nn.Module):
    """Random Fourier features of points in the unit square (Tancik et al. 2020)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, channels // 2))

    def forward(self, points: Tensor) -> Tensor:
        """Encode (x, y) in [0, 1]: [..., 2] to [..., channels]."""
        angle = (2 * points - 1) @ self.positional_encoding_gaussian_matrix * (2 * math.pi)
        return torch.cat((angle.sin(), angle.cos()), dim=-1)

    def grid(self, height: int, width: int) -> Tensor:
        """Encode the centres of a grid's cells: [channels, height, width]."""
        like = self.positional_encoding_gaussian_matrix
        y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
        x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        return self(torch.stack((xx, yy), dim=-1)).permute(2, 0, 1)
