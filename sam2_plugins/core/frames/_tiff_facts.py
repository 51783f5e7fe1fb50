"""Times of the frames and sizes of the pixels in a TIFF, in the forms that programs write."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import prod
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._physical import even_times, micrometres, seconds

Times = NDArray[np.float64]
PixelSize = tuple[float, float]
_BARE_AMPERSAND = re.compile(r"&(?!\w+;|#)")
_FILE_NAME = re.compile(r"""FileName\s*=\s*(?:"([^"]+)"|'([^']+)')""")
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\s[^>]*>")
_SIZES = re.compile(r"""Size[ZCT]\s*=\s*["']\s*\+?(\d+)""")
_MOST_IMAGES = 1 << 20

_MALFORMED = (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError, AttributeError)


def times_of(tif: tifffile.TiffFile, number: int, series: Any) -> Times | None:
    """Return the seconds of each frame from the first metadata that have them; None without."""
    with suppress(*_MALFORMED):
        count = series.shape[max(series.axes.find("T"), 0)]
        if pixels := _ome_pixels(tif, number):
            return _ome_times(pixels, count)
        for step, known in _recorded_times(tif):
            if known is not None and len(known) == count > 1 and np.all(np.diff(known) > 0):
                return cast("Times", known - known[0])
            if step:
                return even_times(count, step)
    return None


def pixel_size_of(tif: tifffile.TiffFile, number: int) -> PixelSize | None:
    """Return the micrometres per pixel (x, y), if the metadata have them."""
    with suppress(*_MALFORMED):
        for x, y, *units in _recorded_sizes(tif, _ome_pixels(tif, number)):
            across, down = (micrometres(unit) for unit in (units[0], units[-1]))
            if across and down and x > 0 and y > 0 and np.isfinite((x, y)).all():
                return x * across, y * down
    return None


def files_of_ome(tif: tifffile.TiffFile) -> list[str]:
    """Names of the files over which an OME-TIFF is spread."""
    found = _FILE_NAME.findall(tif.ome_metadata or "")
    return list(dict.fromkeys(html.unescape(one or other) for one, other in found))


def refuse_strange_ome(tif: tifffile.TiffFile, name: str) -> None:
    """Refuse metadata of an OME-TIFF that are unsafe for tifffile.

    That is, with files elsewhere, more images than any movie has, or entities, which hide either.
    """
    text = tif.ome_metadata or ""
    elsewhere = [file for file in files_of_ome(tif) if _is_elsewhere(file)]
    opened = _others_named(text) if elsewhere else set()
    for file in elsewhere:
        if opened is None or file in opened:
            raise FrameSourceError(
                f"{name} names a file in another folder, {file}: only those beside it are opened. "
                "Save it again in one folder."
            )
    for pixels in _PIXELS.findall(text):
        sizes = [int(size) for size in _SIZES.findall(pixels)]
        if prod(sizes) > _MOST_IMAGES or "<!ENTITY" in text:
            raise FrameSourceError(
                f"{name} describes {prod(sizes):,} images: its metadata are damaged. Export it "
                "again from the program it is from."
            )


def _is_elsewhere(file: str) -> bool:
    parts = (*PurePosixPath(file).parts, *PureWindowsPath(file).parts)
    return ".." in parts or PurePosixPath(file).is_absolute() or bool(PureWindowsPath(file).anchor)


def _others_named(text: str) -> set[str] | None:
    """Names of other files that hold images of a set; None if the metadata cannot be parsed.

    Programs record the original place of a file: its own, and in annotations.
    """
    try:
        root = None if "<!ENTITY" in text else ElementTree.fromstring(text)  # noqa: S314 - as tifffile does
    except (ElementTree.ParseError, ValueError):
        root = None
    if root is None:
        return None
    own = root.get("UUID")
    uuids = [element for element in root.iter() if str(element.tag).endswith("UUID")]
    return {one.get("FileName", "") for one in uuids if own is None or one.text != own}


def metadata_file_of(tif: tifffile.TiffFile) -> str | None:
    """Name of the file that describes the set of which this one holds some pixels."""
    match = re.search(r'<BinaryOnly[^>]*MetadataFile="([^"]+)"', tif.ome_metadata or "")
    return match[1] if match else None


