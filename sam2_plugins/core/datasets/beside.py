"""Labels beside their movie: `NAME_labels.tif`, or a folder of label images, and `NAME.tif`.

cells.tif    cells_labels.tif    film.mp4    film_labels/0001.png
"""

from __future__ import annotations

from pathlib import Path

from sam2_plugins.core.datasets import coco, ctc
from sam2_plugins.core.datasets.dataset import Dataset
from sam2_plugins.core.datasets.label_stacks import LABEL_STACK_NAME, load_labels_of
from sam2_plugins.core.datasets.own import labelled
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import natural_sorted, refusal_of

ENDING = "_labels"
_STACKS = {".tif", ".tiff", ".npy"}


def find(path: Path) -> list[Dataset]:
    """Open every pair in a folder, in order of name, or that of one file of labels."""
    files = natural_sorted(path.iterdir()) if path.is_dir() else [path]
    return [_load(file) for file in files if _is_labels(file)]


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


def _is_labels(path: Path) -> bool:
    is_kind = path.is_dir() or path.suffix.lower() in _STACKS
    return path.stem.endswith(ENDING) and not path.name.startswith(".") and is_kind


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
