"""What FiftyOne's operator gives on real data, and what the host costs.

    python benchmarks/fiftyone_figures.py [DATA] [NAME ...]

A database of its own is started for it. Each NAME is one of these; all of them without one:

quality
    For each sequence of DATA, the mean J of the core's own run, of `propagate` from the first
    frame's masks as `evaluate_masklets` scores it, how many of its masks equal the core's pixel by
    pixel, and the mean IoU on frames with the object, as we write it to labels and as FiftyOne's
    own code gives it.
overhead, memory
    On made-up movies: what the host adds to a run (seconds per 100 frames with 20 objects), memory
    over 20 videos and the time to cancel.
pixels
    Of 10,000 random masks, how many FiftyOne's own code renders otherwise.
curation
    What people do after the first run, and what another run makes of it: masks before and after.
forms
    Seconds until the form is checked, with 10,000 groups of 5 images, and with 10,000 videos.
reruns
    Seconds of another run over finished videos of 4 frames: over 100 copies of one, of which
    nothing is recorded, and over 2,000 with the records that finished runs leave.
exports
    For each format of FiftyOne: labels written and read again, and whether each has its index and
    instance still, and the pixels of its mask.
stop
    Seconds from the click on *Stop* until the page that began the run says that it has stopped.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from sam2_plugins.core.tracking.options import TrackingOptions
from tests.hosts.fiftyone.mongo import Mongo, find_mongod

DATA = Path(__file__).parents[2] / "shared" / "data"
CPU = TrackingOptions(device="cpu")
SIZE, OBJECTS, LONG, VIDEOS = 512, 20, 100, 20


def main(data: Path, names: list[str]) -> None:
    """Start a database, and print the wanted figures."""
    torch.set_num_threads(1)
    mongod = find_mongod(Path(sysconfig.get_path("purelib")))
    assert mongod is not None, "make test-fiftyone installs a database"
    with tempfile.TemporaryDirectory() as name, Mongo(mongod, Path(name)) as server:
        os.environ |= {
            "HOME": name,
            "FIFTYONE_DATABASE_URI": server.uri,
            "FIFTYONE_DATABASE_NAME": "figures",
            "FIFTYONE_DATABASE_VALIDATION": "false",
            "FIFTYONE_DO_NOT_TRACK": "1",
            "FIFTYONE_SHOW_PROGRESS_BARS": "false",
        }
        folder = Path(name)
        figures: dict[str, Callable[[], None]] = {
            "quality": lambda: quality(data),
            "overhead": lambda: overhead(folder),
            "memory": lambda: memory_and_cancel(folder),
            "pixels": pixels,
            "curation": lambda: curation(folder),
            "forms": lambda: forms(folder),
            "reruns": lambda: reruns(folder),
            "exports": lambda: exports(folder),
            "stop": lambda: stop(folder),
        }
        for wanted in names or figures:
            figures[wanted]()


def quality(data: Path) -> None:
    """Mean J by four ways to compute it."""
    from sam2_plugins.core import load_model
    from sam2_plugins.core.datasets import find_datasets
    from sam2_plugins.core.evaluation import evaluate_sequence
    from sam2_plugins.fiftyone_plugin import evaluate, propagate

    model = load_model("nano", "cpu")
    heads = ("core", "FiftyOne", "equal masks", "label IoU", "its own IoU")
    print(f"{'sequence':20}" + "".join(f"{head:>14}" for head in heads))
    for one in find_datasets(data):
        movie = image_sequence(one)
        objects = [int(obj) for obj in one.first_frames]
        first = movie.first()
        chosen = [label.copy() for label in first.truth.detections if label.index in objects]
        first["seed"] = type(first.truth)(detections=chosen)
        first.save()
        how = {"group_by": "movie", "order_by": "frame"}
        propagate(movie, "seed", "sam2", device="cpu", **how)
        report = evaluate(movie, "sam2", "truth", absent=one.settings["absent"], **how)
        scores = {track.key: track.J for track in report.movies[0].tracks}
        host = float(np.mean([scores[obj] for obj in objects]))
        kept: list[Any] = []
        core = evaluate_sequence(model, one, "mask", on_masks=kept.append).scores
        same, count = equal_masks(movie, kept[0])
        told = [f"{core.J:14.4f}{host:14.4f}{f'{same} / {count}':>14}"]
        told += [f"{value:14.4f}" for value in (raw_iou(movie, objects), own_iou(movie, objects))]
        print(f"{one.name:20}" + "".join(told), flush=True)
        movie.delete()


def image_sequence(one: Any) -> Any:
    """Make a dataset of images of one movie, with all the true masks."""
    import fiftyone as fo

    from sam2_plugins.fiftyone_plugin.labels import detection_values

    dataset = fo.Dataset()
    samples = []
    for number, path in enumerate(sorted(Path(one.frames).iterdir())[: len(one.truth)]):
        labels = [
            fo.Detection(label="object", index=int(obj), **detection_values(mask))
            for obj, mask in one.masks(number).items()
            if mask.visible
        ]
        values = {"movie": one.name, "frame": number, "truth": fo.Detections(detections=labels)}
        samples.append(fo.Sample(str(path), **values))
    dataset.add_samples(samples)
    return dataset


def raw_iou(movie: Any, objects: list[int]) -> float:
    """Mean over objects of the IoU that `evaluate_masklets` wrote to labels after frame 0."""
    found = per_object(movie, "sam2_eval_iou", objects)
    return float(np.mean([np.mean(values) for values in found.values()]))


def equal_masks(movie: Any, found: Any) -> tuple[int, int]:
    """Count the visible masks of the core, after the first frame, and those that FiftyOne has."""
    from sam2_plugins.fiftyone_plugin.documents import plain
    from sam2_plugins.fiftyone_plugin.labels import detection_mask

    same = count = 0
    for frame, sample in enumerate(movie.sort_by("frame")):
        made = {one.index: plain(one) for one in (sample.sam2.detections if sample.sam2 else [])}
        for obj, mask in found[frame].items() if frame else ():
            if mask.visible:
                count += 1
                label = made.get(int(obj))
                same += label is not None and detection_mask(label, mask.frame_size) == mask
    return same, count


def own_iou(movie: Any, objects: list[int]) -> float:
    """Compute the same by FiftyOne's IoU of masks, of the same pairs of labels."""
    import fiftyone.utils.iou as foui

    found: dict[int, list[float]] = {obj: [] for obj in objects}
    for sample in movie.sort_by("frame").skip(1):
        truth = {one.index: one for one in sample.truth.detections}
        made = {one.index: one for one in (sample.sam2.detections if sample.sam2 else [])}
        for obj in objects:
            if obj in truth:
                pair = [[made[obj]], [truth[obj]]] if obj in made else None
                iou = foui.compute_ious(*pair, use_masks=True)[0][0] if pair else 0.0
                found[obj].append(float(iou))
    return float(np.mean([np.mean(values) for values in found.values()]))


