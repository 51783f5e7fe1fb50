"""Tracks through the formats that FiftyOne offers, out and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin import evaluate, export, propagate
from sam2_plugins.fiftyone_plugin.footage import FootageError
from sam2_plugins.fiftyone_plugin.labels import detection_values
from tests.hosts.fiftyone.conftest import label, picture, put

LAST = 4
COUNT = 2 * LAST


@pytest.fixture
def tracked(movie: Any) -> Any:
    """Two tracks, which were judged, too."""
    put(movie, 1, "seed", label(1, 1), label(2, 1))
    propagate(movie, "seed", last=LAST)
    for number in range(1, LAST + 1):
        put(movie, number, "truth", label(1, number), label(2, number))
    evaluate(movie, "sam2", "truth")
    return movie


@pytest.fixture
def frames(tracked: Any, tmp_path: Path) -> Any:
    view = tracked.to_frames(sample_frames=True, output_dir=str(tmp_path / "frames"))
    return view.match(fo.ViewField("sam2.detections").length() > 0)


def detections(dataset: Any) -> list[Any]:
    """All the labels of the only field that has some, of images or of the frames of a video."""
    sample = dataset.first()
    schema = dataset.get_frame_field_schema() or dataset.get_field_schema()
    kinds = {name: getattr(field, "document_type", None) for name, field in schema.items()}
    (name,) = (name for name, kind in kinds.items() if kind is fo.Detections)
    parts = sample.frames.values() if dataset.media_type == "video" else dataset
    return [one for part in parts if part[name] for one in part[name].detections]


def read(folder: Path, kind: Any) -> Any:
    """Read what was written; of COCO the masks, and no boxes beside them."""
    is_coco = kind is fo.types.COCODetectionDataset
    more = {"label_types": "segmentations", "label_field": "back"} if is_coco else {}
    return fo.Dataset.from_dir(dataset_dir=str(folder), dataset_type=kind, **more)


def instance(one: Any) -> str:
    return str(getattr(one["instance"], "id", one["instance"]))


@pytest.mark.parametrize(
    "kind",
    [
        fo.types.COCODetectionDataset,
        fo.types.VOCDetectionDataset,
        fo.types.CVATImageDataset,
        fo.types.BDDDataset,
        fo.types.FiftyOneImageDetectionDataset,
    ],
    ids=lambda kind: kind.__name__,
)
def test_images_bring_every_label_and_its_track_back(
    frames: Any, tmp_path: Path, kind: Any
) -> None:
    export(frames, "sam2", tmp_path / "out", kind)
    found = detections(read(tmp_path / "out", kind))
    assert sorted(one.index for one in found) == [1] * LAST + [2] * LAST
    assert len({(one.index, instance(one)) for one in found}) == 2
    assert not [name for one in found for name in one.field_names if name.startswith("sam2_")]


@pytest.mark.parametrize(
    "kind",
    [fo.types.KITTIDetectionDataset, fo.types.YOLOv4Dataset, fo.types.YOLOv5Dataset],
    ids=lambda kind: kind.__name__,
)
def test_formats_without_attributes_bring_every_box_back(
    frames: Any, tmp_path: Path, kind: Any
) -> None:
    export(frames, "sam2", tmp_path / "out", kind)
    back = fo.Dataset.from_dir(dataset_dir=str(tmp_path / "out"), dataset_type=kind)
    assert len(detections(back)) == COUNT


@pytest.mark.parametrize(
    "kind",
    [fo.types.CVATVideoDataset, fo.types.FiftyOneVideoLabelsDataset],
    ids=lambda kind: kind.__name__,
)
def test_videos_bring_every_label_and_its_track_back(
    tracked: Any, tmp_path: Path, kind: Any
) -> None:
    export(tracked, "frames.sam2", tmp_path / "out", kind)
    back = fo.Dataset.from_dir(dataset_dir=str(tmp_path / "out"), dataset_type=kind)
    found = detections(back)
    assert sorted(one.index for one in found) == [1] * LAST + [2] * LAST
    assert len({(one.index, instance(one)) for one in found}) == 2


@pytest.mark.parametrize("ours", [True, False], ids=["export", "FiftyOne's own export"])
def test_video_labels_bring_every_mask_back(tracked: Any, tmp_path: Path, ours: bool) -> None:
    kind = fo.types.FiftyOneVideoLabelsDataset
    if ours:
        export(tracked, "sam2", tmp_path / "out", kind)
    else:
        tracked.export(
            export_dir=str(tmp_path / "out"), dataset_type=kind, frame_labels_field="sam2"
        )
    back = fo.Dataset.from_dir(dataset_dir=str(tmp_path / "out"), dataset_type=kind)

    made = [one for frame in tracked.first().frames.values() for one in frame["sam2"].detections]
    masks = [
        sorted((one.index, *one.bounding_box[:2], one.get_mask().tobytes()) for one in labels)
        for labels in (detections(back), made)
    ]
    assert len(made) == COUNT
    for read, written in zip(*masks, strict=True):
        assert read[0] == written[0]
        assert read[1:3] == pytest.approx(written[1:3])
        assert read[3] == written[3]


def test_fiftyones_own_format_keeps_all_so_that_a_run_goes_on(tracked: Any, tmp_path: Path) -> None:
    tracked.export(export_dir=str(tmp_path / "out"), dataset_type=fo.types.FiftyOneDataset)
    back = fo.Dataset.from_dir(
        dataset_dir=str(tmp_path / "out"), dataset_type=fo.types.FiftyOneDataset
    )
    (report,) = propagate(back, "seed", last=LAST).movies
    assert (report.objects, report.computed) == (2, 0)
    assert back.count("frames.sam2.detections") == COUNT


def test_fiftyones_own_export_of_coco_works(frames: Any, tmp_path: Path) -> None:
    kind = fo.types.COCODetectionDataset
    frames.export(export_dir=str(tmp_path / "out"), dataset_type=kind, label_field="sam2")
    found = json.loads((tmp_path / "out" / "labels.json").read_text())["annotations"]
    assert len(found) == COUNT
    assert not [name for one in found for name in one if name.startswith("sam2_")]


def test_marks_and_scores_are_written_if_they_are_wanted(frames: Any, tmp_path: Path) -> None:
    kind = fo.types.COCODetectionDataset
    export(frames, "sam2", tmp_path / "out", kind, attributes=["sam2_mark", "sam2_eval_J"])
    found = json.loads((tmp_path / "out" / "labels.json").read_text())["annotations"]
    assert all({"sam2_mark", "sam2_eval_J"} <= one.keys() for one in found)


@pytest.mark.parametrize("ours", [True, False], ids=["export", "FiftyOne's own export"])
def test_cvat_draws_no_box_of_a_video_anew(tracked: Any, tmp_path: Path, ours: bool) -> None:
    kind = fo.types.CVATVideoDataset
    if ours:
        export(tracked, "sam2", tmp_path / "out", kind)
    else:
        tracked.export(
            export_dir=str(tmp_path / "out"), dataset_type=kind, frame_labels_field="sam2"
        )
    (path,) = (tmp_path / "out").rglob("*.xml")
    boxes = list(ElementTree.parse(path).iter("box"))
    assert len(boxes) == COUNT + 2  # each track ends with one that says so
    assert {box.get("keyframe") for box in boxes} == {"1"}


@pytest.mark.parametrize("size", [(96, 128), (1079, 1917), (720, 1280)])
def test_fiftyone_renders_exactly_the_pixels_of_a_mask(size: tuple[int, int]) -> None:
    height, width = size
    random = np.random.default_rng(height)
    for _ in range(100):
        h, w = random.integers(1, 40, 2)
        y, x = random.integers(0, height - h + 1), random.integers(0, width - w + 1)
        pixels = np.zeros(size, bool)
        pixels[y : y + h, x : x + w] = random.random((h, w)) > 0.3
        pixels[y, x] = pixels[y + h - 1, x + w - 1] = True
        made = fo.Detection(**detection_values(ObjectMask.from_array(pixels)))
        shown = made.to_segmentation(frame_size=(width, height), target=1).mask > 0
        assert (shown == pixels).all()


def test_cvat_gets_both_of_two_objects_that_share_an_index(movie: Any, tmp_path: Path) -> None:
    for number in (1, 2):
        cell, dot = (label(n, number, label=c, index=1) for n, c in ((1, "cell"), (2, "dot")))
        put(movie, number, "sam2", cell, dot)
    kind = fo.types.CVATVideoDataset
    movie.export(export_dir=str(tmp_path / "out"), dataset_type=kind, frame_labels_field="sam2")
    back = fo.Dataset.from_dir(dataset_dir=str(tmp_path / "out"), dataset_type=kind)
    found = sorted((one.label, one.index) for one in detections(back))
    assert found == [("cell", 1)] * 2 + [("dot", 2)] * 2
    assert movie.distinct("frames.sam2.detections.index") == [1]


@pytest.mark.parametrize(
    "kind",
    [
        fo.types.COCODetectionDataset,
        fo.types.YOLOv5Dataset,
        fo.types.CVATImageDataset,
        fo.types.CVATVideoDataset,
    ],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.parametrize("of_all", [False, True], ids=["of one label", "of all"])
def test_labels_without_a_class_are_written_as_objects(
    tracked: Any, tmp_path: Path, kind: Any, of_all: bool
) -> None:
    sample = tracked.first()
    for frame in list(sample.frames.values())[:LAST]:
        for one in frame.sam2.detections[not of_all :]:
            one.label = None
    sample.save()
    if kind is not fo.types.CVATVideoDataset:
        tracked = tracked.to_frames(sample_frames=True, output_dir=str(tmp_path / "frames"))
        tracked = tracked.match(fo.ViewField("sam2.detections").length() > 0)
    export(tracked, "sam2", tmp_path / "out", kind)
    names = sorted(one.label for one in detections(read(tmp_path / "out", kind)))
    assert names == (["object"] * COUNT if of_all else ["disc"] * LAST + ["object"] * LAST)


def test_every_image_of_dynamic_groups_is_written(dataset: Any, tmp_path: Path) -> None:
    for frame in range(LAST):
        path = tmp_path / f"{frame}.png"
        Image.fromarray(picture(frame)).save(path)
        labels = fo.Detections(detections=[label(1, frame + 1), label(2, frame + 1)])
        dataset.add_sample(fo.Sample(str(path), movie="a", place=frame, sam2=labels))
    groups = dataset.group_by("movie", order_by="place")
    first = groups.filter_labels("sam2", fo.ViewField("index") == 1)
    for view, count in ((groups, COUNT), (first, LAST)):
        out = tmp_path / str(count)
        export(view, "sam2", out, fo.types.COCODetectionDataset)
        assert len(detections(read(out, fo.types.COCODetectionDataset))) == count


def test_of_a_grouped_dataset_the_field_that_was_named_is_written(
    dataset: Any, video: Path, tmp_path: Path
) -> None:
    dataset.add_group_field("group", default="left")
    group = fo.Group()
    for name in ("left", "right"):
        sample = fo.Sample(str(video), group=group.element(name))
        first = fo.Detections(detections=[label(1, 1, label="first")])
        sample.frames[1] = fo.Frame(seed=first, sam2=fo.Detections(detections=[label(2, 1)]))
        dataset.add_sample(sample)
    export(dataset, "sam2", tmp_path / "out", fo.types.CVATVideoDataset)
    (one,) = detections(read(tmp_path / "out", fo.types.CVATVideoDataset))
    assert one.label == "disc"


def test_a_field_that_there_is_not_is_named_before_a_file_is_written(
    tracked: Any, tmp_path: Path
) -> None:
    with pytest.raises(FootageError, match="There is no field 'cells'"):
        export(tracked, "frames.cells", tmp_path / "out", fo.types.CVATVideoDataset)
    assert not list(tmp_path.rglob("*.xml"))
