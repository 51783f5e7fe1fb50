"""SA-V: a video with a JSON of masklets, RLE at every fourth frame; or frames with PNG per object.

    sav_000001.mp4  sav_000001_manual.json                                        (training)
    JPEGImages_24fps/NAME/00000.jpg  Annotations_6fps/NAME/000/00000.png          (val, test)

Objects may overlap. Ids begin with 0 there; labels here are one more.
The format: https://github.com/facebookresearch/sam2/tree/main/sav_dataset
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core import files
from sam2_plugins.core.datasets.dataset import Dataset, LazyFrames
from sam2_plugins.core.datasets.label_stacks import read_labels
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import encode_video, list_images, open_frames
from sam2_plugins.core.masks import ObjectMask

STRIDE = 4
"""Every so many frames are annotated: 6 of 24 per second."""

IMAGES, ANNOTATIONS = "JPEGImages_24fps", "Annotations_6fps"
_MANUAL = "_manual.json"
Masks = Mapping[int, ObjectMask]


def find(folder: Path) -> list[Dataset]:
    """Open every annotated video, in order of name."""
    if (folder / ANNOTATIONS).is_dir():
        videos = sorted(path for path in (folder / ANNOTATIONS).iterdir() if path.is_dir())
        return [_load_pages(path, folder / IMAGES / path.name) for path in videos]
    videos = sorted(folder.rglob(f"*{_MANUAL}"))
    return [_load_video(path) for path in videos if not path.name.startswith(".")]


def write_video(path: Path, images: Iterable[NDArray[Any]], masks: Sequence[Masks]) -> None:
    """Write `path` (.mp4) and its masklets.

    Parameters
    ----------
    images
        uint8 [H, W, 3] with even sides.
    masks
        Of every fourth frame, by label from 1.
    """
    encode_video(path, images, crf=10)
    labels = sorted({label for frame in masks for label in frame})
    size = next(mask.frame_size for frame in masks for mask in frame.values())
    nothing = ObjectMask.empty(size)
    each = [[frame.get(label, nothing) for label in labels] for frame in masks]
    areas = [[mask.area for mask in column] for column in zip(*each, strict=True)]
    seen = [[area > 0 for area in column] for column in areas]
    facts = {
        "video_id": path.stem,
        "video_height": float(size[0]),
        "video_width": float(size[1]),
        "video_resolution": float(size[0] * size[1]),
        "masklet": [[mask.to_rle() for mask in frame] for frame in each],
        "masklet_id": [label - 1 for label in labels],
        "masklet_size_abs": [sum(column) / max(1, sum(map(bool, column))) for column in areas],
        "masklet_first_appeared_frame": [float(STRIDE * column.index(True)) for column in seen],
        "masklet_frame_count": [len(masks)] * len(labels),
        "masklet_type": ["manual"] * len(labels),
        "masklet_num": len(labels),
    }
    files.write_text(path.with_name(path.stem + _MANUAL), json.dumps(facts))


def write_pages(
    folder: Path, name: str, images: Iterable[NDArray[Any]], masks: Mapping[int, Masks]
) -> None:
    """Write frames as JPEG, and the masks of some frames as a PNG per object."""
    for index, image in enumerate(images):
        path = folder / IMAGES / name / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).convert("RGB").save(path, quality=95)
    write_annotations(folder / ANNOTATIONS / name, masks)


def write_annotations(folder: Path, masks: Mapping[int, Masks]) -> None:
    """Write a PNG per object and frame, as the official evaluation takes them."""
    for frame, by_label in masks.items():
        for label, mask in by_label.items():
            path = folder / f"{label - 1:03d}" / f"{frame:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask.to_array().astype(np.uint8) * 255).save(path)


def _load_video(path: Path) -> Dataset:
    name = path.name.removesuffix(_MANUAL)
    video = path.with_name(f"{name}.mp4")
    if not video.is_file():
        raise FrameSourceError(f"{path} has no video beside it: {video.name} is missing.")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        rles, ids = facts["masklet"], [int(one) + 1 for one in facts["masklet_id"]]
    except (ValueError, KeyError, TypeError) as error:
        raise FrameSourceError(f"{path} holds no masklets: {error}.") from error

    def read_frame(index: int) -> Masks:
        if index % STRIDE or index // STRIDE >= len(rles):
            return {}
        return _visible(ids, map(ObjectMask.from_rle, rles[index // STRIDE]))

    def read() -> LazyFrames:
        with open_frames(video) as frames:
            return LazyFrames(range(frames.length or STRIDE * len(rles)), read_frame)

    return Dataset(
        name=name,
        folder=path.parent,
        frames=video,
        layout="sa-v",
        read=read,
        annotated=tuple(range(0, STRIDE * len(rles), STRIDE)),
        prompt_frame=None,
    )


def _load_pages(annotations: Path, images: Path) -> Dataset:
    stems = [path.stem for path in list_images(images)] if images.is_dir() else []
    if not stems:
        raise FrameSourceError(f"{images} has no frames: JPEG images are expected there.")
    inside = sorted(path for path in annotations.iterdir() if path.is_dir())
    folders = {int(path.name) + 1: path for path in inside if path.name.isdecimal()}
    there = {file.stem for folder in folders.values() for file in list_images(folder)}

    def read_frame(index: int) -> Masks:
        files = {label: path / f"{stems[index]}.png" for label, path in folders.items()}
        labels = [label for label, file in files.items() if file.is_file()]
        return _visible(labels, (ObjectMask.from_array(read_labels(files[one])) for one in labels))

    return Dataset(
        name=annotations.name,
        folder=annotations,
        frames=images,
        layout="sa-v",
        read=lambda: LazyFrames(range(len(stems)), read_frame),
        annotated=tuple(index for index, stem in enumerate(stems) if stem in there),
        prompt_frame=None,
    )


def _visible(labels: Sequence[int], masks: Iterable[ObjectMask]) -> Masks:
    return {label: mask for label, mask in zip(labels, masks, strict=True) if mask.visible}