def per_object(movie: Any, field: str, objects: list[int]) -> dict[int, list[float]]:
    """Values of a field of labels by object, after the first frame; 0 where one is missing."""
    found: dict[int, list[float]] = {obj: [] for obj in objects}
    for sample in movie.sort_by("frame").skip(1):
        made = {one.index: one for one in (sample.sam2.detections if sample.sam2 else [])}
        for one in sample.truth.detections:
            if one.index in found:
                found[one.index].append(float(made[one.index][field]) if one.index in made else 0.0)
    return found


def overhead(folder: Path) -> None:
    """Seconds beyond the core per 100 frames with 20 objects."""
    from sam2_plugins.core import VideoTracker, load_model, open_frames
    from sam2_plugins.fiftyone_plugin import propagate

    dataset, path, masks = video_dataset(folder, LONG, OBJECTS)
    model = load_model("nano", "cpu")
    propagate(dataset, "seed", "warm", last=2, device="cpu")
    began = time.perf_counter()
    with open_frames(path) as frames:
        tracker = VideoTracker(model, frames)
        for obj, mask in masks.items():
            tracker.add_prompt(0, obj, mask=mask)
        for _ in tracker.propagate():
            pass
    core = time.perf_counter() - began
    began = time.perf_counter()
    report = propagate(dataset, "seed", "sam2", device="cpu")
    host = time.perf_counter() - began
    assert report.movies[0].frames == LONG
    print(
        f"{LONG} frames, {len(masks)} objects: core {core:.1f} s, through FiftyOne {host:.1f} s: "
        f"{host - core:+.1f} s, {100 * (host / core - 1):+.0f} %"
    )
    dataset.delete()


