"""Tasks in which nobody has drawn anything, and all objects in them."""

from __future__ import annotations

import dataclasses
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.proposals import ObjectProposer
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.export import read_export, write_masks
from sam2_plugins.labelstudio_backend.formats import brush
from sam2_plugins.labelstudio_backend.tracking import Movie, Tracked, Tracks
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.conftest import FRAMES, HEIGHT, WIDTH
from tests.labelstudio_backend.test_engine import boxes_agree
from tests.support.movies import dividing


@pytest.fixture
def finding(settings):
    engine = Engine(dataclasses.replace(settings, everything="Other"))
    yield engine
    engine.close()


def test_every_object_of_a_video_is_tracked(finding, files, discs):
    (answer,) = finding.predict([tasks.video_task(files)], tasks.VIDEO)
    assert len(answer["result"]) == 2
    for label in (1, 2):
        assert any(boxes_agree(region, discs[1], label) for region in answer["result"])
    assert {tuple(region["value"]["labels"]) for region in answer["result"]} == {("Other",)}


def test_every_object_of_a_picture_gets_a_mask(finding, files, discs):
    (answer,) = finding.predict([tasks.image_task(files)], tasks.IMAGE)
    assert len(answer["result"]) == 2
    for label in (1, 2):
        truth = discs[1][0] == label
        masks = [brush.decode(one["value"]["rle"], HEIGHT, WIDTH) for one in answer["result"]]
        assert max((mask & truth).sum() / (mask | truth).sum() for mask in masks) > 0.8
    assert all(one["value"]["brushlabels"] == ["Other"] for one in answer["result"])


def test_every_object_of_a_stack_gets_a_mask_on_each_page(finding, files):
    (answer,) = finding.predict([tasks.stack_task(files)], tasks.STACK)
    assert [one["item_index"] for one in answer["result"]] == [*range(FRAMES)] * 2
    assert len({one["meta"]["sam2"]["track"] for one in answer["result"]}) == 2


def test_what_is_found_in_a_photograph_comes_with_the_note_that_nano_does_not_know_them(
    finding, files, discs
):
    grey = discs[0][0].reshape(HEIGHT, WIDTH, -1)[..., 0]
    Image.fromarray(np.stack([grey, grey // 2, grey // 4], -1)).save(files / "page99.png")
    (answer,) = finding.predict([tasks.image_task(files, 99)], tasks.IMAGE)
    assert answer["result"]
    for region in answer["result"]:
        assert "published checkpoint" in region["meta"]["text"][-1]


def test_it_is_not_done_unless_it_is_wanted(engine, files):
    (answer,) = engine.predict([tasks.video_task(files)], tasks.VIDEO)
    assert "no box to track" in answer["model_version"]


def test_where_a_person_has_drawn_something_or_found_nothing_that_stands(finding, files, discs):
    box = tasks.video_box(discs[1], 1, region="mine")
    drawn = tasks.annotated(tasks.video_task(files), box)
    empty = tasks.annotated(tasks.video_task(files))
    (tracked, none) = finding.predict([drawn, empty], tasks.VIDEO)
    assert [region["id"] for region in tracked["result"]] == ["mine"]
    assert none["result"] == []


def test_a_label_that_the_config_does_not_have_is_told(settings, files):
    engine = Engine(dataclasses.replace(settings, everything="Nucleus"))
    for task, config in (
        (tasks.video_task(files), tasks.VIDEO),
        (tasks.image_task(files), tasks.IMAGE),
    ):
        (answer,) = engine.predict([task], config)
        assert "'Nucleus' is not in" in answer["model_version"]
    engine.close()


DIVIDED, LONG = 5, 10


@pytest.fixture(scope="module")
def pages(files: Path) -> list[str]:
    paths = [str(files / f"dividing{number}.png") for number in range(LONG)]
    for path, image in zip(paths, dividing(LONG, DIVIDED), strict=True):
        Image.fromarray(image).save(path)
    return paths


def test_a_division_is_a_relation_and_comes_back_as_a_lineage(finding, pages, tmp_path):
    task = {"id": 3, "data": {"frames": pages}}
    (answer,) = finding.predict([task], tasks.STACK)
    tracks = {one["id"]: one["meta"]["sam2"]["track"] for one in answer["result"] if "id" in one}
    relations = [one for one in answer["result"] if one["type"] == "relation"]
    assert len({tracks[one["from_id"]] for one in relations}) == 1
    assert len({tracks[one["to_id"]] for one in relations}) == 2
    (tmp_path / "export.json").write_text(json.dumps([tasks.annotated(task, *answer["result"])]))
    (read,) = read_export(tmp_path / "export.json")
    write_masks(read, tmp_path / "out", "ctc")
    rows = (tmp_path / "out" / "ctc" / "res_track.txt").read_text().split("\n")
    spans = [tuple(map(int, row.split()))[1:] for row in rows if row]
    assert sorted(spans)[:2] == [(0, DIVIDED - 1, 0), (0, LONG - 1, 0)]
    assert [span[:2] for span in sorted(spans)[2:]] == [(DIVIDED, LONG - 1)] * 2
    assert all(span[2] for span in sorted(spans)[2:])


def test_a_person_draws_a_division_by_a_relation_and_no_other_relation_is_one(files, tmp_path):
    results = [
        {**tasks.area(np.eye(HEIGHT, WIDTH, dtype=int), 1), "id": name, "item_index": page}
        for name, page in (("mother", 0), ("daughter", 1), ("friend", 1))
    ]
    for one in results:
        one["value"] = {"points": [[10, 10], [30, 10], [30, 30]], "polygonlabels": ["Cell"]}
        one |= {"original_width": WIDTH, "original_height": HEIGHT, "type": "polygonlabels"}
    ends = [("mother", "daughter"), ("friend", "daughter")]
    drawn = [{"type": "relation", "from_id": one, "to_id": other} for one, other in ends]
    task = tasks.annotated(tasks.stack_task(files), *results, *drawn)
    (tmp_path / "export.json").write_text(json.dumps([task]))
    (read,) = read_export(tmp_path / "export.json")
    assert read.parents == {"daughter": "mother"}


def test_a_backend_that_was_stopped_goes_on_where_it_was(pages, tmp_path, monkeypatch):
    looks: list[int] = []
    look = ObjectProposer.__call__
    monkeypatch.setattr(
        ObjectProposer, "__call__", lambda self, frame: (looks.append(frame), look(self, frame))[1]
    )

    def found(folder: Path, steps: int | None = None) -> Tracked:
        tracked, movie = Tracked(), Movie("m", lambda: open_frames(pages))
        run = Tracks(folder, 10**9).find(movie, TrackingOptions("nano", "cpu"), 0, tracked)
        list(islice(run, steps))
        run.close()
        return tracked

    found(tmp_path / "cut", 5)
    looks.clear()
    again = found(tmp_path / "cut")
    assert looks == list(range(7, LONG))
    whole = found(tmp_path / "whole")
    assert (again.masks.snapshot(), again.parents) == (whole.masks.snapshot(), whole.parents)
    assert len(whole.parents) == 2
