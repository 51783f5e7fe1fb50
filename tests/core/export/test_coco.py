from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from sam2_plugins.core.export import CocoWriter
from sam2_plugins.core.masks import ObjectMask
from tests.core.export.movie import SIZE, blank, masks_on, write_movie


@pytest.fixture
def path(tmp_path):
    return tmp_path / "coco.json"


def write(path, frames):
    writer = CocoWriter(path, blank(10, (7,)))
    write_movie(writer, frames)
    writer.close()
    writer.close()


def test_pycocotools_reads_every_mask_back(path):
    write(path, range(10))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
    assert len(coco.getImgIds()) == 10
    for frame in range(10):
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[frame + 1]))
        found = {a["track_id"]: coco.annToMask(a).astype(bool) for a in annotations}
        expected = {1: masks_on(frame)["a"], 7: masks_on(frame)[7]}
        assert found.keys() == {k for k, mask in expected.items() if mask.visible}
        for label, array in found.items():
            assert np.array_equal(array, expected[label].to_array())


def test_boxes_and_areas_are_those_of_the_masks(path):
    write(path, [2])
    for annotation in json.loads(path.read_text())["annotations"]:
        rle = annotation["segmentation"]
        assert annotation["bbox"] == coco_mask.toBbox(rle).tolist()
        assert annotation["area"] == coco_mask.area(rle)
        assert ObjectMask.from_rle(rle).visible


def test_frames_tracks_and_predictions_are_told(path):
    write(path, [2, 3])
    document = json.loads(path.read_text())
    assert [(i["id"], i["frame_index"], i["time"]) for i in document["images"]] == [
        (3, 2, 0.08),
        (4, 3, 0.12),
    ]
    assert {track["id"]: track["name"] for track in document["tracks"]} == {1: "a", 7: 7}
    assert document["categories"] == [{"id": 1, "name": "object"}]
    assert document["videos"] == [{"id": 1, "name": "cells", "width": SIZE[1], "height": SIZE[0]}]
    first, second = document["annotations"][:2]
    assert (first["iou"], first["object_score"]) == (0.8, 2.5)
    assert "iou" not in second


def test_a_movie_without_results_is_a_valid_file(path):
    write(path, [])
    assert json.loads(path.read_text())["annotations"] == []


def test_what_was_written_before_a_kill_is_in_the_part_file(path):
    path.write_text("the result of an earlier run")
    writer = CocoWriter(path, blank())
    write_movie(writer, [0, 1])
    lines = path.with_name("coco.json.part").read_text().splitlines()
    assert sum('"segmentation"' in line for line in lines) == 4
    assert path.read_text() == "the result of an earlier run"
    writer.close()
    assert not path.with_name("coco.json.part").exists()
