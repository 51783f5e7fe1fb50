"""The weights of what goes with nano, which come with the package."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import torch
from torch import nn

from sam2_plugins.core.checkpoints.cache import embedded_path
from sam2_plugins.core.model import ObjectFinder, OutlineRefiner, Sam2Model

TAUGHT_ON = "nano"
"""The variant with which they were taught; models that were fine-tuned from it are near."""

Companion = TypeVar("Companion", bound=nn.Module)


def load_object_finder(model: Sam2Model) -> ObjectFinder | None:
    """Return the finder of a model, on its device; None if no finder was taught on its kind."""
    return _load(model, "object_finder", ObjectFinder(model.variant))


def load_outline_refiner(model: Sam2Model) -> OutlineRefiner | None:
    """Return the refiner of a model, on its device; None if none was taught on its kind."""
    return _load(model, "outline_refiner", OutlineRefiner())


def _load(model: Sam2Model, name: str, companion: Companion) -> Companion | None:
    path = embedded_path(f"{TAUGHT_ON}_{name}")
    if model.variant.trunk.kind != "conv" or not path.exists():
        return None
    companion.load_state_dict(_weights(str(path)))
    return companion.to(model.device).eval()


@lru_cache(2)
def _weights(path: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)