def memory_and_cancel(folder: Path) -> None:
    """Memory after each of 20 videos; seconds from closing a run to its end."""
    import fiftyone as fo

    from sam2_plugins.fiftyone_plugin import propagate
    from sam2_plugins.fiftyone_plugin.finding import find_footage
    from sam2_plugins.fiftyone_plugin.propagation import run
    from sam2_plugins.fiftyone_plugin.request import Progress, Request

    dataset, path, _ = video_dataset(folder, 24, 5)
    seeds = dataset.first().frames[1]["seed"]
    for _ in range(VIDEOS - 1):
        sample = fo.Sample(str(path))
        sample.frames[1] = fo.Frame(seed=seeds.copy())
        dataset.add_sample(sample)
    held: dict[int, float] = {}

    def watch(progress: Any) -> None:
        held[progress.movie] = psutil.Process().memory_info().rss / 1e6

    propagate(dataset, "seed", "sam2", device="cpu", on_progress=watch)
    print(
        f"memory: {held[0]:.0f} MB in the first video, {held[4]:.0f} in the fifth, "
        f"{held[VIDEOS - 1]:.0f} in the last of {VIDEOS}"
    )
    events = run(find_footage(dataset), Request(("seed",), "again", CPU))
    next(event for event in events if isinstance(event, Progress) and event.done == 5)
    began = time.perf_counter()
    events.close()
    kept = dataset.count("frames.again.detections")
    print(f"cancel: {time.perf_counter() - began:.2f} s; {kept} masks of 5 frames are kept")
    dataset.delete()


def pixels(count: int = 10_000) -> None:
    """Random masks, written as we do and rendered by FiftyOne."""
    import fiftyone as fo

    from sam2_plugins.core.masks import ObjectMask
    from sam2_plugins.fiftyone_plugin.labels import detection_values

    sizes = ((96, 128), (480, 854), (720, 1280), (1080, 1920), (1079, 1917))
    random, wrong = np.random.default_rng(0), 0
    for number in range(count):
        height, width = sizes[number % len(sizes)]
        h, w = random.integers(1, 40, 2)
        y, x = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
        whole = np.zeros((height, width), bool)
        whole[y : y + h, x : x + w] = random.random((h, w)) > 0.3
        whole[y, x] = True
        made = fo.Detection(**detection_values(ObjectMask.from_array(whole)))
        shown = made.to_segmentation(frame_size=(width, height), target=1).mask > 0
        wrong += int((shown != whole).any())
    print(f"pixels: {wrong} of {count} masks are rendered otherwise")


def curation(folder: Path) -> None:
    """Acts of people on a tracked video with four objects, and what another run makes of them."""
    import fiftyone as fo

    from sam2_plugins.fiftyone_plugin import propagate

    def seeds(dataset: Any, change: Callable[[list[Any]], list[Any]]) -> Any:
        sample = dataset.first()
        labels = change(list(sample.frames[1]["seed"].detections))
        sample.frames[1]["seed"] = fo.Detections(detections=labels)
        sample.save()
        return dataset

    def with_values(**values: Any) -> Callable[[list[Any]], list[Any]]:
        def change(labels: list[Any]) -> list[Any]:
            for label in labels:
                for name, value in values.items():
                    label[name] = value
            return labels

        return change

    def anew(labels: list[Any]) -> list[Any]:
        return [
            fo.Detection(label=one.label, bounding_box=one.bounding_box, mask=one.mask)
            for one in labels
        ]

    def copies(dataset: Any) -> Any:
        other = fo.Dataset()
        other.add_samples([sample.copy() for sample in dataset])
        return other

    def merged(dataset: Any) -> Any:
        other = fo.Dataset()
        other.merge_samples(dataset)
        return other

    acts: dict[str, Callable[[Any], Any]] = {
        "nothing": lambda dataset: dataset,
        "classes renamed": lambda dataset: seeds(dataset, with_values(label="nucleus")),
        "indices taken off": lambda dataset: seeds(dataset, with_values(index=None)),
        "prompts imported anew": lambda dataset: seeds(dataset, anew),
        "samples copied": copies,
        "samples merged": merged,
        "dataset cloned": lambda dataset: dataset.clone(),
        "three prompts deleted": lambda dataset: seeds(dataset, lambda labels: labels[:1]),
    }
    print(f"{'act':24}{'before':>8}{'after':>8}{'computed':>10}  report")
    for name, act in acts.items():
        dataset, _, _ = video_dataset(folder, 10, 4)
        propagate(dataset, "seed", device="cpu")
        before = dataset.count("frames.sam2.detections")
        changed = act(dataset)
        report = propagate(changed, "seed", device="cpu")
        changed.reload()
        after = changed.count("frames.sam2.detections")
        print(f"{name:24}{before:8}{after:8}{report.movies[0].computed:10}  {report}", flush=True)


