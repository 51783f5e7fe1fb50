"""Which device to run on, and which model to take where nobody named one.

That is the best for this machine of those that are here. Nothing is downloaded. What is chosen, and
what would be better, stands in one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sam2_plugins.core.checkpoints.cache import find_weights
from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.files import content_digest
from sam2_plugins.core.variants import NANO, VARIANTS, Variant

if TYPE_CHECKING:
    import torch

AUTO = "auto"
"""The name of a model that stands for the choice made here."""

CPU_GIGAFLOP = 250.0
"""Arithmetic of a frame that a processor does in a few seconds."""


@dataclass(frozen=True)
class ModelChoice:
    """The name of a model, and what a person should know of the choice, in one line."""

    name: str
    note: str


def choose_model(device: str | torch.device = AUTO) -> ModelChoice:
    """Choose the best published model that is in the cache, or "nano" if there is none.

    A graphics card takes the one with the highest published J&F. On a processor that would take
    many times longer for a little more, so it takes the best of those that cost little: EdgeTAM, if
    it is there.

    Parameters
    ----------
    device
        Where the model will run; "auto" as in `load_model`.

    Raises
    ------
    ModelError
        If there is no such device.
    """
    on_cpu = choose_device(device).type == "cpu"
    published = [variant for variant in VARIANTS.values() if variant.published]
    here = [variant for variant in published if find_weights(variant.name)]
    chosen = _best(here, on_cpu) if here else NANO
    machine = "a processor" if on_cpu else "a graphics card"
    what = f"Of the models on this machine, {chosen.name} is the best for {machine}"
    if not here:
        what = f"No published model is on this machine, so {chosen.name} is taken"
    return ModelChoice(chosen.name, f"{what}. {_hint(chosen, published, here, on_cpu)}")


def model_name(name: str, device: str | torch.device = AUTO) -> str:
    """Return a model's name, with the choice made where it is "auto"."""
    return choose_model(device).name if name == AUTO else name


def model_identity(name: str, device: str | torch.device = AUTO) -> str:
    """Return what tells a model from every other: its name, and of a file what it holds, too.

    A model that was trained anew into the same file is another one.
    """
    chosen = model_name(name, device)
    digest = weights_digest(chosen)
    return f"{Path(chosen).name} {digest}" if digest else chosen


def weights_digest(name: str) -> str:
    """Return a digest of a file of weights; "" of a model that has a name, or is not there."""
    path = Path(name).expanduser()
    if name == NANO.name or name in VARIANTS or not path.is_file():
        return ""
    state = path.stat()
    return _digest_of_file(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest_of_file(path: Path, *_state: int) -> str:
    return content_digest(path)[:16]


def _best(variants: Iterable[Variant], on_cpu: bool) -> Variant:
    """The best by quality where the cost does not matter, and by cost where it is too high."""

    def rank(variant: Variant) -> tuple[bool, float, float]:
        cost = variant.gigaflop or float("inf")
        affordable = not on_cpu or cost <= CPU_GIGAFLOP
        return affordable, _quality(variant) if affordable else 0.0, -cost

    return max(variants, key=rank)


def _quality(variant: Variant) -> float:
    return (variant.published.j_and_f if variant.published else None) or 0.0


def _hint(chosen: Variant, published: list[Variant], here: list[Variant], on_cpu: bool) -> str:
    """Say what to type for another model, and what that one is better in."""
    other = _best(published, on_cpu)
    if other == chosen:
        finer = [variant for variant in published if _quality(variant) > _quality(chosen)]
        if not finer:
            return "No published model is better."
        other = min(finer, key=lambda variant: (variant.gigaflop or 0, -_quality(variant)))
    assert other.published is not None
    times = (other.gigaflop or 1) / (chosen.gigaflop or 1)
    if _quality(other) > _quality(chosen):
        gain = "Better masks" + (f", at {times:.0f} times the arithmetic" if chosen in here else "")
    else:
        gain = f"Faster, with {times:.0%} of the arithmetic"
    fetch = f"`sam2-plugins download {other.name}` ({other.published.megabytes} MB)"
    if other == _best(published, on_cpu):
        return f"{gain}: {fetch}."
    name = f"the model {other.name}"
    return f"{gain}: choose {name}." if other in here else f"{gain}: {fetch}, then choose {name}."


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
