"""Label images on a disk: one number per pixel, 0 for the background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sam2_plugins.core.errors import FrameSourceError

LABEL_STACK_NAME = "labels.tif"  # what `track --format tiff` writes
_TIFF = {".tif", ".tiff"}
_IMAGES = {".png", *_TIFF}


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
        return _stacked([(Path(file).name, read_labels(Path(file))) for file in order], path)
    stack = read_labels(path)
    if stack.ndim == 2:
        stack = stack[None]
    if stack.ndim != 3:
        raise FrameSourceError(
            f"{path} is an array of {stack.shape}: a label stack is (frames, height, width)."
        )
    return stack


def read_labels(path: Path) -> NDArray[Any]:
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
