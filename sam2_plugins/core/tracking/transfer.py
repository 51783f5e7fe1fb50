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

STAGED = 2**15
"""Bytes that a driver takes over before it returns: nothing has to stay where it is until then."""

FILLED = 8
"""Batches are not smaller, but for those of one: a card takes as long for fewer."""


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


def in_few_sizes(items: Sequence[T], most: int) -> Iterator[list[T]]:
    """Cut into batches of `most`, or of one or few powers of two: each size may be a graph.

    A batch is filled up with its last item, which its caller has to leave out of what comes out.
    """
    at = 0
    while at < len(items):
        size = _size_for(len(items) - at, most)
        some = list(items[at : at + size])
        yield some + [some[-1]] * (size - len(some))
        at += size


def _size_for(count: int, most: int) -> int:
    """Size of the next batch of so many items that are left."""
    if count == 1 or count >= most:
        return min(count, most)
    if count <= FILLED:
        return min(FILLED, most)
    size = 2 ** (count - 1).bit_length()
    # What fills up costs as much as the rest: not more than a quarter of it.
    return min(size, most) if size - count <= size // 4 else size // 2


def to_host(tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Read tensors of one device in one transfer, and wait for it."""
    return Reading(tensors).arrays()


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Bring an array to a device, without a wait where the device allows that."""
    if array.nbytes <= STAGED:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
    else:
        tensor = ready_for(array, device)
    return tensor.to(device, non_blocking=device.type == "cuda")


def ready_for(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to where a device fetches it from by itself; any thread may do so."""
    if device.type != "cuda":
        return torch.from_numpy(np.ascontiguousarray(array))
    pinned = torch.empty(array.shape, dtype=torch.from_numpy(array[:0]).dtype, pin_memory=True)
    pinned.numpy()[...] = array  # torch's copy would wake all of the processor's cores
    return pinned
