"""Matrix products with weights, by the fastest library that a processor has.

PyTorch multiplies float32 matrices with MKL, which is tuned for its maker's processors. oneDNN,
which PyTorch brings for convolutions, is as fast there and up to a third faster elsewhere, and
applies the activation while its results are in cache. It serves inference only: it has no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 64
"""For fewer rows than this, preparing the product takes oneDNN longer than the product itself."""

_onednn: ContextVar[bool] = ContextVar("onednn", default=True)

Activation = Literal["none", "relu", "gelu"]

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
}


class Linear(nn.Linear):
    """A linear layer, and the activation after it."""

    def forward(self, x: Tensor, activation: Activation = "none") -> Tensor:
        """Apply the layer to the last dimension."""
        return linear(x, self.weight, self.bias, activation)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: Activation = "none"
) -> Tensor:
    """Multiply x [..., in] with weight [out, in], add a bias, and apply an activation."""
    product = _onednn_product()
    if product is None or not _serves(x, weight):
        return _ACTIVATIONS[activation](F.linear(x, weight, bias))
    return product(x, weight, bias, activation, [], "none" if activation == "gelu" else "")


@contextmanager
def by_pytorch() -> Iterator[None]:
    """Leave products to PyTorch for as long as the block runs: it counts only its own."""
    token = _onednn.set(False)
    try:
        yield
    finally:
        _onednn.reset(token)


def _serves(x: Tensor, weight: Tensor) -> bool:
    return (
        _onednn.get()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and x.numel() >= ROWS * x.shape[-1]
    )


@cache
def _onednn_product() -> Callable[..., Any] | None:
    """Return the product of oneDNN; None if this build of PyTorch has none that works."""
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        product = torch.ops.mkldnn._linear_pointwise
        with torch.inference_mode(False), torch.no_grad():
            x = torch.linspace(-1, 1, 12).view(3, 4)
            wanted = F.gelu(F.linear(x, x, x[:, 0]))
            good = torch.allclose(product(x, x, x[:, 0].clone(), "gelu", [], "none"), wanted)
    except (AttributeError, RuntimeError, TypeError):
        return None
    return product if good else None