def forms(folder: Path, count: int = 10_000) -> None:
    """Seconds until a form is checked: of groups of images, and of videos."""
    import fiftyone as fo

    from sam2_plugins.fiftyone_plugin import Request
    from sam2_plugins.fiftyone_plugin.checks import check_propagation

    box = fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0.1, 0.1, 0.2, 0.2])])
    images, videos = fo.Dataset(), fo.Dataset()
    path = folder / "image.png"
    path.touch()
    images.add_samples(
        fo.Sample(str(path), movie=f"{number // 5}", place=number % 5, seed=box.copy())
        for number in range(5 * count)
    )
    videos.add_samples(fo.Sample(str(folder / "video.mp4")) for _ in range(count))
    (folder / "video.mp4").touch()
    videos.set_values("frames.seed", [{1: box.copy()} for _ in range(count)])
    views = {"groups of 5 images": images.group_by("movie", order_by="place"), "videos": videos}
    for name, view in views.items():
        began = time.perf_counter()
        check_propagation(view, Request(("seed",)))
        print(f"form: {time.perf_counter() - began:.2f} s with {count} {name}", flush=True)


def reruns(folder: Path) -> None:
    """Seconds of a run over finished videos: some copies without a record, and all with one."""
    from sam2_plugins.fiftyone_plugin import Request, propagate
    from sam2_plugins.fiftyone_plugin.finding import find_footage
    from sam2_plugins.fiftyone_plugin.records import Watched, keep

    count, without = 2000, 100
    dataset, _, _ = video_dataset(folder, 4, 1, size=96)
    (report,) = propagate(dataset, "seed", device="cpu").movies
    sample = dataset.first()
    dataset.add_samples(sample.copy() for _ in range(count - 1))
    again = "another run over {} videos {} records: {:.1f} s, {} frames computed"
    print(again.format(without, "without", *timed_run(dataset[1 : without + 1])), flush=True)
    request = Request(("seed",), options=CPU)
    for movie in find_footage(dataset):  # what a run over each would leave
        state = Watched(movie).undisturbed()
        assert state is not None
        keep(movie, request, state, replace(report, name=movie.name, sample_id=movie.sample_id))
    print(again.format(count, "with", *timed_run(dataset)), flush=True)


def timed_run(samples: Any) -> tuple[float, int]:
    """Seconds of a run, and frames that it computed."""
    from sam2_plugins.fiftyone_plugin import propagate

    began = time.perf_counter()
    report = propagate(samples, "seed", device="cpu")
    seconds = time.perf_counter() - began
    return seconds, sum(movie.computed for movie in report.movies)


def exports(folder: Path) -> None:
    """Labels of two tracks on four frames, through each format of FiftyOne and back."""
    from fiftyone import types

    from sam2_plugins.fiftyone_plugin import propagate

    dataset, _, _ = video_dataset(folder, 4, 2)
    propagate(dataset, "seed", device="cpu")
    images = dataset.to_frames(sample_frames=True, output_dir=str(folder / "frames"))
    formats = {
        "COCODetectionDataset": images,
        "CVATImageDataset": images,
        "VOCDetectionDataset": images,
        "BDDDataset": images,
        "YOLOv4Dataset": images,
        "YOLOv5Dataset": images,
        "KITTIDetectionDataset": images,
        "FiftyOneImageDetectionDataset": images,
        "CVATVideoDataset": dataset,
        "FiftyOneVideoLabelsDataset": dataset,
        "FiftyOneDataset": dataset,
    }
    print(f"{'format':32}{'of':8}{'out':>4}{'back':>6}{'index':>7}{'instance':>10}{'masks':>7}")
    for name, samples in formats.items():
        before, after = facts(samples), facts(through(samples, getattr(types, name), folder / name))
        index, instance = (
            "yes" if sorted(before[place]) == sorted(after[place]) else "no" for place in (0, 1)
        )
        kind = "videos" if samples is dataset else "images"
        print(
            f"{name:32}{kind:8}{len(before[0]):4}{len(after[0]):6}{index:>7}{instance:>10}"
            f"  {masks(before[2], after[2])}",
            flush=True,
        )


