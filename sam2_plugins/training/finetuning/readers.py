"""Annotations as they lie on a disk, read into `AnnotatedMovie`.

A project is told by what it holds:

- `NN/` beside `NN_ST/SEG`, `NN_GT/SEG` or `NN_RES`: a folder of the Cell Tracking Challenge;
- `frames/` and `masks/`: a movie and its label images (FOLDER, or folders in FOLDER);
- `NAME_labels.tif` beside `NAME.tif` (or a video, or a folder, called NAME): label time-lapses;
- `labels.tif`, a folder of label images, or such a file: labels alone, as `track`, napari and
  `labelstudio export` write them. The movie is given beside;
- a `.json` file of COCO, or a folder with one: with its images, or with the movie given beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from sam2_plugins.core.datasets import LABEL_STACK_NAME, load_label_stack
from sam2_plugins.core.errors import FineTuningError
from sam2_plugins.training.finetuning.coco import read_coco
from sam2_plugins.training.finetuning.movies import AnnotatedMovie

_LABELS = "_labels"
_STACKS = {".tif", ".tiff", ".npy"}
_CTC_MASKS = ("_ST/SEG", "_GT/SEG", "_RES")
_NOTHING = np.zeros((1, 1), np.uint8)


def read_project(path: str | Path, movie: str | Path | None = None) -> list[AnnotatedMovie]:
    """Read every annotated movie of a project.

    Parameters
    ----------
    path
        See the module.
    movie
        The movie that the masks belong to, where the project does not hold it.

    Raises
    ------
    FineTuningError
        If there is nothing in it that is known here, or the movie is missing.
    FrameSourceError
        If a file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FineTuningError(f"There is no {path}.")
    readers: list[Callable[[Path], Iterator[AnnotatedMovie]]]
    if movie is not None:
        readers = [lambda found: _given(found, Path(movie))]
    else:
        readers = [_ctc, _frames_and_masks, _stacks, _coco]
    for reader in readers:
        movies = [found for found in reader(path) if found.masks]
        if movies:
            return movies
    known = "masks" if movie is not None else "annotations with their movie"
    raise FineTuningError(
        f"{path} holds no {known} that are known here: a folder of the Cell Tracking Challenge, "
        f"frames/ with masks/, NAME{_LABELS}.tif beside NAME.tif, or COCO with its images. Labels "
        "alone need their movie beside (--movie)."
    )


def _ctc(path: Path) -> Iterator[AnnotatedMovie]:
    """Sequences of a training folder: silver truth if there is, for it is on every frame."""
    for frames in sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []:
        for suffix in _CTC_MASKS:
            folder = path / f"{frames.name}{suffix}"
            if folder.is_dir():
                markers = path / f"{frames.name}_GT" / "TRA" if suffix == "_GT/SEG" else None
                name = f"{path.name}/{frames.name}"
                yield AnnotatedMovie.from_labels(name, frames, _numbered(folder, markers))
                break


def _numbered(folder: Path, markers: Path | None = None) -> Iterator[NDArray[Any]]:
    """Label images whose names end in the number of their frame; empty ones between.

    The outlines of the gold truth are numbered anew on each frame: the markers tell who is who.
    """
    images = {_number(file): file for file in folder.glob("*.tif")}
    marks = {_number(file): file for file in markers.glob("*.tif")} if markers else {}
    for frame in range(max(images, default=-1) + 1):
        if frame not in images:
            yield _NOTHING
        elif frame in marks:
            yield _named_by(tifffile.imread(marks[frame]), tifffile.imread(images[frame]))
        else:
            yield tifffile.imread(images[frame])


def _number(file: Path) -> int:
    return int("".join(c for c in file.stem if c.isdigit()) or -1)


def _named_by(markers: NDArray[Any], outlines: NDArray[Any]) -> NDArray[Any]:
    """Give each outline the label of the marker that covers most of it; without one it goes."""
    named = np.zeros_like(markers)
    for label in np.unique(outlines[outlines > 0]):
        inside = outlines == label
        found = np.bincount(markers[inside])
        found[:1] = 0
        if found.any():
            named[inside] = found.argmax()
    return named


def _frames_and_masks(path: Path) -> Iterator[AnnotatedMovie]:
    for folder in [path, *sorted(path.glob("*/"))] if path.is_dir() else []:
        if (folder / "frames").is_dir() and (folder / "masks").is_dir():
            labels = load_label_stack(folder / "masks")
            yield AnnotatedMovie.from_labels(folder.name, folder / "frames", labels)


def _stacks(path: Path) -> Iterator[AnnotatedMovie]:
    """NAME_labels.tif, or a folder NAME_labels, beside the movie NAME."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if not file.stem.endswith(_LABELS) or not (file.is_dir() or file.suffix in _STACKS):
            continue
        name = file.stem.removesuffix(_LABELS)
        beside = [p for p in sorted(file.parent.glob(f"{name}*")) if p.stem == name]
        if not beside:
            raise FineTuningError(f"{file} has no movie called {name} beside it.")
        yield AnnotatedMovie.from_labels(name, beside[0], load_label_stack(file))


def _coco(path: Path) -> Iterator[AnnotatedMovie]:
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        if file.suffix == ".json":
            yield from read_coco(file)


def _given(path: Path, movie: Path) -> Iterator[AnnotatedMovie]:
    """Labels or COCO of a movie that lies elsewhere."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not (path / LABEL_STACK_NAME).is_file() and files and files[0].suffix == ".json":
        yield from read_coco(files[0], movie)
    elif path.is_dir() and sorted(path.glob("mask*.tif")):
        yield AnnotatedMovie.from_labels(movie.stem, movie, _numbered(path))
    else:
        yield AnnotatedMovie.from_labels(movie.stem, movie, load_label_stack(path))
