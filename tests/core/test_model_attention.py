from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sam2_plugins.core.model import memory_attention
from sam2_plugins.core.model.memory_attention import MemoryAttention, RotaryAttention
from sam2_plugins.core.model.memory_form import on_grid
from sam2_plugins.core.model.position_encoding import sine_grid

GRID, WIDTH = 4, 32


def given(objects: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    memory, position = torch.randn(2, objects, 3 * GRID * GRID + 8, 16)
    place = sine_grid(GRID, GRID, WIDTH, torch.device("cpu"))
    return torch.randn(1, WIDTH, GRID, GRID), place, memory, position


@torch.no_grad()
def test_objects_are_conditioned_as_each_alone() -> None:
    attention = MemoryAttention(WIDTH, 16, 64, depth=2).eval()
    features, place, memory, position = given(3)
    together = attention(features, place, memory, position, 8, on_grid)
    for i in range(3):
        rows = slice(i, i + 1)
        alone = attention(features, place, memory[rows], position[rows], 8, on_grid)
        assert torch.allclose(together[rows], alone, atol=1e-5)


def test_objects_in_turn_are_conditioned_as_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = MemoryAttention(WIDTH, 16, 64, depth=2).eval()
    with torch.no_grad():
        in_turn = attention(*given(3), 8, on_grid)
        monkeypatch.setattr(memory_attention, "ONE_BY_ONE", ())
        assert torch.allclose(attention(*given(3), 8, on_grid), in_turn, atol=1e-5)
    assert torch.allclose(attention(*given(3), 8, on_grid), in_turn, atol=1e-5)  # with gradients


@torch.no_grad()
def test_values_mixed_before_they_are_projected_give_the_same() -> None:
    torch.manual_seed(0)
    attention = RotaryAttention(WIDTH, heads=1, memory_channels=16)
    q, k, v = (torch.randn(2, n, c) for n, c in ((16, WIDTH), (40, 16), (40, 16)))
    mixed = attention(q, k, v, GRID, unplaced=8)
    with torch.enable_grad():
        projected = attention(q, k, v, GRID, unplaced=8)
    assert torch.allclose(mixed, projected, atol=1e-5)


def test_a_kernel_that_is_not_there_is_done_without() -> None:
    q = torch.randn(2, 1, 8, 32)
    assert memory_attention._mix_by_cudnn(q, q, q[..., :16]) is None
