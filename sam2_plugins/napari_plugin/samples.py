"""File › Open Sample › SAM 2."""

from __future__ import annotations

from typing import Any

import numpy as np


def synthetic() -> list[tuple[Any, dict[str, Any], str]]:
    """Return a synthetic time-lapse of dividing nuclei, made on demand."""
    from sam2_plugins.training.synthetic import sample_timelapse

    movie, _ = sample_timelapse()
    return [_layer(np.asarray(movie), "synthetic nuclei", (1.0, 0.5, 0.5))]


def hela() -> list[tuple[Any, dict[str, Any], str]]:
    """Return the real time-lapse of the demo, fetched once; a synthetic one if it cannot be had."""
    import tifffile
    from napari.utils.notifications import show_warning

    from sam2_plugins.core.errors import FrameSourceError
    from sam2_plugins.demo.movie import hela_path

    try:
        movie = tifffile.imread(hela_path())
    except FrameSourceError as error:
        show_warning(f"The real movie cannot be downloaded, so a synthetic one is shown. {error}")
        return synthetic()
    return [_layer(movie, "HeLa nuclei", (1.0, 0.645, 0.645))]


def _layer(
    movie: Any, name: str, scale: tuple[float, float, float]
) -> tuple[Any, dict[str, Any], str]:
    """One image layer in µm, with the contrast that the demo takes."""
    low, high = np.percentile(movie[:, ::4, ::4], (0.5, 99.7))
    units = ("frame", "um", "um")
    about = {"name": name, "scale": scale, "contrast_limits": (float(low), float(high))}
    return movie, {**about, **_known(units)}, "image"


def _known(units: tuple[str, ...]) -> dict[str, Any]:
    """Units, which are pixels along time, and names of the axes, where napari knows them."""
    from napari.layers import Image

    if not hasattr(Image, "units"):
        return {}
    return {"units": ("pixel", *units[1:]), "axis_labels": ("t", "y", "x")}
