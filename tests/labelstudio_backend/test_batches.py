"""Many tasks in one request: none takes another with it, and none is lost."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest

from sam2_plugins.labelstudio_backend import corrections, deliveries
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.formats.video_rectangle import interpolate, read_regions
from sam2_plugins.labelstudio_backend.request import TaskRequest
from sam2_plugins.labelstudio_backend.tracking import CLICK
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.test_engine import wait_for
from tests.labelstudio_backend.web import Web, serving


class Stored:
    """A Label Studio that keeps predictions, as far as the backend uses it."""

    def __init__(self) -> None:
        self.predictions: dict[int, dict] = {}
        self.annotations: dict[int, dict] = {}
        self.tasks: dict[int, dict] = {}
        self.label_config = ""
        self._lock = threading.Lock()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict, bytes]:
        with self._lock:
            if body:
                made = json.loads(body)
                number = max(self.predictions, default=0) + 1
                self.predictions[number] = {"id": number, **made}
                return 201, {}, b"{}"
            if path.startswith("/api/predictions/?task="):
                task = int(path.rpartition("=")[2])
                found = [p for p in self.predictions.values() if p["task"] == task]
                return 200, {}, json.dumps(found).encode()
            if path.startswith("/api/tasks/?"):
                (number,) = json.loads(parse_qs(path)["query"][0])["selectedItems"]["included"]
                found = {"predictions": self.of(number), **self.tasks.get(number, {"id": number})}
                return 200, {}, json.dumps({"tasks": [found]}).encode()
            if path.startswith("/api/projects/") and self.label_config:
                return 200, {}, json.dumps({"label_config": self.label_config}).encode()
            if path.startswith("/api/annotations/"):
                return 200, {}, json.dumps(self.annotations[int(path.split("/")[3])]).encode()
            if path.startswith("/api/predictions/"):
                self.predictions.pop(int(path.split("/")[3]), None)
            return 200, {}, b"{}"

    def of(self, task: int) -> list[dict]:
        return [p for p in self.predictions.values() if p["task"] == task]


@contextmanager
def label_studio() -> Iterator[tuple[Web, Stored]]:
    stored = Stored()
    with serving(lambda *told: stored.answer(*told)) as web:
        yield web, stored


def bomb(side: int) -> bytes:
    """Return a small PNG of many black pixels."""

    def part(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = part(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    rows = part(b"IDAT", zlib.compress(bytes(side * (side // 8 + 1)), 9))
    return b"\x89PNG\r\n\x1a\n" + head + rows + part(b"IEND", b"")


@pytest.fixture
def pictures(files, discs):
    (files / "bomb.png").write_bytes(bomb(12_000))
    (files / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

    def task(number: int, image: object) -> dict:
        shown = {"id": number, "data": {"image": image}}
        return tasks.annotated(shown, tasks.area(discs[1][0], 1))

    yield task
    (files / "bomb.png").unlink()
    (files / "drawing.svg").unlink()


BAD = ["http://h:port/x.png", "http://[::1/x.png", "bomb.png", "drawing.svg", "\ud800", None, 7]


def test_bad_tasks_fail_alone(engine, files, pictures):
    bad = [str(files / one) if one in ("bomb.png", "drawing.svg") else one for one in BAD]
    good = str(files / "page0.png")
    answers = engine.predict([pictures(n, one) for n, one in enumerate([*bad, good])], tasks.IMAGE)
    assert [bool(answer["result"]) for answer in answers] == [False] * len(bad) + [True]
    assert all(answer["model_version"].startswith("SAM 2 nano: ") for answer in answers[:-1])


TWO_IMAGES = """
<View>
  <Image name="first" value="$first"/> <RectangleLabels name="areas" toName="first">
  <Label value="Cell"/></RectangleLabels>
  <BrushLabels name="masks" toName="first"><Label value="Cell"/></BrushLabels>
  <Image name="second" value="$second"/> <RectangleLabels name="areas2" toName="second">
  <Label value="Cell"/></RectangleLabels>
  <BrushLabels name="masks2" toName="second"><Label value="Cell"/></BrushLabels>
