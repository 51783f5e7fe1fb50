"""Which processor to run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_plugins.core.errors import ModelError

if TYPE_CHECKING:
    import torch


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return the wanted device; "auto" takes CUDA, else MPS, else the CPU.

    Raises
    ------
    ModelError
        If this machine, or this build of torch, does not have the device.
    """
    import torch

    usable = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    present = [kind for kind, there in usable.items() if there]
    if str(device) == "auto":
        return torch.device(present[0])
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ModelError(
            f"There is no device called {str(device)!r}. Choose one of auto, {', '.join(present)}."
        ) from error
    count = torch.cuda.device_count() if chosen.type == "cuda" else 1
    if not usable.get(chosen.type, False) or (chosen.index or 0) >= count:
        raise ModelError(
            f"The device {str(device)!r} is not available here. Choose one of auto, "
            f"{', '.join(present)}; for a graphics card, install the build of torch made for it."
        )
    return chosen
