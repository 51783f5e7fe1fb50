"""A dataset to try the plugin on: a made-up time-lapse with a few cells prompted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.files import require_free
from sam2_plugins.core.frames import encode_video
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.demo.cells import choose_prompts
from sam2_plugins.demo.movie import open_synthetic
from sam2_plugins.fiftyone_plugin.labels import relative_box, relative_points
from sam2_plugins.fiftyone_plugin.videos import video_metadata

DATASET = "sam2-demo"
PROMPTS = "prompts"
_RATE = 6  # frames per second, slow enough to see the cells move


def make_demo(folder: Path, cells: int = 8, *, overwrite: bool = False) -> Any:
    """Make the dataset anew: one video, whose first frame has boxes and clicks on cells.

    Parameters
    ----------
    folder
        Of the video.
    overwrite
        Whether a video that is not of the dataset may be replaced.

    Raises
    ------
    ExportError
        If such a video is in the way.
    """
    path = folder / "nuclei.mp4"
    earlier = fo.load_dataset(DATASET).values("filepath") if fo.dataset_exists(DATASET) else []
    require_free([path], overwrite or str(path) in earlier)
    movie = open_synthetic()
    encode_video(path, (frame.image for frame in movie.frames), _RATE)
    if fo.dataset_exists(DATASET):
        fo.delete_dataset(DATASET)
    dataset = fo.Dataset(DATASET, persistent=True)
    sample = fo.Sample(str(path), metadata=video_metadata(movie.frames, _RATE))
    dataset.add_sample(sample)
    prompts = choose_prompts(movie.frames[0].image, cells)
    size = (movie.frames.height, movie.frames.width)
    sample.frames[1] = fo.Frame(
        **{
            PROMPTS: fo.Detections(detections=list(_boxes(prompts, size))),
            f"{PROMPTS}_clicks": fo.Keypoints(keypoints=list(_clicks(prompts, size))),
        }
    )
    sample.save()
    return dataset


def encode(images: Iterable[NDArray[np.uint8]], path: Path, fps: int) -> Path:
    """Write a video, as before `encode_video` did: scripts know this name."""
    return encode_video(path, images, fps)


def _boxes(prompts: list[Prompt], size: tuple[int, int]) -> Iterator[Any]:
    for prompt in prompts:
        if prompt.box is not None:
            box = relative_box(tuple(prompt.box), size)
            yield fo.Detection(label="cell", index=prompt.obj, bounding_box=box)


def _clicks(prompts: list[Prompt], size: tuple[int, int]) -> Iterator[Any]:
    for prompt in prompts:
        if prompt.points is not None:
            points = relative_points(prompt.points.xy, size)
            yield fo.Keypoint(label="cell", index=prompt.obj, points=points)
