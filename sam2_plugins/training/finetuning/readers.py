"""Annotated movies as a project holds them, read into `AnnotatedMovie`.

The layouts are those of `core.datasets`, which evaluation reads, too. A project that holds labels
alone (`labels.tif`, a folder of label images, a results folder of the Cell Tracking Challenge, COCO
without its images) is read with its movie given beside.
"""

from __future__ import annotations

from pathlib import Path

from sam2_plugins.core.datasets import find_datasets, load_for
from sam2_plugins.training.finetuning.movies import AnnotatedMovie


def read_project(path: str | Path, movie: str | Path | None = None) -> list[AnnotatedMovie]:
    """Read every annotated movie of a project.

    Parameters
    ----------
    movie
        The movie that the masks belong to, where the project does not hold it.

    Raises
    ------
    FrameSourceError
        If there is nothing in it that is known, a file is damaged, or the movie is missing.
    """
    if movie is not None:
        return [AnnotatedMovie.from_dataset(load_for(Path(path), Path(movie)))]
    return [AnnotatedMovie.from_dataset(dataset) for dataset in find_datasets(path)]
