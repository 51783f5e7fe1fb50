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
from sam2_plugins.core.frames._gate import DAMAGE, require_size
from sam2_plugins.core.frames._source import ReadOptions
from sam2_plugins.core.frames._tiff_facts import (
    files_of_ome,
    metadata_file_of,
    pixel_size_of,
    times_of,
)
from sam2_plugins.core.frames._tiff_pages import view_of


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
    except DAMAGE as error:
        raise FrameSourceError(
            f"{path} cannot be read as TIFF: {error}. Export it again from the program it is from."
        ) from error
    if not series_list:
        tif.close()
        raise FrameSourceError(f"{path} is cut off: it holds no image. Copy it again.")
    number = options.stream or 0
    if not 0 <= number < len(series_list):
        tif.close()
        raise FrameSourceError(
            f"{path} has {len(series_list)} series, counted from 0, but no series {number}: "
            "choose another with stream=."
        )
    series = series_list[number]
    try:
        keyframe = series.keyframe
        size = (keyframe.imagelength, keyframe.imagewidth)
        require_size(*size, path.name, options.max_pixels)
        array = TiffArray(path, tif, series)
    except FrameSourceError:
        tif.close()
        raise
    except DAMAGE as error:
        tif.close()
        raise FrameSourceError(
            f"{path} is damaged: {error}. Export it again from the program it is from."
        ) from error
    notes = list(array.warnings)
    if complaints:
        notes.append(
            f"{path.name} is damaged ({complaints[0]}): frames may be missing, and its axes are "
            f"read as {series.axes}."
        )
    if tif.is_ome and not files_of_ome(tif):
        described = sum(len(one.pages) for one in series_list)
        if described < len(tif.pages):
            notes.append(
                f"{path.name} holds {len(tif.pages)} images, and its metadata describe "
                f"{described}: the others are not shown."
            )
    if len(series_list) > 1 and options.stream is None:
        notes.append(f"Of {len(series_list)} series the first is shown. Choose with stream=.")
    times = times_of(tif, number, series)
    source = ArraySource(
        array,
        path.name,
        options,
        kind="tiff",
        known_axes=array.axes,
        times=times if times is None else times[: array.shape[0]],
        close=tif.close,
        warnings=notes,
    )
    source.pixel_size = pixel_size_of(tif, number)
    return source


class TiffArray:
    """A TIFF series seen as an array; slicing reads the one page it needs.

    Leading axes are given as integers, those within a page as slices.
    """

    def __init__(self, path: Path, tif: tifffile.TiffFile, series: Any) -> None:
        self._pages = series.pages
        keyframe = series.keyframe
        self._stored_shape = tuple(keyframe.shape)
        self._leading = tuple(series.shape[: len(series.shape) - len(self._stored_shape)])
        self._view = view_of(keyframe, series.axes[len(self._leading) :])
        if tuple(series.shape[len(self._leading) :]) != self._stored_shape:
            raise FrameSourceError(
                f"{path} stores {series.axes} {series.shape} in pages of {self._stored_shape}, "
                "which cannot be read page by page: save it again as OME-TIFF."
            )
        self.axes = series.axes[: len(self._leading)] + self._view.axes
        self.shape = (*self._leading, *self._view.shape)
        self.dtype = self._view.dtype
        self._memory: NDArray | None = None
        self._stand_ins: dict[int, int] = {}
        self.warnings: list[str] = []
        if series.dataoffset is not None and len(self._pages) < math.prod(self._leading):
            self._memory = self._map(path, tif, series)
            return
        gone = [name for name in files_of_ome(tif) if not (path.parent / name).exists()]
        missing = f" (missing: {', '.join(gone[:3])})" if gone else ""
        self._cut_missing_tail(path, missing, has_gaps=tif.is_ome)
        if tif.is_ome:
            self._fill_gaps(path, missing)
        if master := metadata_file_of(tif):
            self.warnings.append(
                f"{path.name} is a part of a set that {master} describes: it is shown by itself, "
                "as a stack."
            )

    def _map(self, path: Path, tif: tifffile.TiffFile, series: Any) -> NDArray:
        """Map a run of planes that is described by a single page (ImageJ's way over 4 GB)."""
        dtype = np.dtype(tif.byteorder + series.dtype.char)
        size = dtype.itemsize * math.prod(series.shape[1:])
        present = max(0, (path.stat().st_size - series.dataoffset) // size)
        if present < self.shape[0]:
            self._shorten(int(present), path)
        shape = (*self._leading, *self._stored_shape)
        return np.memmap(path, dtype, mode="r", offset=series.dataoffset, shape=shape)

    def _cut_missing_tail(self, path: Path, missing: str, has_gaps: bool) -> None:
        """Leave out frames at the end that are not whole; a set may lack images of any."""
        if not self._leading:
            return
        last = _page(self._pages, math.prod(self._leading) - 1)
        if last is not None and _is_complete(last):
            return
        per_step = math.prod(self._leading[1:])
        present = 0
        for step in range(self._leading[0]):
            pages = [_page(self._pages, step * per_step + k) for k in range(per_step)]
            there = [page for page in pages if page is not None]
            if not all(map(_is_complete, there)) or (len(there) < per_step and not has_gaps):
                break
            if there:
                present = step + 1
        if present < self._leading[0]:
            self._shorten(present, path, missing)

    def _shorten(self, present: int, path: Path, missing: str = "") -> None:
        if present == 0:
            raise FrameSourceError(f"{path} is cut off before its first frame. Copy it again.")
        self.warnings.append(
            f"{path.name} is cut off: of {self.shape[0]} frames, {present} are complete{missing}."
        )
        self.shape = (present, *self.shape[1:])
        self._leading = (present, *self._leading[1:])

    def _fill_gaps(self, path: Path, missing: str) -> None:
        """Let the image before stand in for one that is not there, or else the one after."""
        numbers = np.arange(math.prod(self._leading))
        there = np.array([_page(self._pages, int(number)) is not None for number in numbers])
        if there.all():
            return
        time = max(self.axes.find("T", 0, len(self._leading)), 0)
        each = [np.moveaxis(a.reshape(self._leading), time, 0) for a in (numbers, there)]
        rows, present = (a.reshape(self._leading[time], -1) for a in each)
        for column in range(rows.shape[1]):
            known = np.flatnonzero(present[:, column])
            for row in np.flatnonzero(~present[:, column]) if len(known) else ():
                nearest = known[max(int(np.searchsorted(known, row)) - 1, 0)]
                self._stand_ins[int(rows[row, column])] = int(rows[nearest, column])
        self.warnings.append(
            f"{path.name}: {np.count_nonzero(~there)} of {len(there)} images are not "
            f"there{missing}. The one before stands in for each."
        )

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray:
        count = len(self._leading)
        if self._memory is not None:
            return cast("NDArray", self._view.show(self._memory[key[:count]])[key[count:]])
        number = int(np.ravel_multi_index(key[:count], self._leading)) if count else 0
        page = _page(self._pages, self._stand_ins.get(number, number))
        if page is None:  # of a channel that is nowhere
            samples = np.zeros(self._view.shape, self.dtype)
        else:
            samples = self._view.show(_read_page(page).reshape(self._stored_shape))
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
    except DAMAGE:
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


def _is_complete(page: Any) -> bool:
    end = page.parent.filehandle.size
    offsets, counts = page.dataoffsets, page.databytecounts
    return all(offset + size <= end for offset, size in zip(offsets, counts, strict=False))
