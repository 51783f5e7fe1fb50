"""Between the host and the device: a few transfers per frame, whatever the number of objects.

Each read waits until the device is done with all that it was given, so that what the host wants to
know of a frame is read at once, when everything has been launched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

T = TypeVar("T")


class Reading:
    """One transfer of tensors of one device, which runs while the host goes on."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self._host: Tensor | None = None
        self._done: torch.cuda.Event | None = None
        if not tensors or tensors[0].device.type == "cpu":
            return
        packed = torch.cat([t.contiguous().view(-1).view(torch.uint8) for t in tensors])
        self._host = torch.empty(packed.shape, dtype=torch.uint8, pin_memory=packed.is_cuda)
        self._host.copy_(packed, non_blocking=packed.is_cuda)
        if packed.is_cuda:
            self._done = torch.cuda.Event()
            self._done.record()

    def arrays(self) -> list[NDArray[Any]]:
        """Wait for the transfer, and return what was read."""
        if self._done is not None:
            self._done.synchronize()
        if self._host is None:
            return [t.numpy() for t in self._tensors]
        data, arrays, at = self._host.numpy(), [], 0
        for t in self._tensors:
            kind = torch.empty(0, dtype=t.dtype).numpy().dtype
            arrays.append(data[at : at + t.nbytes].view(kind).reshape(t.shape))
            at += t.nbytes
        return arrays


def in_few_sizes(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Cut into batches of `most`, and what is left into powers of two: each size may be a graph."""
    at = 0
    while at < len(items):
        count = min(most, 2 ** ((len(items) - at).bit_length() - 1))
        yield items[at : at + count]
        at += count


def to_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Read tensors of one device in one transfer, and wait for it."""
    return Reading(tensors).arrays()


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Bring an array to a device, without a wait where the device allows that."""
    return ready_for(array, device).to(device, non_blocking=device.type == "cuda")


def ready_for(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to where a device fetches it from by itself; any thread may do so."""
    if device.type != "cuda":
        return torch.from_numpy(np.ascontiguousarray(array))
    pinned = torch.empty(array.shape, dtype=torch.from_numpy(array[:0]).dtype, pin_memory=True)
    pinned.numpy()[...] = array  # torch's copy would wake all of the processor's cores
    return pinned
