"""Label stacks, and sequences with ground truth, as they lie on a disk.

A dataset is a folder with `frames/`, `masks/` (label images, one per frame) and `meta.json`, of
which these keys are used: `name`, `kind` (microscopy if it begins so), `prompt_frame`,
`eval_objects_frame0` (labels to score) and `eval_objects_any_frame` (label to first frame).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.metrics import Absent

LABEL_STACK_NAME = "labels.tif"  # what `track --format tiff` writes
_TIFF = {".tif", ".tiff"}
_IMAGES = {".png", *_TIFF}


class EvaluationSettings(TypedDict):
    """How a sequence is scored: arguments of `metrics.evaluate`."""

    objects: list[int]
    prompt_frame: int
    bound: float | None
    absent: Absent


@dataclass(frozen=True)
class Dataset:
    """A sequence with ground truth."""

    folder: Path
    meta: dict[str, Any]

    @property
    def name(self) -> str:
        """The name that the dataset gives itself, or its folder's."""
        return str(self.meta.get("name", self.folder.name))

    @property
    def kind(self) -> str:
        """What its objects are: "microscopy" or "natural"."""
        cells = str(self.meta.get("kind", "")).startswith("microscopy")
        return "microscopy" if cells else "natural"

    @property
    def frames(self) -> Path:
        """The folder of frames: a source for `open_frames`."""
        return self.folder / "frames"

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The true labels, [T, H, W]; read once."""
        return load_label_stack(self.folder / "masks")

    @property
    def settings(self) -> EvaluationSettings:
        """The rules of scoring: cells by a fixed tolerance and only while they are there."""
        cells = self.kind == "microscopy"
        prompt_frame = int(self.meta.get("prompt_frame", 0))
        objects = self.meta.get("eval_objects_frame0")
        if objects is None:
            objects = [label for label in np.unique(self.labels[prompt_frame]) if label]
        return {
            "objects": [int(label) for label in objects],
            "prompt_frame": prompt_frame,
            "bound": 2 if cells else None,
            "absent": "ignore" if cells else "davis",
        }

    @property
    def first_frames(self) -> dict[int, int]:
        """Label to the frame to prompt it on, for prompts that are not all on one frame."""
        starts = self.meta.get("eval_objects_any_frame")
        if starts is None:
            settings = self.settings
            return dict.fromkeys(settings["objects"], settings["prompt_frame"])
        return {int(label): int(frame) for label, frame in starts.items()}


def load_dataset(folder: str | Path) -> Dataset:
    """Open a dataset; its label images are read when they are asked for.

    Raises
    ------
    FrameSourceError
        If `meta.json` is missing or damaged, or `frames/` or `masks/` is missing.
    """
    folder = Path(folder)
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FrameSourceError(
            f"{folder} is no dataset: {path.name} cannot be read ({error.strerror or error}). A "
            "dataset has frames/, masks/ and meta.json."
        ) from error
    except ValueError as error:
        raise FrameSourceError(f"{path} is damaged: {error}.") from error
    if not isinstance(meta, dict):
        raise FrameSourceError(f"{path} is damaged: it is not an object.")
    for part in ("frames", "masks"):
        if not (folder / part).is_dir():
            raise FrameSourceError(f"{folder} is no dataset: it has no folder {part}/.")
    return Dataset(folder, meta)


def find_datasets(folder: str | Path) -> list[Dataset]:
    """Open every dataset in a folder, in order of name; the folder itself if it is one."""
    folder = Path(folder)
    found = sorted(path.parent for path in (*folder.glob("meta.json"), *folder.glob("*/meta.json")))
    if not found:
        raise FrameSourceError(f"{folder} has no dataset: no folder in it has a meta.json.")
    return [load_dataset(path) for path in found]


def load_label_stack(path: str | Path) -> NDArray[Any]:
    """Load labels as [T, H, W] integers.

    Parameters
    ----------
    path
        A .npy file, a multi-page TIFF, or a folder of PNG or TIFF label images in the natural
        order of their names. A folder that `track` wrote stands for its `labels.tif`.

    Raises
    ------
    FrameSourceError
        If there is no such stack, a file is damaged, or an image is not one of labels or not of
        the size of the first.
    """
    path = Path(path)
    if (path / LABEL_STACK_NAME).is_file():
        path = path / LABEL_STACK_NAME
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.lower() in _IMAGES]
        if not files:
            raise FrameSourceError(f"{path} has no label images: PNG or TIFF, one per frame.")
        order = tifffile.natural_sorted(str(file) for file in files)
        return _stacked([(Path(file).name, _read(Path(file))) for file in order], path)
    stack = _read(path)
    if stack.ndim == 2:
        stack = stack[None]
    if stack.ndim != 3:
        raise FrameSourceError(
            f"{path} is an array of {stack.shape}: a label stack is (frames, height, width)."
        )
    return stack


def _read(path: Path) -> NDArray[Any]:
    """Read one file of labels."""
    labels: NDArray[Any]
    try:
        if path.suffix.lower() == ".npy":
            labels = np.load(path, allow_pickle=False)
        elif path.suffix.lower() in _TIFF:
            labels = tifffile.imread(path)
        else:
            with Image.open(path) as image:
                labels = np.asarray(image)
    except FileNotFoundError as error:
        raise FrameSourceError(f"There is no {path}.") from error
    except UnidentifiedImageError as error:
        raise FrameSourceError(f"{path} is no image of labels: take PNG, TIFF or .npy.") from error
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise FrameSourceError(f"{path} cannot be read: {error}.") from error
    if labels.dtype.kind not in "bui":
        raise FrameSourceError(f"{path} holds {labels.dtype}: labels are whole numbers.")
    return labels


def _stacked(images: list[tuple[str, NDArray[Any]]], folder: Path) -> NDArray[Any]:
    size = images[0][1].shape
    for name, image in images:
        if image.ndim != 2:
            raise FrameSourceError(
                f"{folder / name} is an image of {image.shape}: labels are one number a pixel."
            )
        if image.shape != size:
            raise FrameSourceError(f"{folder / name} is {image.shape}, but the first is {size}.")
    return np.stack([image for _, image in images])
