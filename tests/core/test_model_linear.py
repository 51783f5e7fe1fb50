from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from sam2_plugins.core.model import linear as module
from sam2_plugins.core.model.linear import Activation, Linear, by_pytorch, linear

PLAIN = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}


@pytest.mark.parametrize("activation", PLAIN)
@pytest.mark.parametrize("shape", [(5,), (300,), (2, 20, 20)])
def test_a_product_is_that_of_pytorch(activation: Activation, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer, x = Linear(24, 40), torch.randn(*shape, 24)
    wanted = PLAIN[activation](F.linear(x, layer.weight, layer.bias))
    with torch.inference_mode():
        assert torch.allclose(layer(x, activation), wanted, atol=1e-5)
        with by_pytorch():
            assert torch.equal(layer(x, activation), wanted)


def test_a_product_may_be_of_views() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(100, 2, 24)[:, 1], torch.randn(24, 30).T
    with torch.no_grad():
        assert torch.allclose(linear(x, weight), x @ weight.T, atol=1e-5)


def test_a_layer_learns_as_ever() -> None:
    layer, x = Linear(8, 8), torch.randn(100, 8)
    layer(x, "gelu").sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.abs().sum() > 0


def test_a_build_without_onednn_is_served_by_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert module._onednn_product.__wrapped__() is None


def test_operations_can_be_counted() -> None:
    layer, x = Linear(8, 16), torch.randn(100, 8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, by_pytorch():
        layer(x)
    assert counter.get_total_flops() == 2 * 100 * 8 * 16
