"""What Label Studio shows of our keyframes, against what was tracked and against the truth.

    python benchmarks/labelstudio_figures.py [DATA]

Tracks, through the backend, the objects of each sequence from their box on frame 0, and prints the
mean IoU of the boxes that the editor interpolates from the keyframes with the tracked boxes (of the
masks) and with the boxes of the ground truth, and keyframes per object per 100 frames; then seconds
from a click on an image to its mask, and requests that are served while a track of 200 frames runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_plugins.core.datasets import Dataset, find_datasets
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectMask, split_label_image
from sam2_plugins.demo.movie import PERCENTILES
from sam2_plugins.labelstudio_backend import projects, videos
from sam2_plugins.labelstudio_backend.demo import write_video
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.formats import geometry
from sam2_plugins.labelstudio_backend.formats.video_rectangle import (
    interpolate,
    keyframe_dict,
    read_region,
    read_regions,
)
from sam2_plugins.labelstudio_backend.settings import Settings
from sam2_plugins.labelstudio_backend.tracking import MovieFacts

RATE = 10
DATA = Path(__file__).parents[2] / "shared" / "data"


def as_movie(dataset: Dataset, out: Path) -> Path:
    """Make H.264 of a sequence, one frame after another at a steady rate."""
    with open_frames(dataset.frames, percentiles=PERCENTILES) as frames:
        images = np.stack([frame.image for frame in frames])
    path = out / f"{dataset.folder.name}.mp4"
    write_video(images, path, axes="TYXC", rate=RATE)
    return path


def box_of(mask: ObjectMask) -> tuple[float, float, float, float]:
    value = geometry.to_percent(mask.box or (0, 0, 1, 1), mask.frame_size)
    return value["x"], value["y"], value["width"], value["height"]


def prompt(obj: int, mask: ObjectMask, count: int) -> dict:
    sequence = [keyframe_dict(1, box_of(mask), True, RATE)]
    value = {"framesCount": count, "duration": count / RATE, "labels": ["Cell"]}
    about = {"id": str(obj), "from_name": "box", "to_name": "video", "type": "videorectangle"}
    return {**about, "value": {**value, "sequence": sequence}}


def overlap(one: tuple, other: tuple) -> float:
    (x, y, w, h), (u, v, s, t) = one, other
    width = max(0.0, min(x + w, u + s) - max(x, u))
    height = max(0.0, min(y + h, v + t) - max(y, v))
    return width * height / (w * h + s * t - width * height)


def measure(engine: Engine, path: Path, masks: list[dict], objects: list[int]) -> dict[str, float]:
    count = len(masks)
    drawn = [prompt(obj, masks[0][obj], count) for obj in objects]
    task = {"id": 1, "data": {"video": str(path)}}
    config = projects.video_config(["Cell"], RATE)
    (answer,) = engine.predict([task], config, {"result": drawn})
    tracked = engine.work.jobs.all()[0].tracked
    with open_frames(path) as frames:
        scale = frames.height / masks[0][objects[0]].frame_size[0]
        regions = read_regions(answer["result"])
        shown_at = videos.view_of(MovieFacts.of(frames), RATE, regions, "none").clock.shown
    assert shown_at.tolist() == list(range(count)), scale
    with_tracked, with_truth, keyframes = [], [], 0
    for result in answer["result"]:
        region = read_region(result)
        keyframes += len(region.keyframes)
        for frame in range(count):
            shown = interpolate(region.keyframes, frame + 1)
            mask = tracked.masks.of_object(region.id).get(frame)
            if frame and mask is not None and (shown or mask.visible):
                with_tracked.append(overlap(shown, box_of(mask)) if shown and mask.visible else 0.0)
            real = masks[frame].get(int(region.id))
            if frame and real is not None and real.visible:
                with_truth.append(overlap(shown, box_of(real)) if shown else 0.0)
    per_hundred = 100 * keyframes / (count * len(objects))
    return {
        "tracked": float(np.mean(with_tracked)),
        "truth": float(np.mean(with_truth)),
        "keyframes": per_hundred,
    }


def second_click(engine: Engine, folder: Path) -> tuple[float, float]:
    """Seconds from a request to its mask: the first click on an object, and one that refines it."""
    task = {"id": 2, "data": {"image": str(folder / "click.png")}}
    config = projects.image_config(["Cell"])
    seconds = []
    clicks: list[dict] = []
    for x in (30.0, 31.0):
        click = {"from_name": "click", "to_name": "image", "type": "keypointlabels"}
        value = {"x": x, "y": 50.0, "width": 0.3, "keypointlabels": ["Cell"]}
        clicks.append({**click, "id": f"click {x}", "value": value})
        start = time.perf_counter()
        engine.predict([task], config, {"result": clicks})
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def requests_during(
    engine: Engine, path: Path, masks: list[dict], folder: Path
) -> dict[str, float]:
    """Clicks that are answered while a track runs, one after another, and how long they take."""
    drawn = [prompt(obj, mask, len(masks)) for obj, mask in list(masks[0].items())[:1]]
    task = {"id": 3, "data": {"video": str(path)}}
    arguments = ([task], projects.video_config(["Cell"], RATE), {"result": drawn})
    tracking = threading.Thread(target=engine.predict, args=arguments)
    tracking.start()
    clicks = []
    while tracking.is_alive():
        clicks.append(second_click(engine, folder)[1])
    return {"clicks": 2 * len(clicks), "median": float(np.median(clicks)), "worst": max(clicks)}


def main() -> None:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        engine = Engine(Settings(cache=str(out / "cache"), roots=(name,), answer_within=3600))
        print(f"{'sequence':22}{'with tracked':>14}{'with truth':>12}{'keyframes/100':>15}")
        rows = []
        for dataset in find_datasets(data):
            masks = [dataset.masks(frame) for frame in dataset.truth_frames]
            objects = [obj for obj, first in dataset.first_frames.items() if not first]
            row = measure(engine, as_movie(dataset, out), masks, objects)
            rows.append(row)
            print(
                f"{dataset.name:22}{row['tracked']:14.3f}{row['truth']:12.3f}{row['keyframes']:15.1f}"
            )
        if rows:
            means = [float(np.mean([row[key] for row in rows])) for key in rows[0]]
            print(f"{'mean':22}{means[0]:14.3f}{means[1]:12.3f}{means[2]:15.1f}")

        from sam2_plugins.training.synthetic import sample_timelapse

        movie, labels = sample_timelapse(frames=200, size=384)
        write_video(movie, out / "long.mp4")
        with open_frames(out / "long.mp4") as frames:
            Image.fromarray(frames[0].image).save(out / "click.png")
        first, second = second_click(engine, out)
        print(
            f"click to mask: {first:.3f} s for the first on an object, {second:.3f} s for the next"
        )
        large = [split_label_image(image) for image in labels]
        said = requests_during(engine, out / "long.mp4", large, out)
        print(
            f"while 200 frames are tracked: {said['clicks']:.0f} clicks answered, "
            f"median {said['median']:.3f} s, worst {said['worst']:.3f} s"
        )


if __name__ == "__main__":
    main()
