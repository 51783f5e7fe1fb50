"""COCO annotations of images and of movies, and YouTube-VIS: one file for each, `NAME.json`.

    annotations.json    images/0001.png …    (or beside it, in data/, ../data or ../images)
    instances.json      JPEGImages/NAME/00000.jpg …    (or in NAME of the file)

What TAO and CocoVID add for movies is used if it is there: images of one video (`video_id`) make a
movie, in the order of `frame_index` (or `frame_id`), and `track_id` tells the objects, of the
annotation or of its `attributes`. Any other image is a movie of one frame. Annotations of crowds
and those without a mask are left out.

An annotation of YouTube-VIS is a track: its `segmentations` are a mask, or null where the object
is not seen, for each of the `file_names` of its video.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from sam2_plugins.core.datasets.dataset import Dataset, masked
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.masks import ObjectMask

# Where the images lie, seen from the folder of the JSON: FiftyOne and CVAT have folders of it.
_PLACES = (".", "data", "images", "JPEGImages", "../data", "../images", "../JPEGImages")

_FARTHEST = 4  # sides of the image that a polygon may reach, which takes memory

_Masks = dict[int, ObjectMask]


def find(path: Path) -> list[Dataset]:
    """Open every movie of a file, or of the files of a folder, that are annotated."""
    if path.is_dir():
        files = [file for file in sorted(path.glob("*.json")) if _is_coco(file)]
        return [dataset for file in files for dataset in load(file)]
    return load(path) if path.suffix.lower() == ".json" else []


def load(path: Path) -> list[Dataset]:
    """Open the movies of a file.

    Raises
    ------
    FrameSourceError
        If the file is damaged, or an image is missing.
    """
    images, masks = _read(path)
    by_video: dict[Any, list[Any]] = {}
    for image in images.values():
        key = ("video", image["video_id"]) if "video_id" in image else ("image", image["id"])
        by_video.setdefault(key, []).append(image)
    groups = (group for group in by_video.values() if any(image["id"] in masks for image in group))
    return [_movie(path, group, masks) for group in groups]


def load_for(path: Path, movie: Path) -> Dataset:
    """Open a file whose images are the frames of a movie that is elsewhere."""
    images, masks = _read(path)
    frames = _frame_numbers(list(images.values()))
    found = {frames[image]: of_image for image, of_image in masks.items()}
    return masked(movie.stem, path.parent, movie, found, max(frames.values(), default=-1) + 1)


def _movie(path: Path, images: list[Any], masks: Mapping[Any, _Masks]) -> Dataset:
    frames = _frame_numbers(images)
    images.sort(key=lambda image: frames[image["id"]])
    files = [_file(path, image) for image in images]
    found = {i: masks[image["id"]] for i, image in enumerate(images) if image["id"] in masks}
    name = files[0].parent.name if len(files) > 1 else files[0].stem
    return masked(name, path.parent, [str(file) for file in files], found, len(files))


def _is_coco(path: Path) -> bool:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        # Those of the videos of a challenge, whose truth is secret, are null.
        return bool(document["annotations"]) and ("images" in document or _is_of_videos(document))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _read(path: Path) -> tuple[dict[Any, Any], dict[Any, _Masks]]:
    """Read images by their ids, and masks by image and object."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        if _is_of_videos(document):
            document = _by_image(document)
        images = {image["id"]: image for image in document["images"]}
        annotations = [
            one
            for one in document["annotations"]
            if one["image_id"] in images and not one.get("iscrowd") and one.get("segmentation")
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FrameSourceError(
            f"{path} is no COCO file: {type(error).__name__} {error}."
        ) from error
    labels = _labels([_track(annotation) for annotation in annotations])
    masks: dict[Any, _Masks] = {}
    for annotation, label in zip(annotations, labels, strict=True):
        of_image = masks.setdefault(annotation["image_id"], {})
        try:
            mask = _mask(annotation["segmentation"], images[annotation["image_id"]])
            if mask.visible:  # annotations of one track are parts of one object
                of_image[label] = of_image[label].union_with(mask) if label in of_image else mask
        except (ValueError, KeyError, TypeError) as error:
            raise FrameSourceError(f"{path}, annotation {annotation.get('id')}: {error}") from error
    return images, masks


def _is_of_videos(document: Any) -> bool:
    """Whether a document is one of YouTube-VIS; what else has videos has images, too."""
    videos = document.get("videos")
    return "images" not in document and bool(videos) and all("file_names" in v for v in videos)


def _by_image(document: Any) -> dict[str, Any]:
    """Tell what YouTube-VIS tells of videos as COCO tells it of images."""
    videos = {video["id"]: video for video in document["videos"]}
    annotations = []
    for track in document["annotations"]:
        video = videos[track["video_id"]]
        size = [int(video["height"]), int(video["width"])]
        nothing = {"size": size, "counts": [size[0] * size[1]]}
        pairs = zip(video["file_names"], track["segmentations"], strict=True)
        for frame, (_, segmentation) in enumerate(pairs):
            of_frame = {"image_id": (video["id"], frame), "segmentation": segmentation or nothing}
            annotations.append({**track, "track_id": track["id"], **of_frame})
    images = [
        {**video, "id": (key, frame), "video_id": key, "frame_index": frame, "file_name": name}
        for key, video in videos.items()
        for frame, name in enumerate(video["file_names"])
    ]
    return {"images": images, "annotations": annotations}


def _labels(tracks: Sequence[int | None]) -> list[int]:
    """Number the objects: tracks as they are, if they are from 1 on; the rest each for itself."""
    known = dict.fromkeys(track for track in tracks if track is not None)
    keep = all(track > 0 for track in known)
    own = {track: track if keep else k for k, track in enumerate(known, start=1)}
    free = (label for label in count(1) if label not in own.values())
    return [next(free) if track is None else own[track] for track in tracks]


def _frame_numbers(images: list[Any]) -> dict[Any, int]:
    """Image id to frame; in the order of their ids where it is unknown."""
    for key in ("frame_index", "frame_id"):
        if all(key in image for image in images):
            return {image["id"]: int(image[key]) for image in images}
    return {image["id"]: i for i, image in enumerate(sorted(images, key=lambda m: m["id"]))}


def _file(path: Path, image: Any) -> Path:
    for place in (*_PLACES, f"{path.stem}/JPEGImages"):
        file = path.parent / place / str(image["file_name"])
        if file.is_file():
            return file
    raise FrameSourceError(
        f"{path} names the image {image['file_name']}, which is not beside it, nor in data/ or "
        "images/. Put it there, or give the movie that the frames are of."
    )


def _track(annotation: Any) -> int | None:
    attributes = annotation.get("attributes") or {}
    track = annotation.get("track_id", attributes.get("track_id"))
    return None if track is None else int(track)


def _mask(segmentation: Any, image: Any) -> ObjectMask:
    if isinstance(segmentation, dict):
        return ObjectMask.from_rle(segmentation)
    size = (int(image["height"]), int(image["width"]))
    rings = [np.asarray(ring, float).ravel() for ring in segmentation]
    for ring in rings:
        if len(ring) < 6 or len(ring) % 2:
            raise ValueError("a polygon is three or more pairs x, y")
        if not np.all(np.abs(ring) < _FARTHEST * max(size)):
            raise ValueError("a polygon reaches far out of its image")
    # As everybody fills them: pixels span [i, i + 1], and several polygons are parts of one object.
    parts = coco_mask.frPyObjects([ring.tolist() for ring in rings], *size)
    return ObjectMask.from_rle(coco_mask.merge(parts))
