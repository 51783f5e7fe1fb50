"""Sequences with ground truth, in the layouts in which they are published.

`find_datasets` recognises the layout from the folder; `own`, `davis`, `sav` and `ctc` also write.
"""

from __future__ import annotations

from pathlib import Path

from sam2_plugins.core.datasets import ctc, davis, own, sav
from sam2_plugins.core.datasets.dataset import Dataset, EvaluationSettings
from sam2_plugins.core.datasets.label_stacks import LABEL_STACK_NAME, load_label_stack
from sam2_plugins.core.errors import FrameSourceError

_LAYOUTS = (own, davis, sav, ctc)


def find_datasets(folder: str | Path) -> list[Dataset]:
    """Open every dataset in a folder, in order of name; the folder itself if it is one.

    Truth is read when it is asked for.

    Raises
    ------
    FrameSourceError
        If there is none, or one is damaged.
    """
    if found := recognise(folder):
        return found
    raise FrameSourceError(
        f"{folder} has no dataset. Known are: frames/, masks/ and meta.json; DAVIS, YouTube-VOS "
        "and MOSE (JPEGImages/ and Annotations/); SA-V (.mp4 with _manual.json, or "
        "JPEGImages_24fps/ and Annotations_6fps/); the Cell Tracking Challenge (01/ and 01_GT/)."
    )


def recognise(folder: str | Path) -> list[Dataset]:
    """Open every dataset in a folder; an empty list if it is of no known layout."""
    for layout in _LAYOUTS:
        if found := layout.find(Path(folder)):
            return found
    return []


def load_dataset(folder: str | Path) -> Dataset:
    """Open the one dataset of a folder.

    Raises
    ------
    FrameSourceError
        If there is none or more than one, or it is damaged.
    """
    found = find_datasets(folder)
    if len(found) > 1:
        names = ", ".join(one.name for one in found[:5])
        raise FrameSourceError(f"{folder} has {len(found)} datasets, {names} …: choose one.")
    return found[0]


__all__ = [
    "LABEL_STACK_NAME",
    "Dataset",
    "EvaluationSettings",
    "ctc",
    "davis",
    "find_datasets",
    "load_dataset",
    "load_label_stack",
    "own",
    "recognise",
    "sav",
]
