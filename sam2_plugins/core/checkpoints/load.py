"""From a name or a path to a network that is ready to run."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sam2_plugins.core.checkpoints.cache import (
    check_sha256,
    find_weights,
    other_than_published,
    record_sha256,
    recorded_sha256,
    sha256_of,
)
from sam2_plugins.core.checkpoints.choose import AUTO, choose_device, choose_model
from sam2_plugins.core.checkpoints.download import download
from sam2_plugins.core.checkpoints.files import Weights, read_weights
from sam2_plugins.core.checkpoints.recognise import (
    fitting_variants,
    mismatch,
    tell_apart,
)
from sam2_plugins.core.checkpoints.transfer import Progress
from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.variants import NANO, VARIANTS, Variant, get_variant

if TYPE_CHECKING:
    import torch

    from sam2_plugins.core.model import Sam2Model

_SUFFIXES = {".pt", ".pth", ".safetensors"}
_cache_lock = Lock()
_log = logging.getLogger(__name__)


def load_model(
    name_or_path: str | Path,
    device: str | torch.device = "auto",
    image_size: int | None = None,
    on_progress: Progress | None = None,
) -> Sam2Model:
    """Return a model in evaluation mode on a device.

    Parameters
    ----------
    name_or_path
        "nano" (embedded), a published name such as "sam2.1-tiny" or "edgetam" (found in the cache,
        or downloaded), "auto" (the best that is here, see `choose_model`), or a .pt or
        .safetensors file, whose variant is recognised.
    device
        "auto" takes CUDA, else MPS, else the CPU.
    image_size
        Side in pixels of the square that the model sees, a multiple of the variant's
        `size_multiple`; by default the variant's own. Published weights were trained at that one
        only: how good masks are at another is not known.
    on_progress
        Called with bytes done and total while weights are downloaded.

    Raises
    ------
    ModelError
        If the name or the device is none; if the network cannot take the image size, with those
        that it can; or if the weights cannot be had, are damaged, or do not fit.
    """
    chosen = choose_device(device)
    path, requested = _locate(name_or_path, chosen, on_progress)
    return _load(path, requested, chosen, image_size)


def cached_model(
    name_or_path: str | Path,
    device: str | torch.device = "auto",
    image_size: int | None = None,
    on_progress: Progress | None = None,
) -> Sam2Model:
    """Do what `load_model` does, once: the last two models stay and are handed out again.

    A file that changed since is loaded anew. The model is shared, so do not train it.
    """
    chosen = choose_device(device)
    path, requested = _locate(name_or_path, chosen, on_progress)
    with _cache_lock:
        return _load_once(path, requested, chosen, image_size, path.stat().st_mtime_ns)


def locate_weights(name_or_path: str | Path, device: str | torch.device = "auto") -> Path:
    """Return the file of weights that `load_model` would load; it is downloaded if it is missing.

    Raises
    ------
    ModelError
        If there is none.
    """
    return _locate(name_or_path, device, None)[0]


def check_model_name(name_or_path: str | Path) -> None:
    """Check that there is such a model, or such a file, without loading or downloading anything.

    Raises
    ------
    ModelError
        If there is not.
    """
    if name_or_path != AUTO:
        _file_meant(name_or_path)


def _locate(
    name_or_path: str | Path, device: str | torch.device, on_progress: Progress | None
) -> tuple[Path, Variant | None]:
    """Return the file, and the variant that it should hold if one was named, or chosen here."""
    if name_or_path == AUTO:
        choice = choose_model(device)
        _log.log(logging.WARNING if choice.name == NANO.name else logging.INFO, choice.note)
        name_or_path = choice.name
    path = _file_meant(name_or_path)
    if path is None:
        variant = get_variant(str(name_or_path))
        return find_weights(variant.name) or download(variant.name, on_progress), variant
    return path, None


def _file_meant(name_or_path: str | Path) -> Path | None:
    """Return the file that is meant, which is there, or None if a variant is."""
    if isinstance(name_or_path, str) and name_or_path in VARIANTS:
        return None
    path = Path(name_or_path).expanduser().absolute()
    if path.is_file():
        return path
    if isinstance(name_or_path, str):
        try:
            get_variant(name_or_path)
        except ModelError:
            if path.suffix not in _SUFFIXES and Path(name_or_path).name == name_or_path:
                raise
        else:
            return None
    raise ModelError(
        f"There is no file {path}. Check the path, or name one of {', '.join(VARIANTS)}."
    )


def _load(
    path: Path,
    requested: Variant | None,
    device: torch.device,
    image_size: int | None,
    *_state: int,
) -> Sam2Model:
    if requested is not None:
        check_sha256(requested, path)
    try:
        weights = read_weights(path)
    except ModelError as error:
        if requested is None or requested.published is None:
            raise
        raise ModelError(
            f"{error} `sam2-plugins download {requested.name}` does so, once {path} is deleted."
        ) from error
    model = _fill(path, weights, requested, image_size)
    if requested is not None and requested.published and recorded_sha256(path) is None:
        # Put there by hand, and good; a cache that cannot be written serves without the record.
        with suppress(OSError):
            record_sha256(path, sha256_of(path))
    if requested is not None and (digest := other_than_published(requested, path)):
        _log.warning(
            "%s fits %s, but is not the published file: its sha256 is %s. "
            "`sam2-plugins download %s` fetches that one.",
            path,
            requested.name,
            digest,
            requested.name,
        )
    return model.to(device).eval()


_load_once = lru_cache(maxsize=2)(_load)


def _fill(
    path: Path, weights: Weights, requested: Variant | None, image_size: int | None
) -> Sam2Model:
    """Build the network that a file holds, and put the tensors in, each in its place."""
    from sam2_plugins.core.model import build_model

    shapes = {name: tuple(tensor.shape) for name, tensor in weights.tensors.items()}
    held = weights.variant
    if held is None and (fitting := fitting_variants(shapes)):
        held = tell_apart(path, fitting, requested)
    if requested is not None and held is not None and held.name != requested.name:
        raise ModelError(
            f"{path} holds {held.name}, asked for {requested.name}. Load {held.name} instead, or "
            f"delete the file and run `sam2-plugins download {requested.name}`."
        )
    variant = held or requested
    if variant is None:
        raise ModelError(
            f"{path} holds no SAM 2 that is known here: its tensors begin with "
            f"{', '.join(list(shapes)[:3])}. Give a published checkpoint, or a file that "
            "save_model wrote, which says what it is."
        )
    model = build_model(variant, image_size)
    difference = mismatch(shapes, {n: tuple(t.shape) for n, t in model.state_dict().items()})
    if difference:
        raise ModelError(
            f"{path} does not fit {variant.name}: {difference}. Fetch it again, or save the state "
            "dict of the whole SAM 2 model under its published names."
        )
    model.load_state_dict(weights.tensors, strict=True)
    return model
