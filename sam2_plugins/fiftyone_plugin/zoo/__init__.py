"""A source of models for FiftyOne's zoo: see `foz.register_zoo_model_source`.

FiftyOne copies this folder and imports the copy; the work is done by the installed package.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


def download_model(model_name: str, model_path: str) -> None:
    """Note that a model is wanted: its weights are fetched, and checked, when it is loaded."""
    Path(model_path).write_text(f"{model_name}: loaded by the package sam2-plugins\n", "utf-8")


def load_model(model_name: str, model_path: str, **options: Any) -> Any:
    """Load a model.

    Parameters
    ----------
    **options
        `device`, `image_size`, `memory`, `direction`: see `sam2_plugins.core.tracking.options`.
    """
    return import_module("sam2_plugins.fiftyone_plugin.zoo_models").load(model_name, **options)
