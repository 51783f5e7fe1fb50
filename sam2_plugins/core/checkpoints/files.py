"""Weights in files: .pt (PyTorch, read without running code) and .safetensors (with a card)."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_plugins.core.checkpoints.recognise import variant_from_json, variant_to_json
from sam2_plugins.core.errors import ExportError, ModelError
from sam2_plugins.core.files import replacing
from sam2_plugins.core.variants import Variant

if TYPE_CHECKING:
    import torch

    from sam2_plugins.core.model import Sam2Model

_VARIANT_KEY, _CARD_KEY = "variant", "sam2_plugins"


class FileKind(Enum):
    """What a file is by its first bytes, whatever its name says."""

    TORCH = "a PyTorch file"
    SAFETENSORS = "a safetensors file"
    WEB_PAGE = (
        "a web page, saved in place of the weights: fetch the file itself "
        "(a browser's 'save link as', not 'save page')"
    )
    LFS_POINTER = "a Git LFS pointer, not the weights: run `git lfs pull` in its repository"
    EMPTY = "empty: fetch or save it again"
    UNKNOWN = "neither a PyTorch nor a safetensors file: give a .pt or .safetensors of SAM 2"


@dataclass(frozen=True)
class Weights:
    """The content of a file: tensors by name, and the card that `save_model` put beside."""

    tensors: dict[str, torch.Tensor]
    variant: Variant | None
    card: Mapping[str, str] = field(default_factory=dict)


def kind_of(path: Path) -> FileKind:
    """Tell what a file is from its first bytes."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return FileKind.EMPTY
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return FileKind.TORCH
    if head[8:9] == b"{":  # after the 8 bytes of the header's length
        return FileKind.SAFETENSORS
    if head.startswith(b"version https://git-lfs"):
        return FileKind.LFS_POINTER
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return FileKind.WEB_PAGE
    return FileKind.UNKNOWN


def read_weights(path: Path) -> Weights:
    """Read a state dict onto the CPU.

    Raises
    ------
    ModelError
        If the file is missing, is something else, is damaged, or would run code when read.
    """
    try:
        kind = kind_of(path)
        if kind is FileKind.TORCH:
            return _read_torch(path)
        if kind is FileKind.SAFETENSORS:
            return _read_safetensors(path)
    except FileNotFoundError as error:
        raise ModelError(f"There is no file {path}. Check the path.") from error
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}. Give the path of a .pt or "
            ".safetensors file that you may read."
        ) from error
    raise ModelError(f"{path} is {kind.value}.")


def read_card(path: str | Path) -> dict[str, str]:
    """Return the card that `save_model` put into a file; other files have an empty one.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    path = Path(path)
    if path.is_file() and kind_of(path) is FileKind.TORCH:
        return dict(_read_torch(path).card)
    card = _metadata(path)
    card.pop(_VARIANT_KEY, None)
    return card


def save_model(model: Sam2Model, path: str | Path, card: Mapping[str, str] | None = None) -> Path:
    """Write a model with its variant, so that `load_model(path)` needs no more.

    The file appears whole or not at all: an older one stays if writing fails.

    Parameters
    ----------
    path
        Ends in .safetensors, or in .pt for a file in the layout of the published ones.
    card
        What people should know of the weights: data, recipe, figures, limits, licence.

    Raises
    ------
    ModelError
        If the file cannot be written.
    """
    path = Path(path)
    require_model_suffix(path)
    card = dict(card or {})
    if _VARIANT_KEY in card:
        raise ModelError("The card's key 'variant' is taken: give that entry another name.")
    variant = replace(model.variant, image_size=model.image_size)
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in model.state_dict().items()}
    try:
        with replacing(path) as fresh:
            _write(fresh, tensors, {**card, _VARIANT_KEY: variant_to_json(variant)})
    except (ExportError, TypeError) as error:
        raise ModelError(f"Cannot write the model: {error}") from error
    return path


def require_model_suffix(path: Path) -> None:
    """Refuse the name of a file that no model can be saved as: before any work is done for it.

    Raises
    ------
    ModelError
        If it does not end in .safetensors or .pt.
    """
    if path.suffix not in (".safetensors", ".pt"):
        raise ModelError(f"Models are saved as .safetensors or .pt: rename {path.name!r} so.")


def _write(path: Path, tensors: dict[str, torch.Tensor], card: dict[str, str]) -> None:
    import torch
    from safetensors.torch import save

    if path.suffix == ".pt":
        torch.save({"model": tensors, _CARD_KEY: card}, path)
    else:
        path.write_bytes(save(tensors, metadata=card))


def _read_torch(path: Path) -> Weights:
    import torch

    try:
        with path.open("rb") as file:  # as a path, torch would go by its suffix
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own text advises to load without the protection.
        code = re.search(r"GLOBAL (\S+)", str(error))
        wants = f" (it needs {code[1]})" if code else ""
        raise ModelError(
            f"{path} is refused: it is damaged, or holds more than tensors and would run code when "
            f"loaded{wants}. Fetch it again from a source that you trust, or save its state dict "
            "alone."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path} is a damaged or incomplete PyTorch file: {str(error).splitlines()[0]} "
            "Fetch it again."
        ) from error
    stored = content.get(_CARD_KEY) if isinstance(content, dict) else None
    card = dict(stored) if isinstance(stored, dict) else {}
    return Weights(_state_dict(path, content), _variant_in(path, card), card)


def _state_dict(path: Path, content: Any) -> dict[str, torch.Tensor]:
    import torch

    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise ModelError(
            f"{path} holds no state dict: it should be {{'model': state_dict}} or a state dict."
        )
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise ModelError(
                f"{path} holds no state dict: {name!r} is a {type(value).__name__}, not a tensor. "
                "Save model.state_dict() alone, or under the key 'model'."
            )
    return state


def _read_safetensors(path: Path) -> Weights:
    from safetensors.torch import load_file

    card = _metadata(path)
    return Weights(load_file(path), _variant_in(path, card), card)


def _variant_in(path: Path, card: dict[str, str]) -> Variant | None:
    """Take the variant out of a card, if it is there."""
    if _VARIANT_KEY not in card:
        return None
    try:
        return variant_from_json(card.pop(_VARIANT_KEY))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is missing, damaged or incomplete as a safetensors file: {error}. "
            "Fetch or save it again."
        ) from error
