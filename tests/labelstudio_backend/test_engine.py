from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.labelstudio_backend import engine as engine_module
from sam2_plugins.labelstudio_backend import images
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.formats import bitmask, brush, geometry
from sam2_plugins.labelstudio_backend.formats.video_rectangle import interpolate, read_region
from sam2_plugins.labelstudio_backend.tracking import CLICK
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.conftest import FRAMES, HEIGHT, WIDTH
from tests.labelstudio_backend.web import close_in_mid_track

SIZE = (HEIGHT, WIDTH)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def painted(result: dict) -> np.ndarray:
    return brush.decode(result["value"]["rle"], *SIZE)


def boxes_agree(region: dict, labels: np.ndarray, label: int) -> bool:
    keys = read_region(region).keyframes
    for frame in range(FRAMES):
        x, y, w, h = interpolate(keys, frame + 1) or (0, 0, 0, 0)
        corners = x * WIDTH / 100, y * HEIGHT / 100, (x + w) * WIDTH / 100, (y + h) * HEIGHT / 100
        shown = ObjectMask.from_box(corners, SIZE).to_array()
        ys, xs = np.nonzero(labels[frame] == label)
        truth = np.zeros(SIZE, bool)
        truth[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = True
        if (
            iou(shown, truth) < 0.65
        ):  # a pixel on each side of a disc of 19 is .81, and then thinned
            return False
    return True


# -- video


def test_boxes_are_tracked_both_ways_with_their_ids_and_labels(engine, files, discs):
    one = tasks.video_box(discs[1], 1, frame=4, region="one")
    two = tasks.video_box(discs[1], 2, frame=0, region="two", name="Other")
    (answer,) = engine.predict([tasks.video_task(files)], tasks.VIDEO, {"result": [one, two]})
    found = {region["id"]: region for region in answer["result"]}
    assert [found[name]["value"]["labels"] for name in ("one", "two")] == [["Cell"], ["Other"]]
    assert boxes_agree(found["one"], discs[1], 1)
    assert boxes_agree(found["two"], discs[1], 2)
    assert answer["model_version"] == engine.model_version


def test_what_was_tracked_once_is_not_computed_again(engine, files, discs, settings):
    context = {"result": [tasks.video_box(discs[1], 1)]}
    first = engine.predict([tasks.video_task(files)], tasks.VIDEO, context)
    restarted = Engine(settings)
    tracked = []
    lane = restarted.work.tracks.lane
    lane.turn = counting(lane.turn, tracked)  # type: ignore[method-assign]
    (before,) = sizes(settings)
    assert restarted.predict([tasks.video_task(files)], tasks.VIDEO, context) == first
    assert sizes(settings) == [before]


def counting(turn, turns):
    def counted(urgency):
        turns.append(urgency)
        return turn(urgency)

    return counted


def sizes(settings) -> list[int]:
    return [path.stat().st_size for path in (settings.folder / "tracks").iterdir()]


def test_a_new_object_leaves_the_tracks_of_the_others_as_they_were(engine, files, discs, settings):
    one = tasks.video_box(discs[1], 1, region="one")
    two = tasks.video_box(discs[1], 2, region="two")
    task = tasks.video_task(files)
    (alone,) = engine.predict([task], tasks.VIDEO, {"result": [one]})
    (stored,) = (settings.folder / "tracks").iterdir()
    written = stored.read_bytes()
    (both,) = engine.predict([task], tasks.VIDEO, {"result": [one, two]})
    assert both["result"][0] == alone["result"][0]
    assert stored.read_bytes() == written


def test_saved_boxes_are_tracked_in_a_batch_and_the_other_tasks_are_told_why_not(
    engine, files, discs
):
    task = tasks.video_task(files)
    full = tasks.annotated(task, tasks.video_box(discs[1], 1))
    answers = engine.predict([task, full], tasks.VIDEO)
    assert answers[0]["result"] == []
    assert "no box to track" in answers[0]["model_version"]
    assert boxes_agree(answers[1]["result"][0], discs[1], 1)
    told = {**task, "predictions": [{"model_version": answers[0]["model_version"], "result": []}]}
    assert engine.predict([told], tasks.VIDEO) == [[]]


def test_a_track_can_be_kept_near_its_prompts(settings, files, discs):
    near = Engine(dataclasses.replace(settings, max_frames=2))
    context = {"result": [tasks.video_box(discs[1], 1, frame=5)]}
    (answer,) = near.predict([tasks.video_task(files)], tasks.VIDEO, context)
    keys = read_region(answer["result"][0]).keyframes
    shown = [interpolate(keys, frame) is not None for frame in range(1, FRAMES + 1)]
    assert shown == [3 <= frame <= 7 for frame in range(FRAMES)]


# -- images


def test_a_click_becomes_a_brush_mask_of_its_label(engine, files, discs):
    (answer,) = engine.predict(
        [tasks.image_task(files)], tasks.IMAGE, {"result": [tasks.click(40, 40)]}
    )
    (mask,) = answer["result"]
    assert (mask["type"], mask["value"]["brushlabels"]) == ("brushlabels", ["Cell"])
    assert iou(painted(mask), discs[1][0] == 1) > 0.8


@pytest.mark.parametrize(("said", "answered"), [(90, 90), (-90, 270), (None, 0)])
def test_a_mask_says_how_the_picture_was_turned_and_lies_where_it_would(
    engine, files, discs, said, answered
):
    click = {**tasks.click(40, 40), "image_rotation": said}
    (answer,) = engine.predict([tasks.image_task(files)], tasks.IMAGE, {"result": [click]})
    (mask,) = answer["result"]
    assert mask["image_rotation"] == answered
    assert iou(painted(mask), discs[1][0] == 1) > 0.8


def test_the_second_click_on_an_image_does_not_encode_it_again(engine, files):
    task = tasks.image_task(files)
    engine.predict([task], tasks.IMAGE, {"result": [tasks.click(40, 40)]})
    (tracker,) = engine.work.tracks._pictures.values()
    encoded = tracker.frames_encoded
    clicks = [tasks.click(40, 40), tasks.click(85, 60, positive=False)]
    (answer,) = engine.predict([task], tasks.IMAGE, {"result": clicks})
    assert tracker.frames_encoded == encoded
    assert not painted(answer["result"][0])[60, 85]


@pytest.mark.parametrize("shape", ["Bitmask", "Polygon", "Rectangle"])
def test_other_shapes_tell_the_same_object(engine, files, discs, shape):
    config = tasks.IMAGE.replace("BrushLabels", f"{shape}Labels")
    if shape == "Rectangle":
        config = config.replace("KeyPointLabels", "KeyPointLabels")
    (answer,) = engine.predict([tasks.image_task(files)], config, {"result": [tasks.click(40, 40)]})
    (result,) = answer["result"]
    value = result["value"]
    assert value[f"{shape.lower()}labels"] == ["Cell"]
    if shape == "Bitmask":
        found = bitmask.decode(value["imageDataURL"], *SIZE)
    elif shape == "Polygon":
        found = geometry.mask_of_polygon(value["points"], SIZE).to_array()
    else:
        found = ObjectMask.from_box(geometry.to_pixels(value, SIZE), SIZE).to_array()
    assert iou(found, discs[1][0] == 1) > (0.6 if shape == "Rectangle" else 0.8)


def test_boxes_of_a_saved_annotation_become_a_mask_each(engine, files, discs):
    labels = discs[1][0]
    task = tasks.annotated(
        tasks.image_task(files), tasks.area(labels, 1), tasks.area(labels, 2, "Other")
    )
    (answer,) = engine.predict([task], tasks.IMAGE)
    found = {r["value"]["brushlabels"][0]: painted(r) for r in answer["result"]}
    assert iou(found["Cell"], labels == 1) > 0.8
    assert iou(found["Other"], labels == 2) > 0.8


def test_masks_that_nobody_changed_are_told_to_be_the_models_own(engine, files, discs):
    task = tasks.stack_task(files)
    (answer,) = engine.predict([task], tasks.STACK, {"result": [tasks.click(36, 40, page=4)]})
    (again,) = engine.predict([tasks.annotated(task, *answer["result"])], tasks.STACK)
    assert "All masks here are the model's own: correct one" in again["model_version"]


def test_a_negative_click_alone_comes_back_with_the_reason(engine, files):
    click = tasks.click(4, 4, positive=False)
    (answer,) = engine.predict([tasks.image_task(files)], tasks.IMAGE, {"result": [click]})
    (noted,) = answer["result"]
    assert noted["value"] == click["value"]
    assert "no click, box or mask on an object" in noted["meta"]["text"][0]


def test_a_painted_mask_and_a_negative_click_are_one_prompt(engine, files, discs):
    labels = discs[1][0]
    (answer,) = engine.predict(
        [tasks.image_task(files)], tasks.IMAGE, {"result": [tasks.click(40, 40)]}
    )
    (painted_over,) = answer["result"]
    painted_over["value"]["rle"] = brush.encode(labels > 0)
    ys, xs = np.nonzero(labels == 2)
    click = tasks.click(xs.mean(), ys.mean(), positive=False)
    context = {"result": [painted_over, click]}
    (corrected,) = engine.predict([tasks.image_task(files)], tasks.IMAGE, context)
    (mask,) = corrected["result"]
    kept = painted(mask)
    assert kept[labels == 1].mean() > 0.5 > 2 * kept[labels == 2].mean()


# -- stacks


def test_one_click_on_a_page_gives_a_mask_on_every_page_of_one_object(engine, files, discs):
    (answer,) = engine.predict(
        [tasks.stack_task(files)], tasks.STACK, {"result": [tasks.click(36, 40, page=4)]}
    )
    masks = {result["item_index"]: result for result in answer["result"]}
    assert sorted(masks) == list(range(FRAMES))
    for page, result in masks.items():
        assert iou(painted(result), discs[1][page] == 1) > 0.75
    assert len({result["meta"]["sam2"]["track"] for result in masks.values()}) == 1
    assert all(images.is_ours(result) for result in masks.values())


def test_a_mask_that_a_person_corrected_is_a_prompt_and_the_others_are_not(engine, files, discs):
    click = {"result": [tasks.click(36, 40, page=4)]}
    (answer,) = engine.predict([tasks.stack_task(files)], tasks.STACK, click)
    corrected = [dict(result) for result in answer["result"]]
    page = next(i for i, result in enumerate(corrected) if result["item_index"] == 2)
    value = corrected[page]["value"]
    corrected[page]["value"] = {**value, "rle": brush.encode(discs[1][2] == 1)}
    (again,) = engine.predict([tasks.annotated(tasks.stack_task(files), *corrected)], tasks.STACK)
    tracks = {result["meta"]["sam2"]["track"] for result in again["result"]}
    assert tracks == {answer["result"][0]["meta"]["sam2"]["track"]}
    on_page = next(result for result in again["result"] if result["item_index"] == 2)
    assert iou(painted(on_page), discs[1][2] == 1) == 1


@pytest.mark.parametrize("kind", ["stack", "image"])
def test_a_copy_of_a_mask_that_is_moved_is_an_object_of_its_own(engine, files, discs, kind):
    task = {"stack": tasks.stack_task, "image": tasks.image_task}[kind](files)
    config = {"stack": tasks.STACK, "image": tasks.IMAGE}[kind]
    click = tasks.click(36, 40, page=0 if kind == "stack" else None)
    made = engine.predict([task], config, {"result": [click]})[0]["result"]
    copy = {**made[0], "id": "copy"}  # with our note, as the editor copies it
    copy["value"] = {**copy["value"], "rle": brush.encode(discs[1][0] == 2)}
    (answer,) = engine.predict([tasks.annotated(task, *made, copy)], config)
    assert len({result["id"] for result in answer["result"]}) == 2 * len(made)
    for page in range(len(made)):
        here = [r for r in answer["result"] if (r.get("item_index") or 0) == page]
        for label, result in zip((2, 1), here, strict=True):
            assert iou(painted(result), discs[1][page] == label) > 0.7


# -- what goes wrong, and what takes long


@pytest.mark.parametrize(
    ("task", "config", "told"),
    [
        ({"data": {"video": "/nowhere.mp4"}}, tasks.VIDEO, "LABEL_STUDIO_URL"),
        ({"data": {}}, tasks.VIDEO, "no address"),
        ({"data": None}, tasks.VIDEO, "no data"),
        ({"data": {"text": "?"}}, "<View><Text name='t' value='$text'/></View>", "no control"),
    ],
)
def test_what_is_wrong_with_a_task_is_told_in_the_task(engine, discs, task, config, told):
    full = tasks.annotated({"id": 9, **task}, tasks.video_box(discs[1], 1))
    (answer,) = engine.predict([full], config)
    assert answer["result"] == []
    assert told in answer["model_version"]


def test_a_long_track_is_answered_in_time_and_goes_on(settings, files, discs):
    hurried = Engine(dataclasses.replace(settings, answer_within=0.001))
    context = {"result": [tasks.video_box(discs[1], 1)]}
    (early,) = hurried.predict([tasks.video_task(files)], tasks.VIDEO, context)
    assert [region["id"] for region in early["result"]] == ["a"]
    assert "the rest goes on. To see more" in early["result"][0]["meta"]["text"][0]
    wait_for(lambda: hurried.work.jobs.all()[0].state == "done")
    assert len(list((settings.folder / "pending").iterdir())) == 1  # no Label Studio to store it
    (late,) = Engine(settings).predict([tasks.video_task(files)], tasks.VIDEO, context)
    assert boxes_agree(late["result"][0], discs[1], 1)


def test_a_task_that_is_opened_does_not_wait_for_its_track(settings, files, discs, monkeypatch):
    """Label Studio requests a prediction of it first, if it has none."""
    monkeypatch.setattr(engine_module, "OPENS_WITHIN", 0.01)
    known = {"url": "http://127.0.0.1:9", "api_key": "t"}
    engine = Engine(dataclasses.replace(settings, answer_within=30, **known))
    task = tasks.annotated(tasks.video_task(files), tasks.video_box(discs[1], 1))
    began = time.monotonic()
    with engine.work.tracks.lane.turn(CLICK):
        assert engine.predict([task], tasks.VIDEO) == [[]]
    assert time.monotonic() - began < 20
    assert len(list((settings.folder / "pending").iterdir())) == 1
    more = [{**task, "id": 7}, {**task, "id": 8}]
    (other, _) = engine.predict(more, tasks.VIDEO)  # nobody opens two at once
    assert len(other["result"]) == 1
    engine.close()


def test_what_a_stopped_backend_left_is_taken_up(settings, files, discs):
    hurried = Engine(dataclasses.replace(settings, answer_within=0.001))
    context = {"result": [tasks.video_box(discs[1], 1)]}
    with hurried.work.tracks.lane.turn(CLICK):  # the track begins when all is ready to stop it
        hurried.predict([tasks.video_task(files)], tasks.VIDEO, context)
    close_in_mid_track(hurried.work)
    hurried.close()
    (left,) = hurried.work.jobs.all()
    assert left.state == "left" and left.tracked.done < FRAMES
    restarted = Engine(settings)
    assert restarted.resume() == 1
    wait_for(lambda: restarted.work.jobs.all()[0].state == "done")
    (job,) = restarted.work.jobs.all()
    assert job.tracked.done == job.tracked.total


def test_clicks_are_answered_while_a_track_runs(engine, files, discs):
    context = {"result": [tasks.video_box(discs[1], 1)]}
    tracking = threading.Thread(
        target=engine.predict, args=([tasks.video_task(files)], tasks.VIDEO, context)
    )
    lane = engine.work.tracks.lane
    with lane.turn(CLICK):  # the track starts, and waits for its first turn
        tracking.start()
        wait_for(lambda: len(lane._waiting) == 1)
        clicking = threading.Thread(
            target=engine.predict,
            args=([tasks.image_task(files)], tasks.IMAGE, {"result": [tasks.click(40, 40)]}),
        )
        clicking.start()
        wait_for(lambda: len(lane._waiting) == 2)
    with lane.turn(CLICK):  # after the click, before the track
        clicking.join()
        assert engine.work.jobs.all()[0].state == "running"
    tracking.join()


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_memory_that_was_chosen_is_used_and_its_tracks_are_its_own(engine, files, discs):
    context = {"result": [tasks.video_box(discs[1], 1)]}
    engine.predict([tasks.video_task(files)], tasks.VIDEO, context)
    other = Engine(dataclasses.replace(engine.settings, memory="motion"))
    (answer,) = other.predict([tasks.video_task(files)], tasks.VIDEO, context)
    assert boxes_agree(answer["result"][0], discs[1], 1)
    assert len(sizes(engine.settings)) == 2
    wrong = Engine(dataclasses.replace(engine.settings, memory="elephant"))
    (told,) = wrong.predict([tasks.video_task(files)], tasks.VIDEO, context)
    assert "no memory policy 'elephant'" in str(told)


def test_a_click_that_no_mask_meets_is_told_in_the_region(engine, files):
    clicks = [tasks.click(40, 40), {**tasks.click(40, 40, positive=False), "id": "not"}]
    (answer,) = engine.predict([tasks.image_task(files)], tasks.IMAGE, {"result": clicks})
    (text,) = {" ".join(r["meta"]["text"]) for r in answer["result"] if "rle" in r["value"]}
    assert "the click at (40, 40)" in text


@pytest.mark.parametrize("turned", [True, False])
def test_what_was_painted_on_another_picture_is_told_and_stays(engine, files, discs, turned):
    """Turned, it has as many pixels, so that it can be read; a box beside it is answered."""
    mask = discs[1][0] == 1
    mask = np.ascontiguousarray(mask.T) if turned else mask[::2, ::2]
    value = {"format": "rle", "rle": brush.encode(mask), "brushlabels": ["Cell"]}
    about = {"id": "painted", "from_name": "mask", "to_name": "image", "type": "brushlabels"}
    height, width = mask.shape
    painted = {**about, "original_width": width, "original_height": height, "value": value}
    task = tasks.annotated(tasks.image_task(files), painted, tasks.area(discs[1][0], 2))
    (answer,) = engine.predict([task], tasks.IMAGE)
    (kept,) = (one for one in answer["result"] if one["id"] == "painted")
    assert kept["value"] == value
    assert f"a picture of {width}×{height} pixels" in kept["meta"]["text"][0]
    assert len(answer["result"]) == 2


def test_a_box_beyond_the_end_is_told_of_and_the_others_are_tracked(engine, files, discs):
    box = tasks.video_box(discs[1], 1)
    late = {**box["value"]["sequence"][0], "frame": 40}
    for keys, tracked in (([late], [40]), ([*box["value"]["sequence"], late], [1, 12, 40])):
        drawn = {**box, "value": {**box["value"], "sequence": keys}}
        (answer,) = engine.predict([tasks.video_task(files)], tasks.VIDEO, {"result": [drawn]})
        (made,) = answer["result"]
        assert "A box is on frame 40, and the video ends with frame 12" in made["meta"]["text"][0]
        assert {*tracked} <= {k["frame"] for k in made["value"]["sequence"]}
