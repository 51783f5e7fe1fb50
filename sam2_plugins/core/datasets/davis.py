"""DAVIS, and datasets with its layout: YouTube-VOS and MOSE.

    JPEGImages/[480p/]NAME/00000.jpg    Annotations/[480p/]NAME/00000.png    ImageSets/2017/val.txt

Annotations are palette images whose index is the object. YouTube-VOS annotates every fifth frame,
and its objects may appear later. DAVIS 2016 has one object, of 255, in grey images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core import files
from sam2_plugins.core.datasets.dataset import Dataset, label_files
from sam2_plugins.core.datasets.label_stacks import read_labels
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import list_images

IMAGES, ANNOTATIONS, SETS = "JPEGImages", "Annotations", "ImageSets"
_VOID = 255  # pixels of palette images that belong to nothing
_RESOLUTIONS = ("480p", "Full-Resolution")


def find(folder: Path) -> list[Dataset]:
    """Open every annotated sequence, in order of name."""
    if not (folder / IMAGES).is_dir() or not (folder / ANNOTATIONS).is_dir():
        return []
    part = next((r for r in _RESOLUTIONS if (folder / ANNOTATIONS / r).is_dir()), "")
    images, annotations = folder / IMAGES / part, folder / ANNOTATIONS / part
    listed = _listed(folder)
    names = [path.name for path in sorted(annotations.iterdir()) if path.is_dir()]
    return [
        _load(name, images / name, annotations / name)
        for name in names
        if not listed or name in listed
    ]


def write(
    folder: Path,
    name: str,
    images: Iterable[NDArray[Any]],
    labels: Mapping[int, NDArray[Any]],
    resolution: str = "480p",
    subset: str | None = "2017/val",
) -> None:
    """Write a sequence, and add it to the list of a subset.

    Parameters
    ----------
    labels
        Frame to label image. Frames may be left out.
    resolution
        "" for the layout of YouTube-VOS and MOSE.
    """
    for index, image in enumerate(images):
        path = folder / IMAGES / resolution / name / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).convert("RGB").save(path, quality=95)
    write_annotations(folder / ANNOTATIONS / resolution / name, labels)
    if subset:
        path = folder / SETS / f"{subset}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        known = path.read_text(encoding="utf-8").split() if path.exists() else []
        files.write_text(path, "".join(f"{one}\n" for one in dict.fromkeys([*known, name])))


def write_annotations(folder: Path, labels: Mapping[int, NDArray[Any]]) -> None:
    """Write palette images, as the official evaluations take them.

    Raises
    ------
    FrameSourceError
        If a label is above 254: palette images have 8 bits, and 255 is kept for pixels to ignore.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for frame, labelled in labels.items():
        if labelled.max(initial=0) >= _VOID:
            raise FrameSourceError(
                f"{folder}: label {labelled.max()} does not fit a palette image: number the "
                "objects from 1 to 254."
            )
        image = Image.fromarray(labelled.astype(np.uint8), mode="L")
        image.putpalette(davis_palette())
        image.save(folder / f"{frame:05d}.png")


def davis_palette() -> list[int]:
    """Colours that PASCAL VOC and DAVIS give to 256 indices: the index's bits, dealt in turn."""
    colours = []
    for index in range(256):
        for channel in range(3):
            bits = [(index >> (3 * place + channel)) & 1 for place in range(3)]
            colours.append(sum(bit << (7 - place) for place, bit in enumerate(bits)))
    return colours


def _listed(folder: Path) -> set[str]:
    """Names in the lists of a `val` subset, or of all subsets if there is none."""
    lists = sorted((folder / SETS).rglob("*.txt"))
    chosen = [path for path in lists if path.stem == "val"] or lists
    words = " ".join(path.read_text(encoding="utf-8") for path in chosen).split()
    # DAVIS 2016 lists files: /JPEGImages/480p/NAME/00000.jpg
    return {Path(word).parent.name if "/" in word else word for word in words}


def _load(name: str, images: Path, annotations: Path) -> Dataset:
    frames = [path.stem for path in list_images(images)] if images.is_dir() else []
    if not frames:
        raise FrameSourceError(f"{images} has no frames: JPEG images are expected there.")
    files = {path.stem: path for path in list_images(annotations)}
    strange = sorted(files.keys() - set(frames))
    if strange or not files:
        what = f"of a frame {strange[0]} that is not in {images}" if strange else "missing"
        raise FrameSourceError(f"{annotations}: the annotation is {what}.")
    annotated = tuple(index for index, stem in enumerate(frames) if stem in files)
    return Dataset(
        name=name,
        folder=annotations,
        frames=images,
        layout="davis",
        read=lambda: label_files([files.get(stem) for stem in frames], _read),
        annotated=None if len(annotated) == len(frames) else annotated,
        prompt_frame=None,
    )


def _read(path: Path) -> NDArray[Any]:
    labels = read_labels(path)
    with Image.open(path) as image:
        palette = image.mode == "P"
    if not palette:
        return (labels > 0).astype(np.uint8) if labels.max(initial=0) == _VOID else labels
    return np.where(labels == _VOID, 0, labels)
