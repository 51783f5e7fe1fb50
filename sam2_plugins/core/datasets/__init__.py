"""Annotated movies, in the layouts in which people keep and publish them.

`find_datasets` recognises the layout from the folder; `own`, `davis`, `sav` and `ctc` also write.
What it finds is evaluated and learned from alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from sam2_plugins.core.datasets import beside, coco, ctc, davis, own, sav
from sam2_plugins.core.datasets.beside import load_for
from sam2_plugins.core.datasets.dataset import Dataset
from sam2_plugins.core.datasets.label_stacks import load_label_stack
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import natural_sorted

_LAYOUTS = (own, davis, sav, ctc, beside, coco)


def find_datasets(folder: str | Path) -> list[Dataset]:
    """Open every dataset in a folder, in order of name; the folder, or file, itself if it is one.

    Where it is of no known layout, its folders may be: datasets of one name in several are called
    FOLDER/NAME. Truth is read when it is used.

    Raises
    ------
    FrameSourceError
        If there is none, or one is damaged.
    """
    folder = Path(folder)
    if found := recognise(folder):
        return found
    inside = natural_sorted(path for path in folder.glob("[!.]*") if path.is_dir())
    pairs = [(path, one) for path in inside for one in recognise(path)]
    times = Counter(one.name for _, one in pairs)
    if found := [
        one if times[one.name] == 1 else replace(one, name=f"{path.name}/{one.name}")
        for path, one in pairs
    ]:
        return found
    raise FrameSourceError(
        f"{folder} has no dataset. Known are: frames/ and masks/; NAME_labels.tif beside NAME.tif; "
        "OME-Zarr with labels; the Cell Tracking Challenge (01/ and 01_GT/, 01_ST/ or 01_RES/); "
        "DAVIS, YouTube-VOS and MOSE (JPEGImages/ and Annotations/); SA-V (.mp4 with _manual.json, "
        "or JPEGImages_24fps/ and Annotations_6fps/); COCO and YouTube-VIS with their images."
    )


def recognise(folder: str | Path) -> list[Dataset]:
    """Open every dataset in a folder; an empty list if it is of no known layout."""
    if not Path(folder).exists():
        raise FrameSourceError(f"There is no {folder}. Check the path.")
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
    "Dataset",
    "beside",
    "coco",
    "ctc",
    "davis",
    "find_datasets",
    "load_dataset",
    "load_for",
    "load_label_stack",
    "own",
    "recognise",
    "sav",
]
