"""The class in label-studio-ml's own server, 1.0.9; 2.x has no release to install."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("label_studio_ml")

from label_studio_ml.api import init_app

from sam2_plugins.labelstudio_backend import model
from sam2_plugins.labelstudio_backend.tracking import CLICK
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.test_engine import wait_for


@pytest.fixture
def client(settings, files, tmp_path, monkeypatch):
    monkeypatch.setenv("SAM2_LABELSTUDIO_CACHE", settings.cache)
    monkeypatch.setenv("LOCAL_FILES_DOCUMENT_ROOT", str(files))
    model.shared_engine.cache_clear()
    yield init_app(model.Sam2Backend, model_dir=str(tmp_path)).test_client()
    model.shared_engine.cache_clear()


def test_the_class_serves_through_label_studio_ml(client, files, discs):
    setup = {"project": "1.1", "schema": tasks.VIDEO, "hostname": "", "access_token": ""}
    assert client.post("/setup", json=setup).status_code == 200
    context = {"result": [tasks.video_box(discs[1], 1)]}
    body = {"tasks": [tasks.video_task(files)], "project": "1.1", "label_config": tasks.VIDEO}
    answer = client.post("/predict", json={**body, "params": {"context": context}})
    assert answer.status_code == 200
    (prediction,) = answer.get_json()["results"]
    assert prediction["model_version"] == "SAM 2 nano"
    assert prediction["result"][0]["id"] == "a"
    batch = client.post("/predict", json={**body, "params": {"context": None}})
    assert batch.get_json()["results"][0]["result"] == []


def test_it_is_made_the_way_2_x_makes_it():
    """Of 2.x: `setup` takes what `set` keeps, and `fit` any arguments."""
    kept = {}

    class Version2(model.Sam2Backend):
        def set(self, key, value):
            kept[key] = value

    made = Version2()
    made.setup()
    assert kept == {"model_version": "SAM 2 nano"}
    assert made.fit("ANNOTATION_CREATED", {"id": 1}, extra=True) == {}


def test_what_is_answered_already_gets_no_empty_prediction_beside(client, files, discs):
    client.post("/setup", json={"project": "1.1", "schema": tasks.VIDEO})
    task = tasks.annotated(tasks.video_task(files), tasks.video_box(discs[1], 1))
    body = {"tasks": [task], "project": "1.1", "label_config": tasks.VIDEO}
    answers = []
    first = threading.Thread(target=lambda: answers.append(client.post("/predict", json=body)))
    engine = model.shared_engine()
    with engine.work.tracks.lane.turn(CLICK):
        first.start()
        wait_for(lambda: engine._asked)
        assert client.post("/predict", json=body).get_json()["results"] == [[]]
    first.join()
    assert answers[0].get_json()["results"][0]["result"]
