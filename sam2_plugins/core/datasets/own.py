"""The plainest layout: `frames/`, `masks/` (label images, one per frame) and `meta.json`.

Of `meta.json` these keys are used: `name`, `kind` (microscopy if it begins so), `prompt_frame`,
and `eval_objects_frame0` (labels to score).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core import files
from sam2_plugins.core.datasets.dataset import Dataset
from sam2_plugins.core.datasets.label_stacks import load_label_stack
from sam2_plugins.core.errors import FrameSourceError

META = "meta.json"


def find(folder: Path) -> list[Dataset]:
    """Open every dataset in a folder, in order of name; the folder itself if it is one."""
    found = sorted(path.parent for path in (*folder.glob(META), *folder.glob(f"*/{META}")))
    return [load(path) for path in found if (path / "frames").is_dir() or path != folder]


def load(folder: Path) -> Dataset:
    """Open a dataset; its label images are read when they are asked for.

    Raises
    ------
    FrameSourceError
        If `meta.json` is missing or damaged, or `frames/` or `masks/` is missing.
    """
    path = folder / META
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
    objects = meta.get("eval_objects_frame0")
    return Dataset(
        name=str(meta.get("name", folder.name)),
        folder=folder,
        frames=folder / "frames",
        layout="own",
        read=lambda: load_label_stack(folder / "masks"),
        kind="microscopy" if str(meta.get("kind", "")).startswith("microscopy") else "natural",
        objects=None if objects is None else tuple(map(int, objects)),
        prompt_frame=int(meta.get("prompt_frame", 0)),
        meta=meta,
    )


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
            Image.fromarray(page).save(folder / part / f"{index:05d}.png")
    files.write_text(folder / META, json.dumps({"name": folder.name, **(meta or {})}, indent=1))
