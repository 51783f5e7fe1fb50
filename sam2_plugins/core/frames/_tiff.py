"""TIFF, BigTIFF, ImageJ and OME-TIFF stacks, read page by page."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._array import ArraySource
from sam2_plugins.core.frames._form import in_form, mixed_depths
from sam2_plugins.core.frames._gate import DAMAGE, require_size, require_small_pieces
from sam2_plugins.core.frames._source import ReadOptions
from sam2_plugins.core.frames._tiff_facts import (
    files_of_ome,
    metadata_file_of,
    pixel_size_of,
    refuse_strange_ome,
    times_of,
)
from sam2_plugins.core.frames._tiff_pages import LOOSE, movie_of, views_of


def open_tiff(path: Path, options: ReadOptions) -> ArraySource:
    """Open a stack. `options.stream` chooses the series of a file that has several."""
    with ExitStack() as opened, _naming(path):
        with _complaints() as complaints:
            tif = opened.enter_context(tifffile.TiffFile(path))
            refuse_strange_ome(tif, path.name)
            number, series = _choose_series(tif, path, options.stream)
        keyframe = series.keyframe
        require_size(keyframe.imagelength, keyframe.imagewidth, path.name, options.max_pixels)
        piece = max(
            keyframe.imagelength * keyframe.imagewidth * keyframe.imagedepth,
            keyframe.tilelength * keyframe.tilewidth * keyframe.tiledepth,
        )
        require_small_pieces(piece * keyframe.samplesperpixel, path.name, options.max_pixels)
        array = TiffArray(path, tif, series)
        notes = [*array.warnings, *_told(tif, path, series, complaints)]
        if options.stream is None and len(tif.series) > 1 and series in tif.series:
            which = f"number {number}" if number else "the first"
            notes.append(f"Of {len(tif.series)} series {which} is shown. Choose with stream=.")
        times = times_of(tif, number, series)
        source = ArraySource(
            array,
            path.name,
            options,
            kind="tiff",
            known_axes=array.axes,
            times=times if times is None else times[: array.shape[max(array.axes.find("T"), 0)]],
            white=array.white,
            close=tif.close,
            warnings=notes,
        )
        source.pixel_size = pixel_size_of(tif, number)
        opened.pop_all()
        return source


def _choose_series(tif: tifffile.TiffFile, path: Path, number: int | None) -> tuple[int, Any]:
    count = len(tif.series)
    if not count:
        raise FrameSourceError(f"{path} is cut off: it holds no image. Copy it again.")
    if number is None:
        return movie_of(tif)
    if not 0 <= number < count:
        raise FrameSourceError(
            f"{path} has {count} series, counted from 0, but no series {number}: choose another "
            "with stream=."
        )
    return number, tif.series[number]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn tifffile's exceptions on damaged files into an error that names the file."""
    try:
        yield
    except FrameSourceError:
        raise
    except DAMAGE as error:
        raise FrameSourceError(
            f"{path} cannot be read as TIFF: {error}. Export it again from the program it is from."
        ) from error


def _told(
    tif: tifffile.TiffFile, path: Path, series: Any, complaints: Sequence[str]
) -> Iterator[str]:
    """Report damage, and images that the metadata leave out."""
    if complaints:
        yield (
            f"{path.name} is damaged ({complaints[0]}): frames may be missing, and its axes are "
            f"read as {series.axes}."
        )
    if series.kind == LOOSE and len(series.pages) < len(tif.pages):
        height, width = series.keyframe.imagelength, series.keyframe.imagewidth
        yield (
            f"{path.name} holds {len(tif.pages)} images of several sizes; shown are those of "
            f"{width} x {height} pixels, {len(series.pages)}. Choose others with stream=."
        )
    in_one_file = tif.is_imagej or (tif.is_ome and not files_of_ome(tif))
    described = sum(len(one) for one in tif.series)
    if in_one_file and described < len(tif.pages):
        yield (
            f"{path.name} holds {len(tif.pages)} images, and its metadata describe {described}: "
            "the others are not shown."
        )


class TiffArray:
    """A TIFF series seen as an array; slicing reads the one page it needs.

    Leading axes are given as integers, those within a page as slices.
    """

    def __init__(self, path: Path, tif: tifffile.TiffFile, series: Any) -> None:
        self._pages = series.pages
        keyframe = series.keyframe
        self._stored_shape = tuple(keyframe.shape)
        self._leading = tuple(series.shape[: len(series.shape) - len(self._stored_shape)])
        self._stored_axes = series.axes[len(self._leading) :]
        self._view, self._views = views_of(series, self._stored_axes)
        self.white = self._view.white
        self.warnings: list[str] = []
        if self._views:
            names = [f"page {number}" for number in range(len(self._views))]
            self.warnings += mixed_depths(names, [view.dtype for view in self._views])
        self._memory: NDArray | None = None
        self._stand_ins: dict[int, int] = {}
        if set(series.axes[: len(self._leading)]) & set("YX"):  # pages are no pictures
            self.axes, self.shape, self.dtype = series.axes, tuple(series.shape), series.dtype
            self._memory, self._leading = series.asarray(out="memmap", maxworkers=1), ()
            return
        if tuple(series.shape[len(self._leading) :]) != self._stored_shape:
            raise FrameSourceError(
                f"{path} stores {series.axes} {series.shape} in pages of {self._stored_shape}, "
                "which cannot be read page by page: save it again as OME-TIFF."
            )
        self.axes = series.axes[: len(self._leading)] + self._view.axes
        self.shape = (*self._leading, *self._view.shape)
        self.dtype = self._view.dtype
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
        steps = {"C": "channels", "Z": "planes"}.get(self.axes[0], "frames")
        self.warnings.append(
            f"{path.name} is cut off: of {self.shape[0]} {steps}, {present} are complete{missing}."
        )
        self.shape = (present, *self.shape[1:])
        self._leading = (present, *self._leading[1:])

    def _fill_gaps(self, path: Path, missing: str) -> None:
        """Let the image before stand in for one that is not there, or else the one after."""
        numbers = np.arange(math.prod(self._leading))
        pages = [_page(self._pages, int(number)) for number in numbers]
        there = np.array([page is not None and _is_complete(page) for page in pages])
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
        gone = np.count_nonzero(~there)
        filled, black = len(self._stand_ins), gone - len(self._stand_ins)
        shown = [f"the time before or after stands in for {filled}"] if filled else []
        shown += [f"{black} are black, of a channel or plane that is nowhere"] if black else []
        self.warnings.append(
            f"{path.name}: {gone} of {len(there)} images are not there{missing}: "
            f"{', '.join(shown)}."
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
            view = self._views[number] if self._views else self._view
            samples = view.show(_read_page(page).reshape(page.shape))
            if self._views:
                samples = in_form(samples, self._view.shape, self.dtype)
        return cast("NDArray", samples[key[count:]])


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect problems that tifffile only logs."""
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
