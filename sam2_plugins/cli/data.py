"""Datasets of `finetune` and `evaluate`, and labels whose movie is elsewhere."""

from __future__ import annotations

from pathlib import Path

from sam2_plugins.core.datasets import Dataset, find_datasets, load_for, recognise
from sam2_plugins.core.datasets.dataset import masked
from sam2_plugins.core.datasets.label_stacks import LABEL_STACK_NAME
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.export import Numbering


def open_datasets(path: Path, movie: Path | None = None) -> list[Dataset]:
    """Open every dataset of a folder or file; or, with a movie, the labels of that movie."""
    if _is_label_studio(path):
        return [_label_studio(path, movie)]
    if movie is not None:
        return [load_for(path, movie)]
    if path.is_file() or (path / LABEL_STACK_NAME).is_file():
        if found := recognise(path):
            return found
        raise FrameSourceError(
            f"{path} has no movie beside it: give the movie of these labels with --movie."
        )
    return find_datasets(path)


def _is_label_studio(path: Path) -> bool:
    """An export is a list of tasks, where COCO is an object."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.read(64).lstrip().startswith("[")


def _label_studio(path: Path, movie: Path | None) -> Dataset:
    """Take the masks of the export's one task; it names its movie by an address, not a file."""
    from sam2_plugins.labelstudio_backend.export import read_export

    tasks = list(read_export(path))
    if movie is None or len(tasks) != 1:
        raise FrameSourceError(
            f"{path} has {len(tasks)} tasks with masks: export one task at a time, and give its "
            "movie, or its folder of frames, with --movie."
        )
    if tasks[0].moved:
        raise FrameSourceError(
            f"{path}: {tasks[0].moved} masks are those of a keyframe, moved into the box of their "
            "frame: nobody drew them. `serve --masks all` keeps every mask; to use them all "
            "the same, run `sam2-plugins labelstudio export` and give its labels.tif."
        )
    numbering = Numbering(tasks[0].masks.objects)
    masks = {
        frame: {numbering.label(obj): mask for obj, mask in of_frame.items() if mask.visible}
        for frame, of_frame in tasks[0].masks.snapshot().items()
    }
    masks = {frame: of_frame for frame, of_frame in masks.items() if of_frame}
    length = max(masks, default=-1) + 1
    return masked(tasks[0].name, path.parent, movie, masks, length, "label-studio")