</View>"""


def texts(answer: dict) -> dict[str, str]:
    """Notes of the regions, by the region."""
    regions = ((one["id"], one.get("meta", {}).get("text", [])) for one in answer["result"])
    return {region: " ".join(text) for region, text in regions}


def test_of_two_pictures_of_a_task_the_one_that_is_there_is_answered(engine, files, discs, caplog):
    caplog.set_level("INFO")
    task = {"id": 4, "data": {"first": str(files / "gone.png"), "second": str(files / "page0.png")}}
    drawn = [
        {**tasks.area(discs[1][0], n), "from_name": area, "to_name": image, "id": image}
        for n, area, image in ((1, "areas", "first"), (2, "areas2", "second"))
    ]
    (answer,) = engine.predict([tasks.annotated(task, *drawn)], TWO_IMAGES)
    assert [one["from_name"] for one in answer["result"]] == ["masks2", "areas"]
    assert "gone.png" in texts(answer)["first"]
    assert answer["model_version"].startswith("SAM 2 nano: ")
    assert "gone.png" in answer["model_version"]
    assert "gone.png" in caplog.text
    stored = {**tasks.annotated(task, *drawn), "predictions": [answer]}
    assert engine.predict([stored], TWO_IMAGES) == [[]]


@pytest.mark.parametrize("config", [tasks.IMAGE, tasks.STACK])
@pytest.mark.parametrize("fault", ["label", "shape", "place", "size"])
def test_a_region_that_cannot_be_answered_leaves_the_others_theirs(
    engine, files, discs, caplog, config, fault
):
    caplog.set_level("INFO")
    bad = tasks.area(discs[1][0], 1, "Mars" if fault == "label" else "Cell")
    if fault != "label":
        bad["value"] |= {"shape": {"x": None}, "place": {"x": 130.0}, "size": {"width": 0}}[fault]
    task = tasks.image_task(files) if config == tasks.IMAGE else tasks.stack_task(files)
    full = tasks.annotated(task, bad, tasks.area(discs[1][0], 2))
    (answer,) = engine.predict([full], config)
    kinds = [one["type"] for one in answer["result"]]
    assert set(kinds) == {"brushlabels", "rectanglelabels"}
    assert kinds.count("rectanglelabels") == 1
    told = {"label": "Mars", "shape": "'x' is None"}.get(fault, "empty or outside of the picture")
    assert told in texts(answer)["area1"]
    assert told in answer["model_version"]
    assert told in caplog.text


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"frame": 0.5}, "frames count 1, 2, 3"),
        ({"x": 130.0}, "on frame 1 is empty or outside of the picture"),
        ({"height": 0}, "on frame 1 is empty or outside of the picture"),
    ],
)
def test_a_damaged_box_of_a_video_leaves_the_others_theirs(engine, files, discs, fault, told):
    bad, good = tasks.video_box(discs[1], 1, region="bad"), tasks.video_box(discs[1], 2)
    bad["value"]["sequence"][0] |= fault
    (answer,) = engine.predict([tasks.annotated(tasks.video_task(files), bad, good)], tasks.VIDEO)
    found = {one["id"]: len(one["value"]["sequence"]) for one in answer["result"]}
    assert found["bad"] == 1 < found["a"]
    assert told in texts(answer)["bad"]


def test_a_box_that_was_dragged_out_of_the_picture_is_no_prompt_and_stays(engine, files, discs):
    box = tasks.video_box(discs[1], 1)
    out = {**box["value"]["sequence"][0], "frame": 9, "x": -90.0}
    box["value"]["sequence"].append(out)
    (answer,) = engine.predict([tasks.video_task(files)], tasks.VIDEO, {"result": [box]})
    (region,) = read_regions(answer["result"])
    assert interpolate(region.keyframes, 9)[0] == -90
    assert interpolate(region.keyframes, 8) is not None
    assert "on frame 9 is empty or outside of the picture" in texts(answer)["a"]
    assert "Tracked." in texts(answer)["a"]


def test_a_click_outside_of_the_picture_leaves_the_others_theirs(engine, files):
    clicks = [tasks.click(36, 40), tasks.click(-50, 40)]
    (answer,) = engine.predict([tasks.image_task(files)], tasks.IMAGE, {"result": clicks})
    assert [one["type"] for one in answer["result"]] == ["brushlabels", "keypointlabels"]
    assert "outside of the picture" in texts(answer)["click--50-40"]


def test_a_click_of_a_label_without_a_place_stays_with_the_reason(engine, files, discs):
    bad, good = tasks.area(discs[1][0], 1, "Mars"), tasks.area(discs[1][0], 2)
    context = {"result": [bad, good]}
    (answer,) = engine.predict([tasks.image_task(files)], tasks.IMAGE, context)
    assert [one["type"] for one in answer["result"]] == ["brushlabels", "rectanglelabels"]
    assert "Mars" in texts(answer)["area1"]
    assert answer["model_version"] == engine.model_version


def test_pictures_that_there_is_no_time_for_are_stored_later(settings, files, pictures):
    with label_studio() as (web, stored):
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        engine = Engine(hurried)
        batch = [pictures(n, str(files / f"page{n}.png")) for n in range(1, 7)]
        assert engine.predict(batch, tasks.IMAGE) == [[]] * 6
        wait_for(lambda: all(stored.of(n) for n in range(1, 7)))
        wait_for(lambda: not list((settings.folder / "pending").iterdir()))
        assert all(stored.of(n)[0]["result"][0]["value"]["rle"] for n in range(1, 7))
        engine.close()


def test_what_is_to_be_stored_is_not_answered_as_well(settings, files, pictures):
    """Label Studio would keep both."""
    with label_studio() as (web, stored):
        settings = dataclasses.replace(settings, url=web.url, api_key="t")
        engine = Engine(dataclasses.replace(settings, answer_within=1e-6))
        engine._deliveries.stop()
        batch = [pictures(n, str(files / f"page{n}.png")) for n in (1, 2)]
        assert engine.predict(batch, tasks.IMAGE) == [[]] * 2
        engine.close()
        patient = Engine(settings)
        assert patient.predict(batch, tasks.IMAGE) == [[]] * 2
        wait_for(lambda: not list((settings.folder / "pending").iterdir()))
        patient.close()
    assert [len(stored.of(n)) for n in (1, 2)] == [1, 1]


def test_a_task_that_is_wanted_twice_at_once_is_answered_once(engine, files, pictures):
    """By who presses twice, or opens a task of the batch: Label Studio would keep both."""
    batch = [pictures(n, str(files / f"page{n}.png")) for n in (1, 2)]
    answers: list = []
    first, second = (
        threading.Thread(target=lambda n=n: answers.append(engine.predict(batch[:n], tasks.IMAGE)))
        for n in (2, 1)
    )
    with engine.work.tracks.lane.turn(CLICK):
        first.start()
        wait_for(lambda: engine._asked)
        second.start()
        second.join(10)
    first.join()
    assert answers[0] == [[]]
    assert [len(one["result"]) for one in answers[1]] == [1, 1]
    assert engine.predict(batch, tasks.IMAGE) == answers[1]


def test_tasks_that_two_batches_share_are_answered_once_though_one_batch_is_done_before(
    engine, files, pictures, monkeypatch
):
    make, done, answers = engine._prediction, threading.Event(), []

    def slow(request):
        assert request.task_id != 1 or done.wait(10)
        return make(request)

    monkeypatch.setattr(engine, "_prediction", slow)
    batch = [pictures(n, str(files / f"page{n}.png")) for n in (1, 2)]
    first = threading.Thread(target=lambda: answers.extend(engine.predict(batch, tasks.IMAGE)))
    first.start()
    wait_for(lambda: engine._asked)
    answers += engine.predict(batch, tasks.IMAGE)
    done.set()
    first.join()
    assert len([one for one in answers if one]) == 2
    assert len([one for one in engine.predict(batch, tasks.IMAGE) if one]) == 2


@pytest.mark.parametrize("is_saved", [True, False], ids=["saved", "deleted by a person"])
def test_what_label_studio_is_just_saving_is_not_answered_again(
    settings, files, pictures, monkeypatch, is_saved
):
    """A task that is opened while those of a batch are being saved has no prediction yet."""
    monkeypatch.setattr("sam2_plugins.labelstudio_backend.engine.SAVED_WITHIN", 60.0 * is_saved)
    with label_studio() as (web, stored):
        engine = Engine(dataclasses.replace(settings, url=web.url, api_key="t"))
        task = pictures(1, str(files / "page1.png"))
        (made,) = engine.predict([task], tasks.IMAGE)
        saving = threading.Timer(0.5, lambda: stored.predictions.update({1: {"task": 1, **made}}))
        if is_saved:
            saving.start()
        assert engine.predict([task], tasks.IMAGE) == ([[]] if is_saved else [made])
        engine.close()


def test_two_who_ask_for_what_is_of_no_project_are_both_answered(engine, files, pictures):
    """Their answers are stored nowhere."""
    task = pictures(1, str(files / "page1.png"))
    del task["id"]
    answers: list = []
    first = threading.Thread(target=lambda: answers.extend(engine.predict([task], tasks.IMAGE)))
    second = threading.Thread(target=lambda: answers.extend(engine.predict([task], tasks.IMAGE)))
    with engine.work.tracks.lane.turn(CLICK):
        first.start()
        second.start()
        time.sleep(0.3)
    first.join()
    second.join()
    assert all(answers)


def test_what_a_stopped_backend_has_not_stored_is_stored_by_the_next(settings, files, pictures):
    with label_studio() as (web, stored):
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        stopped = Engine(hurried)
        stopped._deliveries.stop()
        stopped.predict([pictures(n, str(files / f"page{n}.png")) for n in (1, 2)], tasks.IMAGE)
        stopped.close()
        assert not stored.predictions
        restarted = Engine(hurried)
        assert restarted.resume() == 2
        wait_for(lambda: stored.of(1) and stored.of(2))
        restarted.close()


def test_what_another_backend_in_the_same_folder_is_to_store_is_left_to_it_until_it_stops(
    settings, files, pictures
):
    with label_studio() as (web, stored):
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        one, other = Engine(hurried), Engine(dataclasses.replace(hurried, memory="samurai"))
        assert one.resume() == 0
        one._deliveries.stop()
        one.predict([pictures(1, str(files / "page1.png"))], tasks.IMAGE)
        taken_up: list[int] = []
        second = threading.Thread(target=lambda: taken_up.append(other.resume()))
        second.start()
        second.join(3)
        assert not taken_up
        one.close()
        second.join(60)
        assert taken_up == [1]
        wait_for(lambda: stored.of(1))
        other.close()


def test_a_result_that_waits_for_label_studio_is_stored_by_the_next_start(
    settings, files, pictures, monkeypatch
):
    monkeypatch.setattr(deliveries, "PAUSE", 0.05)
    with label_studio() as (web, stored):
        answer, refused = stored.answer, threading.Event()

        def away(*told):
            refused.set()
            return 502, {}, b""

        stored.answer = away
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        stopped = Engine(hurried)
        stopped.predict([pictures(1, str(files / "page1.png"))], tasks.IMAGE)
        assert refused.wait(60)
        stopped.close()
        stored.answer = answer
        restarted = Engine(hurried)
        assert restarted.resume() == 1
        wait_for(lambda: stored.of(1))
        restarted.close()


def test_nothing_is_stored_for_a_new_task_that_has_the_number_of_a_deleted_one(
    settings, files, pictures
):
    with label_studio() as (web, stored):
        stored.tasks[1] = {"id": 1, "created_at": "2026-11-02"}
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        engine = Engine(hurried)
        both = [
            {**pictures(n, str(files / f"page{n}.png")), "project": 3, "created_at": "2026-11-01"}
            for n in (1, 2)
        ]
        engine.predict(both, tasks.IMAGE)
        wait_for(lambda: not list((settings.folder / "pending").iterdir()))
        engine.close()
    assert [bool(stored.of(n)) for n in (1, 2)] == [False, True]


def test_what_was_corrected_while_it_was_made_is_stored_as_it_was_corrected(settings, files, discs):
    """Label Studio does not ask again for a task that has a prediction of this model."""
    with label_studio() as (web, stored):
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        engine = Engine(hurried)
        task = {**tasks.video_task(files), "project": 3}
        first, moved = (tasks.annotated(task, tasks.video_box(discs[1], n)) for n in (1, 2))
        stored.tasks[1] = moved
        assert engine.predict([first], tasks.VIDEO) == [[]]
        wait_for(lambda: not list((settings.folder / "pending").iterdir()))
        engine.close()
    (made,) = stored.of(1)
    (region,) = read_regions(made["result"])
    assert interpolate(region.keyframes, 1) == tasks.percent(discs[1][0], 2)
    drawn = moved["annotations"][0]["result"]
    assert corrections.mark_of(made) == corrections.prompts_digest(drawn)


def test_what_is_stored_later_is_for_the_labelling_config_of_then(settings, files, pictures):
    """The editor shows no regions of a control that there is not."""
    with label_studio() as (web, stored):
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        engine = Engine(hurried)
        stored.label_config = tasks.IMAGE.replace('name="mask"', 'name="areas"')
        task = {**pictures(1, str(files / "page1.png")), "project": 3}
        assert engine.predict([task], tasks.IMAGE) == [[]]
        wait_for(lambda: not list((settings.folder / "pending").iterdir()))
        engine.close()
    (made,) = stored.of(1)
    assert [one["from_name"] for one in made["result"]] == ["areas"]


def test_what_is_stored_later_is_of_the_picture_of_then(settings, files, discs, pictures):
    with label_studio() as (web, stored):
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        engine = Engine(hurried)
        task = {**pictures(1, str(files / "page1.png")), "project": 3}
        stored.tasks[1] = {**task, "data": {"image": str(files / "page9.png")}}
        assert engine.predict([task], tasks.IMAGE) == [[]]
        wait_for(lambda: not list((settings.folder / "pending").iterdir()))
        (now,) = Engine(settings).predict([stored.tasks[1]], tasks.IMAGE)
        engine.close()
    (made,) = stored.of(1)
    assert made["result"][0]["value"] == now["result"][0]["value"]


def test_tracks_of_one_label_stay_when_those_of_another_are_stored(settings, files, discs):
    """An annotator sends the boxes of one label at a time."""
    with label_studio() as (web, stored):
        answer = stored.answer

        def slow(path, *told):
            found = answer(path, *told)
            time.sleep(0.5 * path.startswith("/api/predictions/?"))
            return found

        stored.answer = slow
        engine = Engine(dataclasses.replace(settings, answer_within=0.01, url=web.url, api_key="t"))
        boxes = [
            tasks.video_box(discs[1], n, region=name, name=name)
            for n, name in ((1, "Cell"), (2, "Other"))
        ]
        with engine.work.tracks.lane.turn(CLICK):  # both are ready at the same time
            for box in boxes:
                engine.predict([tasks.video_task(files)], tasks.VIDEO, {"result": [box]})
        wait_for(lambda: not list((settings.folder / "pending").iterdir()))
        assert len(stored.of(1)) == 1
        moved = tasks.video_box(discs[1], 1, frame=2, region="Cell")
        engine.predict([tasks.video_task(files)], tasks.VIDEO, {"result": [moved]})
        wait_for(lambda: not list((settings.folder / "pending").iterdir()))
        engine.close()
    (made,) = stored.of(1)
    assert sorted(one["id"] for one in made["result"]) == ["Cell", "Other"]
    assert all(len(one["value"]["sequence"]) > 1 for one in made["result"])
    assert corrections.mark_of(made) == corrections.prompts_digest([moved, boxes[1]])


def test_label_studio_is_tried_again_for_as_long_as_it_does_not_answer(
    settings, files, pictures, monkeypatch
):
    monkeypatch.setattr(deliveries, "PAUSE", 0.01)
    monkeypatch.setattr(deliveries, "LONGEST_PAUSE", 0.05)
    with label_studio() as (web, stored):
        refusals = iter([True] * (deliveries.ATTEMPTS + 3) + [False])
        answer = stored.answer

        def busy(path, headers, body):
            return (502, {}, b"") if body and next(refusals, False) else answer(path, headers, body)

        stored.answer = busy
        hurried = dataclasses.replace(settings, answer_within=1e-6, url=web.url, api_key="t")
        engine = Engine(hurried)
        engine.predict([pictures(1, str(files / "page1.png"))], tasks.IMAGE)
        wait_for(lambda: stored.of(1))
        engine.close()
    assert not list(refusals)  # all were met, and the last request was answered
    assert stored.of(1)[0]["result"]


def test_a_retry_without_a_token_goes_on_where_the_first_one_stopped(settings, files, pictures):
    batch = [pictures(n, str(files / f"page{n}.png")) for n in range(1, 4)]
    hurried = Engine(dataclasses.replace(settings, answer_within=1e-6))
    assert hurried.predict(batch, tasks.IMAGE) == [[]] * 3
    patient = Engine(settings)
    assert all(answer["result"] for answer in patient.predict(batch, tasks.IMAGE))
    assert not list((settings.folder / "pending").iterdir())


def test_predictions_of_another_model_are_prompts_until_a_person_annotates(
    engine, files, discs, settings
):
    boxes = [tasks.video_box(discs[1], 1)]
    detector = {"model_version": "detector", "result": boxes}
    own = {"model_version": "SAM 2 nano", "result": [tasks.video_box(discs[1], 2, region="own")]}
    task = {**tasks.video_task(files), "annotations": [], "predictions": [own, detector]}
    (answer,) = engine.predict([task], tasks.VIDEO)
    assert [region["id"] for region in answer["result"]] == ["a"]
    (persons,) = engine.predict(
        [tasks.annotated(task, tasks.video_box(discs[1], 2, region="mine"))], tasks.VIDEO
    )
    assert [region["id"] for region in persons["result"]] == ["mine"]
    off = Engine(dataclasses.replace(settings, track_predictions=False))
    assert "no box to track" in off.predict([task], tasks.VIDEO)[0]["model_version"]


def test_regions_that_were_imported_without_ids_are_objects_of_their_own(engine, files, discs):
    boxes = [tasks.video_box(discs[1], n) for n in (1, 2)]
    for box in boxes:
        del box["id"]
    task = {**tasks.video_task(files), "predictions": [{"model_version": "det", "result": boxes}]}
    (answer,) = engine.predict([task], tasks.VIDEO)
    assert len({one["id"] for one in answer["result"]}) == 2
    shown = [interpolate(region.keyframes, 1) for region in read_regions(answer["result"])]
    assert shown == [tasks.percent(discs[1][0], n) for n in (1, 2)]


def test_an_older_prediction_is_deleted_when_the_prompts_change(
    settings, files, discs, monkeypatch
):
    monkeypatch.setattr(corrections, "PATIENCE", 60.0)
    with label_studio() as (web, stored):
        engine = Engine(dataclasses.replace(settings, url=web.url, api_key="t"))
        first = tasks.annotated(tasks.video_task(files), tasks.video_box(discs[1], 1))
        (made,) = engine.predict([first], tasks.VIDEO)
        stored.predictions = {
            1: {"id": 1, "task": 1, **made},
            2: {"id": 2, "task": 1, "model_version": "SAM 2 nano: There is no box", "result": []},
            3: {"id": 3, "task": 1, "model_version": "detector", "result": []},
        }
        stored.label_config, stored.annotations[5] = tasks.VIDEO, {"task": 1}
        stored.tasks[1] = tasks.annotated(tasks.video_task(files), *made["result"])
        stored.tasks[1]["annotations"][0]["id"] = 6  # another one, as in a copy of the project
        engine.notified("ANNOTATION_UPDATED", "1", 5)
        engine.corrections.wait("1.1700000000")
        assert sorted(stored.predictions) == [1, 3]
        stored.tasks[1] = tasks.annotated(tasks.video_task(files), tasks.video_box(discs[1], 2))
        engine.notified("ANNOTATION_UPDATED", "1", 5)
        engine.corrections.wait("1.1700000000")
        assert sorted(stored.predictions) == [3]
        engine.close()


@pytest.mark.parametrize(("made_at", "stays"), [("2025", False), ("2027", True)])
def test_what_an_annotator_has_tracked_since_the_last_annotation_was_saved_stays(
    engine, files, discs, made_at, stays
):
    """It is of boxes that are in the editor alone."""
    moved, config = tasks.video_box(discs[1], 1, frame=3), tasks.VIDEO
    (made,) = engine.predict([tasks.video_task(files)], config, {"result": [moved]})
    task = tasks.annotated(tasks.video_task(files), tasks.video_box(discs[1], 1))
    request = TaskRequest(task, config, [moved], None, "1", math.inf, engine.settings)
    result = corrections.marked(made["result"], corrections.prompts_digest([moved]), request)
    task["predictions"] = [{**made, "id": 8, "result": result, "created_at": made_at}]
    assert corrections.outdated(dataclasses.replace(request, context=None)) == (
        [] if stays else [8]
    )


@pytest.mark.parametrize("config", [tasks.VIDEO, tasks.VIDEO.replace('name="box"', 'name="b"')])
@pytest.mark.parametrize(("created_at", "stays"), [("2026-11-01", False), ("2026-11-02", True)])
def test_a_prediction_that_was_imported_stays_without_its_annotation(
    engine, files, discs, config, created_at, stays
):
    """Nobody can make it anew: its prompts are in another task."""
    task = {**tasks.video_task(files), "created_at": "2026-11-01"}
    first = tasks.annotated(task, tasks.video_box(discs[1], 1))
    (made,) = engine.predict([first], tasks.VIDEO)
    other = {**task, "created_at": created_at, "predictions": [{"id": 8, **made}]}
    request = TaskRequest(other, config, None, None, "1", math.inf, engine.settings)
    assert corrections.outdated(request) == ([] if stays else [8])


def test_a_prediction_of_another_program_whose_name_begins_like_ours_stays(engine, files, discs):
    task = tasks.annotated(tasks.video_task(files), tasks.video_box(discs[1], 1))
    other = {"id": 8, "model_version": "SAM 2 of mine", "result": [tasks.video_box(discs[1], 2)]}
    task["predictions"] = [other]
    request = TaskRequest(task, tasks.VIDEO, None, None, "1", math.inf, engine.settings)
    assert corrections.outdated(request) == []


def test_the_reason_why_a_task_had_nothing_goes_when_it_has_something(settings, files, pictures):
    with label_studio() as (web, stored):
        engine = Engine(dataclasses.replace(settings, url=web.url, api_key="t"))
        picture = files / "late.png"
        task = pictures(1, str(picture))
        (told,) = engine.predict([task], tasks.IMAGE)
        stored.predictions = {
            1: {"id": 1, "task": 1, **told},
            2: {"id": 2, "task": 1, "model_version": "detector: boxes", "result": []},
            3: {"id": 3, "task": 2, **told},
        }
        picture.write_bytes((files / "page1.png").read_bytes())
        again = {**task, "predictions": [*stored.of(1), *stored.of(2)]}  # anybody can send it
        assert engine.predict([again], tasks.IMAGE)[0]["result"]
        engine.corrections.wait("")
        engine.close()
        assert sorted(stored.predictions) == [2, 3]


def test_imported_regions_of_a_control_that_is_not_there_are_told(engine, files, discs):
    box = {**tasks.video_box(discs[1], 1), "from_name": "boxes"}
    task = {**tasks.video_task(files), "predictions": [{"model_version": "det", "result": [box]}]}
    (answer,) = engine.predict([task], tasks.VIDEO)
    assert "are of boxes" in answer["model_version"]
    assert "from_name: box" in answer["model_version"]


def test_settings_that_make_no_sense_are_told_for_each_task(engine, files, discs):
    wrong = Engine(dataclasses.replace(engine.settings, memory="elephant"))
    drawn = tasks.video_box(discs[1], 1)
    batch = [{**tasks.annotated(tasks.video_task(files), drawn), "id": number} for number in (1, 2)]
    told = wrong.predict(batch, tasks.VIDEO)
    assert ["no memory policy 'elephant'" in str(one) for one in told] == [True, True]
