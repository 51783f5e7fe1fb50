"""The plainest layout: `frames/`, `masks/` (label images, one per frame), perhaps `meta.json`.

Of `meta.json` these keys are used: `name`, `kind` (microscopy if it begins so), `prompt_frame`,
and `eval_objects_frame0` (labels to score).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tifffile
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core import files
from sam2_plugins.core.datasets.dataset import Dataset, kind_of
from sam2_plugins.core.datasets.label_stacks import load_labels_of, places_of
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import natural_sorted

META = "meta.json"


def find(folder: Path) -> list[Dataset]:
    """Open every dataset in a folder, in order of name; the folder itself if it is one."""
    if not folder.is_dir():
        return []
    inside = natural_sorted(path for path in folder.iterdir() if path.is_dir())
    return [load(path) for path in (folder, *inside) if _is_one(path, of_a_folder=path != folder)]


def load(folder: Path) -> Dataset:
    """Open a dataset; its label images are read when they are used.

    Raises
    ------
    FrameSourceError
        If `meta.json` is damaged, or `frames/` or `masks/` is missing.
    """
    for part in ("frames", "masks"):
        if not (folder / part).is_dir():
            raise FrameSourceError(f"{folder} is no dataset: it has no folder {part}/.")
    meta, movie, masks = _meta(folder / META), folder / "frames", folder / "masks"
    if meta is None:
        return labelled(folder.name, folder, movie, load_labels_of(movie, masks), "own")
    objects, places = meta.get("eval_objects_frame0"), places_of(movie, masks)
    try:
        return Dataset(
            name=str(meta.get("name", folder.name)),
            folder=folder,
            frames=movie,
            layout="own",
            read=lambda: load_labels_of(movie, masks),
            kind="microscopy" if str(meta.get("kind", "")).startswith("microscopy") else "natural",
            annotated=None if places is None else tuple(sorted(places)),
            objects=None if objects is None else tuple(map(int, objects)),
            prompt_frame=int(meta.get("prompt_frame", 0)),
            meta=meta,
        )
    except (TypeError, ValueError) as error:
        raise FrameSourceError(
            f"{folder / META} is damaged: {error}. prompt_frame is the number of a frame, and "
            "eval_objects_frame0 a list of labels."
        ) from error


def labelled(
    name: str, folder: Path, movie: Path, labels: Sequence[NDArray[Any]] | NDArray[Any], layout: str
) -> Dataset:
    """Make a dataset of label images without a meta.json: frames without a label have none.

    Raises
    ------
    FrameSourceError
        If there is no label at all.
    """
    annotated = tuple(frame for frame, image in enumerate(labels) if image.any())
    if not annotated:
        raise FrameSourceError(f"The labels of {name} in {folder} are all empty.")
    return Dataset(
        name=name,
        folder=folder,
        frames=movie,
        layout=layout,
        read=lambda: labels,
        kind=kind_of(movie),
        annotated=None if len(annotated) == len(labels) else annotated,
        prompt_frame=None,
    )


def _is_one(folder: Path, *, of_a_folder: bool) -> bool:
    has_parts = (folder / "frames").is_dir() and (folder / "masks").is_dir()
    return has_parts or (of_a_folder and (folder / META).is_file())


def _meta(path: Path) -> dict[str, Any] | None:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FrameSourceError(f"{path} cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise FrameSourceError(f"{path} is damaged: {error}.") from error
    if not isinstance(meta, dict):
        raise FrameSourceError(f"{path} is damaged: it is not an object.")
    return meta


def write(
    folder: Path,
    images: Iterable[NDArray[Any]],
    labels: Iterable[NDArray[Any]],
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Write a dataset: images and label images as PNG, and what is known of them."""
    for part, pages in (("frames", images), ("masks", labels)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for index, page in enumerate(pages):
            if page.dtype.itemsize > 2:  # more than a PNG holds
                tifffile.imwrite(folder / part / f"{index:05d}.tif", page, compression="zlib")
            else:
                Image.fromarray(page).save(folder / part / f"{index:05d}.png")
    files.write_text(folder / META, json.dumps({"name": folder.name, **(meta or {})}, indent=1))
