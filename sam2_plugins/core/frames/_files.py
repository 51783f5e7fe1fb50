"""The files that a movie is read from."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import tifffile

from sam2_plugins.core.frames._content import kind_of
from sam2_plugins.core.frames._folder import is_image_name, list_images
from sam2_plugins.core.frames._gate import DAMAGE, exists
from sam2_plugins.core.frames._tiff_facts import files_of_ome
from sam2_plugins.core.frames._zarr import is_zarr


def source_files(path: Path) -> list[Path]:
    """Return what holds the frames of a path, as `open_frames` reads it.

    That is the file itself, with those beside it of an OME-TIFF that is spread over several; the
    images in a folder; a zarr store; or the files that a pattern names. Empty if there is nothing.
    """
    if not exists(path):
        return sorted(Path(name) for name in glob.glob(str(path)))
    if path.is_dir():
        return [path] if is_zarr(path) else list_images(path) or [path]
    if path.is_file() and kind_of(path) == "tiff":
        with suppress(*DAMAGE), tifffile.TiffFile(path) as tif:
            beside = [path.parent / name for name in files_of_ome(tif)]
            return [path, *(one for one in beside if one != path and one.is_file())]
    return [path]


def first_read(path: Path, files: Iterable[Path]) -> Path | None:
    """Return the first of some files from which a path's frames are, or would be, read."""
    sources = {source.resolve() for source in source_files(path)}
    sources |= {folder for source in sources for folder in source.parents}
    is_store, whole = path.is_dir() and is_zarr(path), path.resolve()
    folder, pattern = (whole, "*") if path.is_dir() else (whole.parent, path.name)
    for file in files:
        found = file.resolve()
        joins = is_image_name(found) and found.parent == folder and fnmatch(found.name, pattern)
        if found in sources or (whole in found.parents if is_store else joins):
            return file
    return None
