"""COCO annotations of images and of movies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sam2_plugins.core.errors import FineTuningError
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.training.finetuning.movies import AnnotatedMovie

# Where the images lie, seen from the folder of the JSON: FiftyOne and CVAT have folders of it.
_PLACES = (".", "data", "images", "../data", "../images")

Masks = dict[int, dict[ObjectId, ObjectMask]]


def read_coco(path: Path, movie: Path | None = None) -> Iterator[AnnotatedMovie]:
    """Read COCO instances, with what TAO and CocoVID add for movies if it is there.

    Images of one video make a movie, in the order of `frame_index` (or `frame_id`), and
    `track_id` tells the objects, of the annotation or of its `attributes`. Any other image is a
    movie of one frame. Annotations of crowds and those without a mask are left out.

    Parameters
    ----------
    movie
        The file whose frames the images are, where they are not files of their own.

    Raises
    ------
    FineTuningError
        If the file is damaged, or an image is missing.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        images = {image["id"]: image for image in document["images"]}
        annotations = document["annotations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FineTuningError(f"{path} is no COCO file: {type(error).__name__} {error}.") from error
    masks: dict[Any, dict[ObjectId, ObjectMask]] = {}
    for annotation in annotations:
        image = images.get(annotation.get("image_id"))
        if image is None or annotation.get("iscrowd") or not annotation.get("segmentation"):
            continue
        try:
            mask = _mask(annotation["segmentation"], image)
        except (ValueError, KeyError, TypeError) as error:
            raise FineTuningError(f"{path}, annotation {annotation.get('id')}: {error}") from error
        if mask.visible:
            masks.setdefault(image["id"], {})[_object(annotation)] = mask
    if movie is not None:
        frames = _frame_numbers(list(images.values()))
        of_movie = {frames[image]: found for image, found in masks.items()}
        yield AnnotatedMovie(movie.stem, movie, of_movie)
        return
    yield from _movies(path, images, masks)


def _movies(
    path: Path, images: Mapping[Any, Any], masks: Mapping[Any, Mapping[ObjectId, ObjectMask]]
) -> Iterator[AnnotatedMovie]:
    by_video: dict[Any, list[Any]] = {}
    for image in images.values():
        key = ("video", image["video_id"]) if "video_id" in image else ("image", image["id"])
        by_video.setdefault(key, []).append(image)
    for group in by_video.values():
        frames = _frame_numbers(group)
        group.sort(key=lambda image: frames[image["id"]])
        if not any(image["id"] in masks for image in group):
            continue
        files = [_file(path, image) for image in group]
        found = {i: masks[image["id"]] for i, image in enumerate(group) if image["id"] in masks}
        name = files[0].parent.name if len(files) > 1 else files[0].stem
        yield AnnotatedMovie(name, [str(file) for file in files], found)


def _frame_numbers(images: list[Any]) -> dict[Any, int]:
    """Image id to frame; in the order of their ids where nothing tells."""
    for key in ("frame_index", "frame_id"):
        if all(key in image for image in images):
            return {image["id"]: int(image[key]) for image in images}
    return {image["id"]: i for i, image in enumerate(sorted(images, key=lambda m: m["id"]))}


def _file(path: Path, image: Any) -> Path:
    for place in _PLACES:
        file = path.parent / place / str(image["file_name"])
        if file.is_file():
            return file
    raise FineTuningError(
        f"{path} names the image {image['file_name']}, which is not beside it, nor in data/ or "
        "images/. Put it there, or give the movie that the frames are of (--movie)."
    )


def _object(annotation: Any) -> ObjectId:
    attributes = annotation.get("attributes") or {}
    track = annotation.get("track_id", attributes.get("track_id"))
    return int(track) if track is not None else f"annotation {annotation.get('id')}"


def _mask(segmentation: Any, image: Any) -> ObjectMask:
    if isinstance(segmentation, dict):
        return ObjectMask.from_rle(segmentation)
    size = (int(image["height"]), int(image["width"]))
    rings = [np.asarray(ring, float).reshape(-1, 2) for ring in segmentation]
    return ObjectMask.from_polygons(rings, size)
