"""The FiftyOne plugin: masks of objects, propagated across the videos of a dataset.

FiftyOne imports this module on every call of an operator, so it loads nothing by itself. Heavy
modules are imported from the installed package, never as a second copy.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Any

_HOMES = {
    "Everything": "segmentation",
    "Report": "request",
    "Request": "request",
    "evaluate": "evaluation",
    "export": "exports",
    "propagate": "api",
    "segment": "segmentation",
}

__all__ = ["register", *_HOMES]


def register(plugin: Any) -> None:
    """Register the operators; FiftyOne calls this.

    Raises
    ------
    ImportError
        If the package that does the work is not in FiftyOne's Python.
    """
    try:
        operators = import_module("sam2_plugins.fiftyone_plugin.operators").OPERATORS
    except ImportError as error:
        message = (
            f"The SAM 2 plugin cannot work ({error}). Install its package into the Python that "
            f'FiftyOne runs in, {sys.executable}: pip install "sam2-plugins[fiftyone]"'
        )
        logging.getLogger(__name__).warning(message)
        raise ImportError(message) from error
    for kind in operators:
        plugin.register(kind)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"sam2_plugins.fiftyone_plugin.{_HOMES[name]}"), name)
