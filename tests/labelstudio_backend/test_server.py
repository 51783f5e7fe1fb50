from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.errors import ServerError
from sam2_plugins.labelstudio_backend.server import create_app, run
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.labelstudio_backend import tasks

VERSION = "SAM 2 nano"


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(Engine(settings)), raise_server_exceptions=False) as made:
        yield made


def request(task: dict, config: str, context: object = None) -> dict:
    params = {"login": None, "password": None, "context": context}
    return {"tasks": [task], "project": "1.1700000000", "label_config": config, "params": params}


def test_health_setup_and_versions_load_no_model(client, monkeypatch):
    def forbidden(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("sam2_plugins.core.checkpoints.load._load", forbidden)
    assert client.get("/health").json()["status"] == "UP"
    setup = {"project": "1.1", "schema": tasks.VIDEO, "hostname": "", "access_token": "x"}
    assert client.post("/setup", json=setup).json() == {"model_version": VERSION}
    assert client.get("/versions").json() == {"versions": [VERSION]}


def test_a_port_that_another_program_has_is_told(settings):
    told = pytest.raises(ServerError, match=r"in use\. Choose another --port")
    with socket.create_server(("127.0.0.1", 0)) as taken, told:
        run(settings, "127.0.0.1", taken.getsockname()[1])


def test_predictions_need_no_setup_and_tell_the_version_of_setup(client, files, discs):
    context = {"result": [tasks.video_box(discs[1], 1)]}
    answer = client.post("/predict", json=request(tasks.video_task(files), tasks.VIDEO, context))
    assert answer.status_code == 200
    (prediction,) = answer.json()["results"]
    assert prediction["model_version"] == answer.json()["model_version"] == VERSION
    assert prediction["result"][0]["value"]["sequence"]


def test_projects_with_other_configs_share_a_backend(client, files, discs):
    box = {"result": [tasks.video_box(discs[1], 1)]}
    click = {"result": [tasks.click(40, 40)]}
    for _ in range(2):
        video = request(tasks.video_task(files), tasks.VIDEO, box)
        image = request(tasks.image_task(files), tasks.IMAGE, click)
        kinds = [
            client.post("/predict", json=body).json()["results"][0]["result"][0]["type"]
            for body in (video, image)
        ]
        assert kinds == ["videorectangle", "brushlabels"]


def test_jobs_are_listed_and_can_be_cancelled(client, files, discs):
    context = {"result": [tasks.video_box(discs[1], 1)]}
    client.post("/predict", json=request(tasks.video_task(files), tasks.VIDEO, context))
    (job,) = client.get("/jobs").json()["jobs"]
    assert (job["task"], job["state"], job["done"]) == (1, "done", job["total"])
    assert client.post(f"/jobs/{job['id']}/cancel").json() == {"cancelled": True}
    assert client.post("/jobs/none/cancel").status_code == 404


def test_a_webhook_does_nothing_at_once(client):
    assert client.post("/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 201


def test_a_password_keeps_others_out_but_not_health(settings):
    closed = dataclasses.replace(settings, user="me", password="secret")
    with TestClient(create_app(Engine(closed))) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/jobs").status_code == 401
        assert client.get("/jobs", auth=("me", "wrong")).status_code == 401
        assert client.get("/jobs", headers={"authorization": "Basic ?"}).status_code == 401
        assert client.get("/jobs", auth=("me", "secret")).status_code == 200
        assert client.post("/predict", json={}).status_code == 401
        assert client.post("/webhook", json={}).status_code == 201  # sent without a password


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"[" * 100_000, b"\xff"])
@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
def test_what_is_no_json_object_is_refused_with_a_reason(client, path, body):
    answer = client.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


# -- requests that are nearly those of Label Studio

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("$video")
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def bend(draw: st.DrawFn, value: object, chance: int = 12) -> object:
    """Replace some parts of a request by anything."""
    if draw(st.integers(0, chance)) == 0:
        return draw(anything)
    if isinstance(value, dict):
        kept = {k: bend(draw, v, chance) for k, v in value.items()}
        if kept and draw(st.integers(0, chance)) == 0:
            kept.pop(draw(st.sampled_from(sorted(kept))))
        return kept
    if isinstance(value, list):
        return [bend(draw, one, chance) for one in value]
    return value


@st.composite
def bent(draw: st.DrawFn, bodies: list) -> bytes:
    body = bend(draw, draw(st.sampled_from(bodies)))
    return json.dumps(body).encode()  # with NaN and Infinity, as some clients write them


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
def test_damaged_requests_get_a_reason_or_an_empty_answer(client, files, discs, path):
    labels = discs[1]
    box, click = tasks.video_box(labels, 1), tasks.click(40, 40)
    missing = {"id": 5, "data": {"video": "/no.mp4"}}
    bodies = [
        request(missing, tasks.VIDEO, {"result": [box]}),
        request(tasks.annotated(missing, box), tasks.VIDEO),
        request(
            tasks.image_task(files), tasks.IMAGE, {"result": [click, tasks.area(labels[0], 1)]}
        ),
        request(tasks.annotated(tasks.image_task(files), tasks.area(labels[0], 2)), tasks.IMAGE),
        {"project": "1.1", "schema": tasks.VIDEO, "hostname": "http://x", "access_token": "t"},
        {"action": "ANNOTATION_CREATED", "project": {"id": 1}},
    ]

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(bent(bodies))
    def check(body: bytes) -> None:
        answer = client.post(path, content=body)
        assert answer.status_code in (200, 201, 400), answer.text
        if answer.status_code == 400:
            assert answer.json()["error"]
        elif path == "/predict":
            assert len(answer.json()["results"]) == len(json.loads(body)["tasks"])

    check()
