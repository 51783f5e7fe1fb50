"""The torch state that inference needs, entered where the work runs.

Inference mode and autocast belong to a thread, and a generator that yields inside them would leak
them to its consumer. So every method that computes enters them itself and leaves them on return.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def inference(model: Any) -> Iterator[None]:
    """Inference mode, with bfloat16 autocast where a `Sam2Model` and the hardware are for it."""
    device = model.device.type
    fast = device == "cuda" and model.variant.trunk.half_precision
    fast = fast and torch.cuda.is_bf16_supported(including_emulation=False)
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=fast):
        yield


def in_inference(method: F) -> F:
    """Run a method of an object that has a `model` under `inference`."""

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with inference(self.model):
            return method(self, *args, **kwargs)

    return wrapped  # type: ignore[return-value]
