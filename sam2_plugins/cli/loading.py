"""Models for commands: progress while one is downloaded, and a line that describes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sam2_plugins.cli.console import DownloadBar, say
from sam2_plugins.core.checkpoints import AUTO, choose_model, download, load_model

if TYPE_CHECKING:
    from sam2_plugins.core.model import Sam2Model


def chosen_model(name: str, device: str = "auto") -> str:
    """Return a model's name; of "auto", print in one line which one it is."""
    if name != AUTO:
        return name
    choice = choose_model(device)
    say(choice.note)
    return choice.name


def open_model(name: str, device: str = "auto", image_size: int | None = None) -> Sam2Model:
    """Load a model, and print in one line which one it is and what it may be used for."""
    name = chosen_model(name, device)
    with DownloadBar(name) as bar:
        model = load_model(name, device, image_size, on_progress=bar)
    say(f"Model: {describe(model)}")
    note = model.variant.size_note(model.image_size)
    if note is not None:
        say(f"Note: {note}.")
    return model


def fetch_model(name: str) -> Path:
    """Download a model unless it is here, with progress."""
    with DownloadBar(name) as bar:
        return download(name, bar)


def describe(model: Sam2Model) -> str:
    """Return the model's name, size, device, licence and nature in one line."""
    variant = model.variant
    facts = f"{variant.name}, {model.image_size} px, on {model.device}, licence {variant.licence}"
    return f"{facts}: {variant.about}" if variant.about else facts
