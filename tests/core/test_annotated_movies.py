"""One reader: whatever can be evaluated can be learned from, with the same truth, and back."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.datasets import (
    _LAYOUTS,
    Dataset,
    ctc,
    davis,
    find_datasets,
    load_for,
    own,
    sav,
)
from sam2_plugins.core.datasets.ctc import named_after
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.evaluation import evaluate_sequence
from sam2_plugins.core.evaluation.metrics import evaluate
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.training.finetuning import read_project

SIZE = (48, 64)
LABELS = np.zeros((9, *SIZE), np.uint8)
for _t in range(9):
    LABELS[_t, 8:20, 5 + 2 * _t : 17 + 2 * _t] = 1
    LABELS[_t, 28:40, 30:44] = 3
IMAGES = np.repeat((LABELS * 70 + 20)[..., None], 3, axis=-1)


def write_ctc(folder: Path) -> None:
    ctc.write(folder, "01", IMAGES[..., 0], LABELS)


def write_silver(folder: Path) -> None:
    ctc.write(folder, "01", IMAGES[..., 0], LABELS)
    (folder / "01_ST").mkdir()
    (folder / "01_GT" / "SEG").rename(folder / "01_ST" / "SEG")


def write_results(folder: Path) -> None:
    write_ctc(folder)
    (folder / "01_RES").mkdir()
    for path in (folder / "01_GT" / "SEG").iterdir():
        path.rename(folder / "01_RES" / path.name.replace("man_seg", "mask"))
    for path in (folder / "01_GT" / "TRA").iterdir():
        path.unlink()
    for part in ("SEG", "TRA", "."):
        (folder / "01_GT" / part).rmdir()


def write_davis(folder: Path) -> None:
    davis.write(folder, "squares", IMAGES, dict(enumerate(LABELS)))


def write_sav(folder: Path) -> None:
    masks = [{k: ObjectMask.from_array(LABELS[t] == k) for k in (1, 3)} for t in (0, 4, 8)]
    sav.write_video(folder / "sav_000001.mp4", IMAGES, masks)


def write_own(folder: Path) -> None:
    own.write(folder, IMAGES, LABELS)


def write_own_without_facts(folder: Path) -> None:
    own.write(folder / "one", IMAGES, LABELS)
    (folder / "one" / "meta.json").unlink()


def write_beside(folder: Path) -> None:
    tifffile.imwrite(folder / "cells.tif", IMAGES[..., 0])
    tifffile.imwrite(folder / "cells_labels.tif", LABELS)


def write_beside_in_folders(folder: Path) -> None:
    own.write(folder, IMAGES, LABELS)
    (folder / "frames").rename(folder / "cells")
    (folder / "masks").rename(folder / "cells_labels")
    (folder / "meta.json").unlink()


def write_coco(folder: Path) -> None:
    images, annotations = [], []
    (folder / "images").mkdir()
    for frame, labels in enumerate(LABELS):
        name = f"{frame:03d}.png"
        Image.fromarray(IMAGES[frame]).save(folder / "images" / name)
        images.append({"id": frame + 1, "file_name": name, "video_id": 1, "frame_index": frame})
        for track in (1, 3):
            rle = ObjectMask.from_array(labels == track).to_rle()
            annotations.append(
                {"id": len(annotations), "image_id": frame + 1, "track_id": track}
                | {"segmentation": rle}
            )
    (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def write_youtube_vis(folder: Path) -> None:
    names = [f"0a1b/{5 * frame:05d}.jpg" for frame in range(len(LABELS))]
    (folder / "JPEGImages/0a1b").mkdir(parents=True)
    for name, image in zip(names, IMAGES, strict=True):
        Image.fromarray(image).save(folder / "JPEGImages" / name)
    video = {"id": 4, "file_names": names, "length": len(names), "height": 48, "width": 64}
    annotations = []
    for track in (1, 3):
        masks = [ObjectMask.from_array(labels == track).to_rle() for labels in LABELS]
        annotations.append({"id": track, "video_id": 4, "iscrowd": 0, "segmentations": masks})
    document = {"videos": [video], "annotations": annotations, "categories": [{"id": 1}]}
    (folder / "instances.json").write_text(json.dumps(document))


LAYOUTS = [
    *(write_ctc, write_silver, write_results, write_davis, write_sav, write_own),
    *(write_own_without_facts, write_beside, write_beside_in_folders, write_coco),
    write_youtube_vis,
]


@pytest.mark.parametrize("write", LAYOUTS)
def test_every_layout_is_evaluated_and_learned_from_with_one_truth(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    (dataset,) = find_datasets(tmp_path)
    (movie,) = read_project(tmp_path)
    assert movie.name == dataset.name
    assert movie.frames == list(dataset.truth_frames)
    for frame in movie.frames:
        assert movie.masks[frame] == dict(dataset.masks(frame))
        for label in (1, 3):
            assert movie.masks[frame][label] == ObjectMask.from_array(LABELS[frame] == label)
    with open_frames(dataset.frames) as frames, movie.open() as source:
        assert frames.length == source.length == len(LABELS)
    assert evaluate(LABELS, dataset.truth, **dataset.settings).J == 1


def test_no_layout_is_left_out(tmp_path: Path) -> None:
    for write in LAYOUTS:
        (tmp_path / write.__name__).mkdir()
        write(tmp_path / write.__name__)
    for layout in _LAYOUTS:
        assert any(layout.find(folder) for folder in tmp_path.iterdir()), layout.__name__


def edit_youtube_vis(folder: Path) -> Dataset:
    """Take the second object away from all frames but two, and all objects from the last."""
    write_youtube_vis(folder)
    path = folder / "instances.json"
    document = json.loads(path.read_text())
    first, second = (track["segmentations"] for track in document["annotations"])
    first[-1] = None
    second[:] = [None, None, *second[2:4], *(None for _ in second[4:])]
    path.write_text(json.dumps(document))
    return find_datasets(folder)[0]


def test_where_a_track_of_youtube_vis_is_null_its_object_is_not_there(tmp_path: Path) -> None:
    dataset = edit_youtube_vis(tmp_path)
    assert (dataset.name, dataset.layout, dataset.first_frames) == ("0a1b", "coco", {1: 0, 3: 2})
    assert [sorted(dataset.masks(frame)) for frame in (1, 2, 4, 8)] == [[1], [1, 3], [1], []]
    assert list(dataset.truth_frames) == list(range(9))


def test_videos_of_youtube_vis_whose_truth_is_secret_are_passed_over(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        write_youtube_vis(tmp_path / part)
    path = tmp_path / "valid" / "instances.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": None}))
    (dataset,) = find_datasets(tmp_path)
    assert dataset.folder == tmp_path / "train"


def test_tracks_of_youtube_vis_go_with_a_movie_that_is_elsewhere(tmp_path: Path) -> None:
    write_youtube_vis(tmp_path)
    shutil.rmtree(tmp_path / "JPEGImages")
    np.save(tmp_path / "film.npy", IMAGES)
    dataset = load_for(tmp_path / "instances.json", tmp_path / "film.npy")
    assert dict(dataset.masks(7)) == {
        label: ObjectMask.from_array(LABELS[7] == label) for label in (1, 3)
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d["annotations"][0]["segmentations"].pop(), "instances.json is no COCO"),
        (lambda d: d["annotations"][0].pop("video_id"), "instances.json is no COCO"),
        (lambda d: d["videos"][0]["file_names"].__setitem__(2, "0.jpg"), r"names the image 0\.jpg"),
    ],
)
def test_a_damaged_file_of_youtube_vis_is_named(
    tmp_path: Path, damage: Callable[[Any], None], message: str
) -> None:
    write_youtube_vis(tmp_path)
    path = tmp_path / "instances.json"
    document = json.loads(path.read_text())
    damage(document)
    path.write_text(json.dumps(document))
    with pytest.raises(FrameSourceError, match=message):
        find_datasets(tmp_path)


@pytest.mark.parametrize("write", [write_coco, write_beside])
def test_what_was_only_learned_from_is_scored_with_a_model(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path)
    (dataset,) = find_datasets(tmp_path)
    report = evaluate_sequence(load_model("nano", device="cpu"), dataset, "mask")
    assert report.scores.n_objects == 2
    assert report.scores.J > 0.5


def test_a_movie_that_is_not_that_of_the_labels_is_refused(tmp_path: Path) -> None:
    write_beside(tmp_path)
    (dataset,) = find_datasets(tmp_path)
    for images, wrong in ((IMAGES[:5, ..., 0], "movie has 5"), (IMAGES[:, :40, :, 0], "(40, 64)")):
        tifffile.imwrite(tmp_path / "cells.tif", images)
        with pytest.raises(FrameSourceError, match=re.escape(wrong)):
            evaluate_sequence(load_model("nano", device="cpu"), dataset, "mask")


def test_annotations_of_single_images_are_scored_each_for_itself(tmp_path: Path) -> None:
    write_coco(tmp_path)
    path = tmp_path / "coco.json"
    document = json.loads(path.read_text())
    for image in document["images"]:
        del image["video_id"]
    path.write_text(json.dumps(document))
    datasets = find_datasets(tmp_path)
    assert len(datasets) == len(read_project(path)) == len(LABELS)
    assert [len(dataset.truth) for dataset in datasets] == [1] * len(LABELS)


def write_polygons(folder: Path, *polygons: list[float]) -> None:
    Image.fromarray(IMAGES[0]).save(folder / "a.png")
    image = {"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}
    annotation = {"id": 1, "image_id": 1, "segmentation": polygons}
    document = {"images": [image], "annotations": [annotation]}
    (folder / "coco.json").write_text(json.dumps(document))


def test_polygons_are_filled_as_coco_says(tmp_path: Path) -> None:
    square, over_it = [4, 8, 14, 8, 14, 18, 4, 18], [9, 8, 24, 8, 24, 18, 9, 18]
    write_polygons(tmp_path, square, over_it)
    (mask,) = find_datasets(tmp_path)[0].masks(0).values()
    assert mask == ObjectMask.from_box((4, 8, 24, 18), SIZE)


@pytest.mark.parametrize("polygon", [[4, 8, 14, 8], [4, 8, 14, 8, 5], [0, 0, 1e9, 0, 9, 9]])
def test_a_polygon_that_is_none_is_named(tmp_path: Path, polygon: list[float]) -> None:
    write_polygons(tmp_path, polygon)
    with pytest.raises(FrameSourceError, match=r"coco\.json, annotation 1: a polygon"):
        find_datasets(tmp_path)


def test_objects_without_a_track_are_objects_of_their_own(tmp_path: Path) -> None:
    write_coco(tmp_path)
    path = tmp_path / "coco.json"
    document = json.loads(path.read_text())
    for number, annotation in enumerate(document["annotations"]):
        if annotation["track_id"] == 1:
            annotation["track_id"] = 0  # counted from 0, as CVAT does
        elif number != 1:
            del annotation["track_id"]
    path.write_text(json.dumps(document))
    (dataset,) = find_datasets(tmp_path)
    labels = [set(dataset.masks(frame)) for frame in range(len(LABELS))]
    tracked = set.intersection(*labels)
    assert len(tracked) == 1
    assert min(tracked) > 0
    assert len(set.union(*labels)) == 1 + len(LABELS)


def test_annotations_of_one_track_on_an_image_are_parts_of_its_object(tmp_path: Path) -> None:
    left, right = [4, 8, 14, 8, 14, 18, 4, 18], [30, 8, 44, 8, 44, 18, 30, 18]
    write_polygons(tmp_path, left)
    path = tmp_path / "coco.json"
    document = json.loads(path.read_text())
    document["annotations"] = [
        {"id": k, "image_id": 1, "track_id": 5, "segmentation": [ring]}
        for k, ring in enumerate((left, right))
    ]
    path.write_text(json.dumps(document))
    masks = find_datasets(tmp_path)[0].masks(0)
    assert {label: mask.area for label, mask in masks.items()} == {5: 100 + 140}


def test_pieces_of_one_cell_are_one_cell() -> None:
    markers = np.zeros((8, 8), np.uint16)
    markers[1:7, 1:7] = 5
    outlines = np.zeros((8, 8), np.uint16)
    outlines[1:3, 1:7], outlines[4:7, 1:7] = 1, 2
    wanted = np.where(outlines > 0, 5, 0)
    assert np.array_equal(named_after(outlines, markers), wanted)


def test_ids_of_any_size_name_outlines() -> None:
    markers: NDArray = np.full((4, 4), 3_000_000_000, np.uint32)
    assert named_after(np.eye(4, dtype=np.uint8), markers).max() == 3_000_000_000


def test_labels_and_frames_are_in_one_order(tmp_path: Path) -> None:
    for part, name in (("frames", "a10.png"), ("frames", "B2.png")):
        (tmp_path / part).mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        value = 1 if name == "a10.png" else 2
        for folder in (part, "masks"):
            Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / folder / name)
    (dataset,) = find_datasets(tmp_path)
    with open_frames(dataset.frames) as frames:
        assert [int(f.image[0, 0, 0]) for f in frames] == [1, 2]
    assert [int(dataset.truth[k].max()) for k in range(2)] == [1, 2]


def test_labels_too_large_for_the_challenge_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameSourceError, match="70000 of frame 0 does not fit 16 bits"):
        ctc.write(tmp_path, "01", IMAGES[:1, ..., 0], np.full((1, *SIZE), 70_000))
