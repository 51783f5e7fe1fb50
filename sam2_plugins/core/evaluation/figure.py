"""Plots, for which matplotlib is needed; nothing else needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_plugins.core.errors import ExportError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches.

    Raises
    ------
    ExportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExportError(
            'The plot needs matplotlib: pip install "sam2-plugins[train]".'
        ) from error
    return Figure(figsize=(width, height), layout="constrained")
