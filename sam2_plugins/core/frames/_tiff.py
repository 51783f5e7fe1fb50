"""TIFF, BigTIFF, ImageJ and OME-TIFF stacks, read page by page."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._array import ArraySource
from sam2_plugins.core.frames._source import ReadOptions

_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0,
    "second": 1.0, "seconds": 1.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "d": 86400.0,
}  # fmt: skip


def open_tiff(path: Path, options: ReadOptions) -> ArraySource:
    """Open a stack. `options.stream` chooses the series of a file that has several.

    Raises
    ------
    FrameSourceError
        If the file is no TIFF, is damaged, or has no such series.
    """
    try:
        with _complaints() as complaints:
            tif = tifffile.TiffFile(path)
            series_list = tif.series
    except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
        raise FrameSourceError(
            f"{path} cannot be read as TIFF: {error}. Export it again from the program it is from."
        ) from error
    number = options.stream or 0
    if not 0 <= number < len(series_list):
        tif.close()
        raise FrameSourceError(
            f"{path} has {len(series_list)} series, counted from 0, but no series {number}: "
            "choose another with stream=."
        )
    series = series_list[number]
    array = TiffArray(path, tif, series)
    notes = list(array.warnings)
    if complaints:
        notes.append(
            f"{path.name} is damaged ({complaints[0]}): frames may be missing, and its axes are "
            f"read as {series.axes}."
        )
    if len(series_list) > 1 and options.stream is None:
        notes.append(f"Of {len(series_list)} series the first is shown. Choose with stream=.")
    return ArraySource(
        array,
        path.name,
        options,
        kind="tiff",
        known_axes=series.axes,
        times=_times(tif, number, series),
        close=tif.close,
        warnings=notes,
    )


class TiffArray:
    """A TIFF series seen as an array; slicing reads the one page it needs.

    Leading axes are given as integers, those within a page as slices.
    """

    def __init__(self, path: Path, tif: tifffile.TiffFile, series: Any) -> None:
        self._pages = series.pages
        keyframe = series.keyframe
        self._page_shape = tuple(n for n in keyframe.shape if n > 1 or len(keyframe.shape) == 2)
        self.shape = tuple(series.shape)
        self.dtype = series.dtype
        self._leading = self.shape[: len(self.shape) - len(self._page_shape)]
        if self.shape[len(self._leading) :] != self._page_shape:
            raise FrameSourceError(
                f"{path} stores {series.axes} {self.shape} in pages of {self._page_shape}, which "
                "cannot be read page by page: save it again as OME-TIFF."
            )
        self._memory: NDArray | None = None
        self.warnings: list[str] = []
        if series.dataoffset is not None and len(self._pages) < math.prod(self._leading):
            self._memory = self._map(path, tif, series)
        else:
            self._cut_missing_tail(path)

    def _map(self, path: Path, tif: tifffile.TiffFile, series: Any) -> NDArray:
        """Map a run of planes that is described by a single page (ImageJ's way over 4 GB)."""
        dtype = np.dtype(tif.byteorder + series.dtype.char)
        size = dtype.itemsize * math.prod(self.shape[1:])
        present = max(0, (path.stat().st_size - series.dataoffset) // size)
        if present < self.shape[0]:
            self._shorten(int(present), path)
        return np.memmap(path, dtype, mode="r", offset=series.dataoffset, shape=self.shape)

    def _cut_missing_tail(self, path: Path) -> None:
        if not self._leading:
            return
        end = path.stat().st_size
        last = _page(self._pages, math.prod(self._leading) - 1)
        if last is not None and _is_complete(last, end):
            return
        per_step = math.prod(self._leading[1:])
        present = 0
        for step in range(self._leading[0]):
            pages = [_page(self._pages, step * per_step + k) for k in range(per_step)]
            if not all(page is None or _is_complete(page, end) for page in pages):
                break
            if any(page is not None for page in pages):
                present = step + 1
        if present < self._leading[0]:
            self._shorten(present, path)

    def _shorten(self, present: int, path: Path) -> None:
        if present == 0:
            raise FrameSourceError(f"{path} is cut off before its first frame. Copy it again.")
        self.warnings.append(
            f"{path.name} is cut off: of {self.shape[0]} frames, {present} are complete."
        )
        self.shape = (present, *self.shape[1:])

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray:
        if self._memory is not None:
            return cast("NDArray", self._memory[key])
        count = len(self._leading)
        number = int(np.ravel_multi_index(key[:count], self._leading)) if count else 0
        page = _page(self._pages, number)
        if page is None:  # a file of the set is missing, or was never acquired
            samples = np.zeros(self._page_shape, self.dtype)
        else:
            samples = _read_page(page).reshape(self._page_shape)
        return cast("NDArray", samples[key[count:]])


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile finds wrong but goes on from, which it only logs."""
    found: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


def _page(pages: Any, number: int) -> Any:
    try:
        return pages[number]
    except (IndexError, ValueError, OSError, tifffile.TiffFileError):
        return None


def _read_page(page: Any) -> NDArray:
    """Read a page, of a file that tifffile has closed if it is one of many in a set."""
    file = page.parent.filehandle
    was_closed = file.closed
    if was_closed:
        file.open()
    try:
        return cast("NDArray", page.asarray(maxworkers=1))
    finally:
        if was_closed:
            file.close()


def _is_complete(page: Any, end: int) -> bool:
    offsets, counts = page.dataoffsets, page.databytecounts
    return all(offset + size <= end for offset, size in zip(offsets, counts, strict=False))


def _times(tif: tifffile.TiffFile, number: int, series: Any) -> NDArray[np.float64] | None:
    """Read seconds per frame from OME or ImageJ metadata, if they are there."""
    axis = series.axes.find("T")
    count = series.shape[axis] if axis >= 0 else series.shape[0]
    if tif.is_ome and tif.ome_metadata:
        images = _listed(tifffile.xml2dict(tif.ome_metadata).get("OME", {}).get("Image"))
        pixels = images[number].get("Pixels", {}) if number < len(images) else {}
        return _ome_times(pixels, count)
    imagej = tif.imagej_metadata or {}
    if interval := imagej.get("finterval"):
        unit = _SECONDS.get(str(imagej.get("tunit", "s")).strip(), 1.0)
        return np.arange(count, dtype=np.float64) * (float(interval) * unit)
    if rate := imagej.get("fps"):
        return np.arange(count, dtype=np.float64) / float(rate)
    return None


def _ome_times(pixels: dict[str, Any], count: int) -> NDArray[np.float64] | None:
    """Prefer the measured times of the planes to the nominal interval.

    Attributes of `Pixels` and `Plane` are those of the OME schema 2016-06.
    """
    measured: dict[int, float] = {}
    for plane in _listed(pixels.get("Plane")):
        if "DeltaT" in plane and plane.get("TheC", 0) == 0 and plane.get("TheZ", 0) == 0:
            unit = _SECONDS.get(plane.get("DeltaTUnit", "s"), 1.0)
            measured[int(plane.get("TheT", 0))] = float(plane["DeltaT"]) * unit
    if len(measured) == count > 1:
        times = np.array([measured[t] for t in sorted(measured)])
        if np.all(np.diff(times) > 0):
            return cast("NDArray[np.float64]", times - times[0])
    if interval := pixels.get("TimeIncrement"):
        unit = _SECONDS.get(pixels.get("TimeIncrementUnit", "s"), 1.0)
        return np.arange(count, dtype=np.float64) * (float(interval) * unit)
    return None


def _listed(item: Any) -> list[dict[str, Any]]:
    if item is None:
        return []
    return item if isinstance(item, list) else [item]
