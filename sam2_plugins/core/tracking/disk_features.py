"""Features of windows on the disk, so that a second session on a movie need not encode them."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sam2_plugins import __version__
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.files import replacing
from sam2_plugins.core.model import ImageFeatures, Sam2Model

_SUFFIX = ".safetensors"
_SPARE = 0.1
"""Of the limit, freed at once when it is reached."""


class DiskFeatures:
    """A folder of encoded windows, bounded in bytes; what was used longest ago goes first.

    A window is found by all that its features follow from: its pixels as the encoder sees them, the
    weights, the size of the model's input, the device, the precision and the versions of the code.
    Another movie, another contrast or another model therefore never gets features that are not its
    own. A file that is damaged is encoded anew, and a disk that is full is no error.

    Parameters
    ----------
    folder
        Is made when it is needed; several processes may share it.
    gigabytes
        Of all files together.
    """

    def __init__(self, folder: Path, gigabytes: float = 4.0) -> None:
        self.folder = Path(folder)
        self._limit = gigabytes * 1e9
        self._size: float | None = None
        self._models: weakref.WeakKeyDictionary[Sam2Model, tuple[object, bytes]]
        self._models = weakref.WeakKeyDictionary()

    def key(self, model: Sam2Model, pixels: NDArray[np.uint8]) -> str:
        """Return the name of a model's features of a window's pixels [h, w, 3]."""
        digest = blake2b(self._identity(model), digest_size=20)
        digest.update(repr((pixels.shape, pixels.dtype.str)).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.hexdigest()

    def get(self, key: str, device: torch.device) -> ImageFeatures | None:
        """Return the features of a key; None if they are not there, or are damaged."""
        path = self._path(key)
        try:
            with safe_open(path, "pt", device="cpu") as file:
                tensors = [file.get_tensor(name) for name in sorted(file.keys())]
                about = file.metadata()
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError):
            tensors, about = [], {}
        if not tensors or about.get("digest") != _digest(tensors):
            with suppress(OSError):  # gone meanwhile, or not to be written to
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        # As it was computed, so that what follows rounds in the same way.
        order = {"0": torch.contiguous_format, "1": torch.channels_last}
        last = about["channels_last"].split()
        coarse, *skips = (
            tensor.contiguous(memory_format=order[kind]).to(device)
            for tensor, kind in zip(tensors, last, strict=True)
        )
        return ImageFeatures(coarse, tuple(skips))

    def put(self, key: str, features: ImageFeatures) -> None:
        """Keep features; silently not, where the disk does not take them."""
        tensors = [tensor.detach().cpu() for tensor in (features.coarse, *features.skips)]
        last = [str(int(t.ndim == 4 and not t.is_contiguous())) for t in tensors]
        plain = [tensor.contiguous() for tensor in tensors]
        about = {"digest": _digest(plain), "channels_last": " ".join(last)}
        path = self._path(key)
        with suppress(ExportError, OSError, SafetensorError):
            with replacing(path) as fresh:
                save_file({f"{n:02d}": tensor for n, tensor in enumerate(plain)}, fresh, about)
            if self._size is None:
                self._size = sum(size for _, size, _ in self._files())
            else:
                self._size += path.stat().st_size
            if self._size > self._limit:
                self._shrink()

    def _shrink(self) -> None:
        files = sorted(self._files())
        size = sum(size for _, size, _ in files)
        for _, of_file, path in files:
            if size <= self._limit * (1 - _SPARE):
                break
            path.unlink(missing_ok=True)
            size -= of_file
        self._size = size

    def _files(self) -> Iterable[tuple[float, int, Path]]:
        """When each file was used last, and its size."""
        for path in self.folder.glob(f"*/*{_SUFFIX}"):
            with suppress(OSError):  # another process may delete it
                about = path.stat()
                yield about.st_mtime, about.st_size, path

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _identity(self, model: Sam2Model) -> bytes:
        """All but the pixels; the weights are read again where they have been changed in place."""
        tensors = model.state_dict()
        state = [(tensor.data_ptr(), _version(tensor)) for tensor in tensors.values()]
        known = self._models.get(model)
        if known is None or known[0] != state:
            where = (model.device.type, model.variant.trunk.half_precision)
            about = (__version__, torch.__version__, model.image_size, where)
            digest = blake2b(repr((about, [*tensors])).encode(), digest_size=32)
            for tensor in tensors.values():
                digest.update(_bytes(tensor.detach().cpu().contiguous()).data)
            known = self._models[model] = state, digest.digest()
        return known[1]


def _version(tensor: torch.Tensor) -> object:
    """A number that grows with every change in place; where there is none, never the same twice."""
    return object() if tensor.is_inference() else tensor._version


def _digest(tensors: Iterable[torch.Tensor]) -> str:
    digest = blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(_bytes(tensor).data)
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> NDArray[np.uint8]:
    return tensor.reshape(-1).view(torch.uint8).numpy()