def _recorded_times(tif: tifffile.TiffFile) -> Iterator[tuple[float | None, Times | None]]:
    """Yield a step in seconds, or measured seconds, for each program that wrote of them."""
    imagej = tif.imagej_metadata or {}
    if interval := imagej.get("finterval"):
        unit = seconds(imagej.get("tunit", "s"))
        yield (float(interval) * unit if unit else None), None
    if rate := imagej.get("fps"):
        yield 1 / float(rate), None
    lsm = tif.lsm_metadata or {}
    if lsm:
        stamps = lsm.get("TimeStamps")
        yield lsm.get("TimeIntervall"), None if stamps is None else np.asarray(stamps, float)
    stk = tif.stk_metadata or {}
    if (created := stk.get("DatetimeCreated")) is not None:
        yield None, np.asarray(created, "datetime64[ms]").astype(np.float64) / 1000
    summary = (tif.micromanager_metadata or {}).get("Summary") or {}
    if interval := summary.get("Interval_ms"):
        yield float(interval) / 1000, None


def _recorded_sizes(tif: tifffile.TiffFile, pixels: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield x, y and their unit, or the units of both."""
    if "PhysicalSizeX" in pixels:
        x = float(pixels["PhysicalSizeX"])
        unit = pixels.get("PhysicalSizeXUnit", "µm")
        yield x, float(pixels.get("PhysicalSizeY", x)), unit, pixels.get("PhysicalSizeYUnit", unit)
    tags = tif.pages.first.tags
    if (imagej := tif.imagej_metadata) and "XResolution" in tags and "YResolution" in tags:
        per_unit = [tags[name].value for name in ("XResolution", "YResolution")]
        if all(value[0] for value in per_unit):
            x, y = (value[1] / value[0] for value in per_unit)
            yield x, y, imagej.get("unit")
    lsm = tif.lsm_metadata or {}
    if "VoxelSizeX" in lsm:
        yield float(lsm["VoxelSizeX"]), float(lsm["VoxelSizeY"]), "m"
    stk = tif.stk_metadata or {}
    if "XCalibration" in stk:
        yield float(stk["XCalibration"]), float(stk["YCalibration"]), stk.get("CalibrationUnits")
    summary = (tif.micromanager_metadata or {}).get("Summary") or {}
    if size := summary.get("PixelSize_um"):
        yield float(size), float(size), "µm"


def _ome_pixels(tif: tifffile.TiffFile, number: int) -> dict[str, Any]:
    """Element `Pixels` of an image; with an & mended that a program forgot to escape."""
    if not (tif.is_ome and tif.ome_metadata):
        return {}
    try:
        document = tifffile.xml2dict(_BARE_AMPERSAND.sub("&amp;", tif.ome_metadata))
        images = _listed(document.get("OME", {}).get("Image"))
    except (SyntaxError, ValueError, AttributeError):  # a ParseError is a SyntaxError
        return {}
    return dict(images[number].get("Pixels", {})) if number < len(images) else {}


def _ome_times(pixels: Mapping[str, Any], count: int) -> Times | None:
    """Prefer the measured times of the planes to the nominal interval.

    Attributes of `Pixels` and `Plane` are those of the OME schema 2016-06.
    """
    measured: dict[int, float] = {}
    for plane in _listed(pixels.get("Plane")):
        unit = seconds(plane.get("DeltaTUnit", "s"))
        if unit and "DeltaT" in plane and plane.get("TheC", 0) == 0 and plane.get("TheZ", 0) == 0:
            measured[int(plane.get("TheT", 0))] = float(plane["DeltaT"]) * unit
    if len(measured) == count > 1:
        times = np.array([measured[t] for t in sorted(measured)])
        if np.all(np.diff(times) > 0):
            return cast("Times", times - times[0])
    unit = seconds(pixels.get("TimeIncrementUnit", "s"))
    if unit and (interval := pixels.get("TimeIncrement")):
        return even_times(count, float(interval) * unit)
    return None


def _listed(item: Any) -> list[dict[str, Any]]:
    if item is None:
        return []
    return item if isinstance(item, list) else [item]