def masks(before: list[str], after: list[str]) -> str:
    """Tell what came back of masks by their pixels, of which there are 0 where there is none."""
    areas = [sorted(map(int, some)) for some in (before, after)]
    if not any(areas[1]):
        return "boxes"
    most = max(abs(a / b - 1) for b, a in zip(*areas, strict=True))
    return "the same pixels" if most == 0 else f"areas within {most:.0%}"


def through(samples: Any, kind: Any, folder: Path) -> Any:
    """Write masks in a format, and read them again."""
    import fiftyone as fo

    from sam2_plugins.fiftyone_plugin import export

    if kind is fo.types.FiftyOneDataset:
        samples.export(export_dir=str(folder), dataset_type=kind)
    else:
        export(samples, "sam2", folder, kind)
    coco = {"label_types": "segmentations", "label_field": "sam2"}
    more = coco if kind is fo.types.COCODetectionDataset else {}
    return fo.Dataset.from_dir(dataset_dir=str(folder), dataset_type=kind, **more)


def facts(samples: Any) -> list[list[str]]:
    """The index, the instance and the area of the mask of each label of results."""
    import fiftyone as fo

    from sam2_plugins.fiftyone_plugin.documents import instance_of

    is_video = samples.media_type == "video"
    schema = samples.get_frame_field_schema() if is_video else samples.get_field_schema()
    kinds = {name: getattr(field, "document_type", None) for name, field in schema.items()}
    names = [name for name, kind in kinds.items() if kind is fo.Detections]
    name = "sam2" if "sam2" in names else names[0]
    parts = [p for one in samples for p in (one.frames.values() if is_video else [one])]
    found = [label for part in parts if part[name] for label in part[name].detections]
    rows = [
        (one.index, instance_of(one), 0 if one.mask is None else (one.mask > 0).sum())
        for one in found
    ]
    return [[str(value) for value in column] for column in zip(*rows, strict=True)]


def stop(folder: Path) -> None:
    """Seconds from the click to the word on the page that began the run."""
    from sam2_plugins.fiftyone_plugin.demo import make_demo
    from sam2_plugins.fiftyone_plugin.install import install
    from tests.hosts.fiftyone import app

    os.environ["FIFTYONE_PLUGINS_DIR"] = str(folder / "plugins")
    install(folder / "plugins")
    dataset = make_demo(folder / "demo")
    dataset.delete_frame_field("prompts_clicks")  # the form chooses an only field by itself
    with app.running_app(dataset.name) as address, app.shown(address) as page:
        app.begin(page)
        began = time.perf_counter()
        app.stop(page)
        print(f"stop: {time.perf_counter() - began:.1f} s from the click until the page says so")


def video_dataset(folder: Path, frames: int, objects: int, size: int = SIZE) -> tuple:
    """Make a dataset of one video, with the true masks of some objects on the first frame."""
    import fiftyone as fo

    from sam2_plugins.core.frames import encode_video
    from sam2_plugins.core.masks import split_label_image
    from sam2_plugins.fiftyone_plugin.labels import detection_values
    from sam2_plugins.training.synthetic import sample_timelapse

    movie, labels = sample_timelapse(frames=frames, size=size)
    grey = ((movie.astype(float) - 300) / 2500 * 255).clip(0, 255).astype(np.uint8)
    path = folder / f"{frames}-{objects}-{size}.mp4"
    encode_video(path, (np.repeat(image[..., None], 3, -1) for image in grey), 10)
    there = split_label_image(labels[0])
    masks = dict(sorted(there.items(), key=lambda item: -item[1].area)[:objects])
    dataset = fo.Dataset()
    sample = fo.Sample(str(path))
    sample.frames[1] = fo.Frame(
        seed=fo.Detections(
            detections=[
                fo.Detection(label="cell", index=obj, **detection_values(masks[obj]))
                for obj in sorted(masks)
            ]
        )
    )
    dataset.add_sample(sample)
    return dataset, path, masks


if __name__ == "__main__":
    given = sys.argv[1:]
    where = Path(given.pop(0)) if given and Path(given[0]).is_dir() else DATA
    main(where, given)
