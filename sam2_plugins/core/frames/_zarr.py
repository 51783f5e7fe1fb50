"""Zarr arrays, and OME-Zarr images: versions 0.1 to 0.5, plates, wells, converted files, zips."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count, takewhile
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._array import ArraySource
from sam2_plugins.core.frames._axes import told_axes
from sam2_plugins.core.frames._gate import DAMAGE, require_small_pieces
from sam2_plugins.core.frames._physical import even_times, micrometres, seconds
from sam2_plugins.core.frames._source import ReadOptions

MARKERS = (".zarray", ".zgroup", "zarr.json")
_MOST_CHUNKS = 10_000  # that are looked for
_OLD_AXES = "TCZYX"  # of versions 0.1 and 0.2, which name none


def is_zarr(path: Path) -> bool:
    """Return whether a folder, or a zip file, is a zarr array or group."""
    if path.is_dir():
        return any((path / marker).exists() for marker in MARKERS)
    return zipfile.is_zipfile(path) and _root_in(path) is not None


def is_zarr_address(text: str) -> bool:
    """Return whether a text is the address of a zarr store: a folder called .zarr is on the way."""
    scheme, _, rest = text.partition("://")
    parts = PurePosixPath(rest.partition("?")[0]).parts
    return scheme in ("http", "https") and any(part.endswith(".zarr") for part in parts)


def open_zarr(source: Path | str, options: ReadOptions) -> ArraySource:
    """Open an array, the finest resolution of an OME-Zarr image, or a group's only array.

    Of several images (a plate, a well, a converted file) `options.stream` chooses one.
    """
    with _reading(source) as root:
        node, notes = _image(root, source, options.stream)
        array, letters, multiscale = _array_of(node, source)
        name = str(source).rstrip("/").rpartition("/")[2]
        require_small_pieces(prod(array.chunks), name, options.max_pixels)
        known = (
            _physical(multiscale, letters, array.shape) if multiscale and letters else (None,) * 2
        )
        movie = ArraySource(
            array,
            name,
            options,
            kind="zarr",
            known_axes=letters,
            times=known[0],
            warnings=[*notes, *_gaps(array, source)],
        )
        movie.pixel_size = known[1]
        return movie


def read_zarr(path: Path) -> NDArray[Any]:
    """Read a whole array, (…, Y, X), without further axes of length 1; of an image, its labels.

    Raises
    ------
    FrameSourceError
        If an image has several labels, or it is damaged.
    """
    with _reading(path) as root:
        labels = _labels_in(root)
        node, notes = _image(root if labels is None else labels, path, None)
        if notes:
            raise FrameSourceError(
                f"{path} has several labels: give the path of one of them; of a zip, unpack it."
            )
        array, letters, _ = _array_of(node, path)
        y, x = map(letters.index, "YX") if letters else (array.ndim - 2, array.ndim - 1)
        others = [k for k in range(array.ndim) if k not in (y, x)]
        whole = np.transpose(np.asarray(array[...]), (*others, y, x))
        return np.squeeze(whole, tuple(k for k, n in enumerate(whole.shape[:-2]) if n == 1))


def label_names(path: Path) -> list[str]:
    """Names of the labels that an OME-Zarr image has."""
    with _reading(path) as root:
        labels = _labels_in(root)
        return [] if labels is None else list(_images(labels))


def _labels_in(node: Any) -> Any:
    return node["labels"] if not hasattr(node, "shape") and "labels" in node else None


@contextmanager
def _reading(source: Path | str) -> Iterator[Any]:
    """Open a store, and tell what is wrong with it in words."""
    try:
        import zarr
    except ImportError as error:
        raise FrameSourceError(f"To read {source}, install zarr: pip install zarr") from error
    try:
        yield zarr.open(**_store(source), mode="r")
    except ImportError as error:  # of fsspec's, for an address
        raise FrameSourceError(
            f"To read {source} over the network: pip install fsspec aiohttp ({error})"
        ) from error
    except FrameSourceError:
        raise
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, KeyError):
            reason = f"it has no {error}"
        raise FrameSourceError(
            f"{source} cannot be read as zarr: {reason}. Check the path, or copy it again."
        ) from error


def _store(source: Path | str) -> dict[str, Any]:
    """Arguments of `zarr.open`."""
    if isinstance(source, Path) and source.is_file():
        from zarr.storage import ZipStore

        return {"store": ZipStore(str(source), mode="r"), "path": _root_in(source)}
    return {"store": str(source)}


def _root_in(path: Path) -> str | None:
    """Return the folder in a zip file that is the outermost zarr; None if there is none."""
    with zipfile.ZipFile(path) as file:
        inside = [PurePosixPath(n) for n in file.namelist()]
    roots = [entry.parent for entry in inside if entry.name in MARKERS]
    if not roots:
        return None
    root = str(min(roots, key=lambda entry: len(entry.parts)))
    return "" if root == "." else root


def _attributes(node: Any) -> dict[str, Any]:
    """Metadata of OME: under a key of their own since version 0.5."""
    attributes = dict(node.attrs)
    return dict(attributes.get("ome", attributes))


def _multiscale(node: Any) -> dict[str, Any] | None:
    images = _attributes(node).get("multiscales")
    return dict(images[0]) if images else None


def _image(node: Any, source: Path | str, number: int | None) -> tuple[Any, list[str]]:
    """Go to an image of a group that has several: the one of a number, or the first."""
    if hasattr(node, "shape") or _multiscale(node) is not None:
        return node, []
    paths = _images(node)
    first = next(paths, None)
    if first is None:
        return node, []
    chosen, others = first, list(paths) if number else []
    if number:
        if number > len(others):
            raise FrameSourceError(
                f"{source} has {len(others) + 1} images, counted from 0, but no image {number}: "
                "choose another with stream=."
            )
        chosen = others[number - 1]
    if number is not None:
        return node[chosen], []
    more = next(paths, None)
    note = (
        f"Of several images the first, {first}, is shown. Choose with stream=, or give the path of "
        f"one, such as {source}/{more}."
    )
    return node[first], [] if more is None else [note]


def _images(node: Any) -> Iterator[str]:
    """Paths of the images of a plate, a well, a converted file (bioformats2raw), or labels."""
    attributes = _attributes(node)
    if "plate" in attributes:
        for well in attributes["plate"]["wells"]:
            yield from (f"{well['path']}/{inner}" for inner in _images(node[well["path"]]))
    elif "well" in attributes:
        yield from (str(image["path"]) for image in attributes["well"]["images"])
    elif "bioformats2raw.layout" in {**dict(node.attrs), **attributes}:
        series = _attributes(node["OME"]).get("series") if "OME" in node else None
        numbers = takewhile(lambda name: name in node, map(str, count()))
        yield from numbers if series is None else map(str, series)
    elif "labels" in attributes:
        yield from map(str, attributes["labels"])


def _array_of(node: Any, source: Path | str) -> tuple[Any, str | None, dict[str, Any] | None]:
    """Return the finest array of an image with its axes and metadata, or what else is there."""
    if hasattr(node, "shape") or (multiscale := _multiscale(node)) is None:
        array = node if hasattr(node, "shape") else _only_array(node, source)
        # Zarr 3, and xarray, keep the names of the axes.
        return array, told_axes(array), None
    array, axes = node[multiscale["datasets"][0]["path"]], multiscale.get("axes")
    return array, _letters(axes) if axes else _OLD_AXES[-len(array.shape) :], multiscale


def _physical(
    image: Mapping[str, Any], letters: str, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64] | None, tuple[float, float] | None]:
    """Return the times of frames in seconds, and the size of a pixel in micrometres, if known."""
    scale = _scale(image["datasets"][0], len(letters)) * _scale(image, len(letters))
    axes = image.get("axes") or letters
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in axes]
    times, place = None, letters.find("T")
    step = seconds(units[place]) if place >= 0 else None
    if step and shape[place] > 1:
        times = even_times(shape[place], float(scale[place]) * step)
    x, y = letters.find("X"), letters.find("Y")
    width, height = micrometres(units[x]), micrometres(units[y])
    if width and height and np.isfinite(scale).all() and (scale > 0).all():
        return times, (float(scale[x] * width), float(scale[y] * height))
    return times, None


def _gaps(array: Any, source: Path | str) -> Iterator[str]:
    """Report chunks that are not there, which zarr shows as one value; servers list none."""
    total = array.nchunks
    if isinstance(source, str) or total > _MOST_CHUNKS:
        return
    if (gone := total - array.nchunks_initialized) > 0:
        yield (
            f"{gone} of {total} chunks are not stored, and are shown as {array.fill_value}: if "
            "they are not empty, the store was not copied whole."
        )


def _scale(part: Mapping[str, Any], count: int) -> NDArray[np.float64]:
    """Product of the scales that a data set, or the image, is given in its own axes."""
    scale = np.ones(count)
    for transformation in part.get("coordinateTransformations", ()):
        if transformation.get("type") == "scale" and len(transformation["scale"]) == count:
            scale *= np.asarray(transformation["scale"], float)
    return scale


def _letters(axes: Any) -> str:
    letters = [_letter(axis).upper() for axis in axes]
    if not {"Y", "X"} <= set(letters):  # of other names, space is in the order z, y, x
        are_space = [isinstance(axis, dict) and axis.get("type") == "space" for axis in axes]
        space = [k for k, is_space in enumerate(are_space) if is_space]
        for place, letter in zip(reversed(space), "XYZ", strict=False):
            letters[place] = letter
    return "".join(letters)


def _letter(axis: Any) -> str:
    if not isinstance(axis, dict):
        return str(axis)[0]
    return {"time": "T", "channel": "C"}.get(str(axis.get("type"))) or str(axis["name"])[:1]


def _only_array(group: Any, source: Path | str) -> Any:
    arrays = dict(group.arrays())
    if len(arrays) != 1:
        found = ", ".join(sorted(arrays)) or "none"
        inner = ", ".join(sorted(name for name, _ in group.groups()))
        hint = f" It has the groups {inner}." if inner else ""
        raise FrameSourceError(
            f"{source} is a group, and which of its arrays is meant is not clear ({found}): "
            f"give the path of one.{hint}"
        )
    return next(iter(arrays.values()))
