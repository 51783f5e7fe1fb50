"""The weights of the object finder, which come with the package."""

from __future__ import annotations

from functools import lru_cache

import torch

from sam2_plugins.core.checkpoints.cache import embedded_path
from sam2_plugins.core.model import ObjectFinder, Sam2Model

TAUGHT_ON = "nano"
"""The variant on whose features the finder was taught; those of fine-tuned models are near."""


def load_object_finder(model: Sam2Model) -> ObjectFinder | None:
    """Return the finder of a model, on its device; None if no finder was taught on its kind."""
    path = embedded_path(f"{TAUGHT_ON}_object_finder")
    if model.variant.trunk.kind != "conv" or not path.exists():
        return None
    finder = ObjectFinder(model.variant)
    finder.load_state_dict(_weights(str(path)))
    return finder.to(model.device).eval()


@lru_cache(1)
def _weights(path: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)
