"""Labels beside their movie: `NAME_labels.tif`, or a folder of label images, and `NAME.tif`.

cells.tif    cells_labels.tif    film.mp4    film_labels/0001.png    cells.zarr/labels/nuclei

Those of an OME-Zarr image are in it.
"""

from __future__ import annotations

from pathlib import Path

from sam2_plugins.core.datasets import coco, ctc
from sam2_plugins.core.datasets.dataset import Dataset
from sam2_plugins.core.datasets.label_stacks import (
    LABEL_STACK_NAME,
    load_label_stack,
    load_labels_of,
)
from sam2_plugins.core.datasets.own import labelled
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import is_zarr, label_names, natural_sorted, refusal_of

ENDING = "_labels"
_STACKS = {".tif", ".tiff", ".npy"}


def find(path: Path) -> list[Dataset]:
    """Open every pair in a folder, in order of name, or that of one file of labels."""
    if is_zarr(path):
        return _in_zarr(path)
    files = natural_sorted(path.iterdir()) if path.is_dir() else [path]
    called = [file for file in files if file.stem.endswith(ENDING) and file.name[0] != "."]
    return [_load(file) for file in called if file.is_dir() or file.suffix.lower() in _STACKS]


def load_for(path: Path, movie: Path) -> Dataset:
    """Open labels of a movie that is elsewhere.

    Parameters
    ----------
    path
        A label stack, as `load_label_stack` takes it; a results folder of the Cell Tracking
        Challenge; or COCO, whose images are the frames.

    Raises
    ------
    FrameSourceError
        If there are no labels, or they are damaged.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not (path / LABEL_STACK_NAME).is_file() and files and files[0].suffix == ".json":
        return coco.load_for(files[0], movie)
    labels = ctc.results(path)
    return labelled(
        movie.stem, path, movie, load_labels_of(movie, path) if labels is None else labels, "beside"
    )


def _in_zarr(path: Path) -> list[Dataset]:
    """Open the labels that an OME-Zarr image has, or those that are in one."""
    names = label_names(path)
    if not names and path.parent.name == "labels" and is_zarr(image := path.parents[1]):
        path, names = image, [path.name]
    title = path.name.partition(".")[0]
    return [
        labelled(
            title if len(names) == 1 else f"{title}/{name}",
            path,
            path,
            load_label_stack(path if path.is_file() else path / "labels" / name),
            "beside",
        )
        for name in names
    ]


def _load(labels: Path) -> Dataset:
    name = labels.stem.removesuffix(ENDING)
    beside = natural_sorted(labels.parent.iterdir())
    # What is told of a movie, in a table or a text, may have its name too.
    called = sorted(
        (path for path in beside if path.stem == name or path.name.startswith(f"{name}.")),
        key=lambda path: (path.is_file() and refusal_of(path) is not None, path.stem != name),
    )
    if not called:
        raise FrameSourceError(f"{labels} has no movie called {name} beside it.")
    movie = called[0]
    return labelled(name, labels.parent, movie, load_labels_of(movie, labels), "beside")
