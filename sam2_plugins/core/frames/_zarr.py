"""Zarr arrays, and OME-NGFF images in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._array import ArraySource
from sam2_plugins.core.frames._source import ReadOptions

MARKERS = (".zarray", ".zgroup", "zarr.json")


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a zarr array or group."""
    return path.is_dir() and any((path / marker).exists() for marker in MARKERS)


def open_zarr(path: Path, options: ReadOptions) -> ArraySource:
    """Open an array, the first resolution of an OME-NGFF image, or a group's only array.

    Raises
    ------
    FrameSourceError
        If zarr is not installed, or which array is meant is not clear.
    """
    try:
        import zarr
    except ImportError as error:
        raise FrameSourceError(f"To read {path}, install zarr: pip install zarr") from error
    try:
        node: Any = zarr.open(str(path), mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise FrameSourceError(f"{path} cannot be read as zarr: {error}") from error
    axes = None
    if hasattr(node, "attrs") and (image := _multiscale(node)) is not None:
        # NGFF 0.4 and 0.5, multiscales: the first data set is the finest
        axes = _letters(image.get("axes"))
        node = node[image["datasets"][0]["path"]]
    elif not hasattr(node, "shape"):
        node = _only_array(node, path)
    return ArraySource(node, path.name, options, kind="zarr", known_axes=axes)


def _multiscale(node: Any) -> dict[str, Any] | None:
    attributes = dict(node.attrs)
    images = attributes.get("ome", attributes).get("multiscales")
    return images[0] if images else None


def _letters(axes: Any) -> str | None:
    if not axes:
        return None
    return "".join((axis["name"] if isinstance(axis, dict) else axis)[0] for axis in axes).upper()


def _only_array(group: Any, path: Path) -> Any:
    arrays = dict(group.arrays())
    if len(arrays) != 1:
        found = ", ".join(sorted(arrays)) or "none"
        raise FrameSourceError(
            f"{path} is a group, and which of its arrays is meant is not clear ({found}): "
            "give the path of one."
        )
    return next(iter(arrays.values()))
