"""Tasks in which nobody has drawn anything, and all objects in them."""

from __future__ import annotations

import dataclasses

import pytest

from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.formats import brush
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.conftest import FRAMES, HEIGHT, WIDTH
from tests.labelstudio_backend.test_engine import boxes_agree


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
