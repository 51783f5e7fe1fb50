"""What outsiders try, and what a crowd does."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from sam2_plugins.labelstudio_backend import images, server
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.errors import MediaError, StillFetchingError
from sam2_plugins.labelstudio_backend.media import MediaStore
from sam2_plugins.labelstudio_backend.project_setups import ProjectSetups
from sam2_plugins.labelstudio_backend.server import create_app
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.test_engine import wait_for
from tests.labelstudio_backend.test_server import request
from tests.labelstudio_backend.web import Backend, serving
from tests.support.web import listening


@pytest.fixture
def client(settings):
    with TestClient(create_app(Engine(settings)), raise_server_exceptions=False) as made:
        yield made


# -- who may set a project up


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ],
)
@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook", "/jobs/x/cancel"])
def test_pages_of_other_sites_are_refused(client, path, headers):
    body = json.dumps({"project": "1.1", "hostname": "http://10.0.0.1", "access_token": "x"})
    sent = {"content-type": "application/json", **headers}
    assert client.post(path, content=body, headers=sent).status_code == 403


@pytest.mark.parametrize(
    ("hostname", "peer", "believed"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", True),
        ("http://localhost:8080", "127.0.0.1", True),
        ("http://127.0.0.1:8080", "10.1.2.3", False),
        ("http://10.1.2.3:8080", "10.1.2.3", True),
        ("http://10.1.2.4:8080", "10.1.2.3", False),
        ("http://169.254.169.254", "203.0.113.9", False),
        ("http://8.8.8.8", "10.1.2.3", True),
    ],
)
def test_a_set_up_cannot_point_to_an_internal_host_but_its_own(settings, hostname, peer, believed):
    told = ProjectSetups(settings)
    told.set_up("1.1", hostname, "token", None, peer)
    server = told.server("1.1")
    assert (server and (server.url, server.api_key)) == ((hostname, "token") if believed else None)


def test_a_host_that_was_allowed_may_be_internal(settings):
    told = ProjectSetups(dataclasses.replace(settings, allow_hosts=("10.1.2.4",)))
    told.set_up("1.1", "http://10.1.2.4:8080", "token", None, "10.1.2.3")
    server = told.server("1.1")
    assert server is not None and server.url == "http://10.1.2.4:8080"


# -- strange values


@pytest.mark.parametrize("value", [10**400, 1e999, float("nan"), -(10**400)])
@pytest.mark.parametrize("key", ["x", "width", "frame", "rotation"])
def test_a_number_beyond_numbers_is_told_in_the_region(client, files, discs, key, value):
    box = tasks.video_box(discs[1], 1)
    box["value"]["sequence"][0][key] = value
    body = json.dumps(request(tasks.video_task(files), tasks.VIDEO, {"result": [box]}))
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    (region,) = answer.json()["results"][0]["result"]
    assert "SAM 2: A" in region["meta"]["text"][0]


def test_halves_of_characters_and_infinities_come_through(client, files, discs):
    box = {**tasks.video_box(discs[1], 1, name="\ud800"), "far": float("inf"), "id": "\udfff"}
    body = json.dumps(request(tasks.video_task(files), tasks.VIDEO, {"result": [box]}))
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    (region,) = answer.json()["results"][0]["result"]
    assert region["far"] is None and len(region["value"]["sequence"]) > 1


def test_a_picture_is_known_by_all_of_its_bytes(settings, files, tmp_path):
    """Two of the same size, whose beginning and end are the same."""
    here = tmp_path / "pictures"
    here.mkdir()
    y, x = np.mgrid[:600, :600]
    for name, cx in (("one", 200), ("other", 400)):
        disc = np.where((x - cx) ** 2 + (y - 300) ** 2 < 60**2, 210, 40).astype(np.uint8)
        Image.fromarray(disc).save(here / f"{name}.bmp")
    assert (here / "one.bmp").read_bytes()[-65536:] == (here / "other.bmp").read_bytes()[-65536:]
    engine = Engine(dataclasses.replace(settings, roots=(str(here),)))
    places = []
    for name, cx in (("one", 200), ("other", 400)):
        click = tasks.click(0, 0)
        click["value"] |= {"x": cx / 6, "y": 50.0}
        task = {"id": 1, "data": {"image": str(here / f"{name}.bmp")}}
        config = tasks.IMAGE.replace("BrushLabels", "EllipseLabels")
        (answer,) = engine.predict([task], config, {"result": [click]})
        places.append(answer["result"][0]["value"]["x"] * 6)
    assert places == pytest.approx([200, 400], abs=12)


@pytest.mark.parametrize(
    "value",
    [
        {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "rotation": 0},
        {"x": 1.0, "y": 2.0, "radiusX": 3.0, "radiusY": 4.0, "rotation": 0},
        {"points": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "closed": True},
        {"rle": [1, 2, 3]},
        {"imageDataURL": "data:,x"},
    ],
)
def test_an_edit_of_any_field_makes_a_region_a_persons(value):
    made = {"value": value, "meta": {"sam2": {"made": images.digest(value)}}}
    assert images.is_ours(made)
    assert images.is_ours({**made, "value": {**value, "rectanglelabels": ["Other"]}})
    for key, part in value.items():
        other = part + 1 if isinstance(part, int | float) else [9, *part]
        if isinstance(part, str):
            other = part + "y"
        assert not images.is_ours({**made, "value": {**value, key: other}}), key


# -- a crowd


@contextmanager
def stuck_server() -> Iterator[tuple[str, threading.Event]]:
    """Take requests and send a byte now and then, until the event is set; give the address."""
    end = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            while not end.wait(0.1):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return

    with listening(Handler) as url:
        try:
            yield url, end
        finally:
            end.set()


def test_forty_stuck_files_stop_nobody_else(settings, files, discs):
    with stuck_server() as (stuck, _):
        open_to = dataclasses.replace(settings, allow_hosts=("127.0.0.1",), answer_within=20)
        with TestClient(create_app(Engine(open_to))) as client:
            box = {"result": [tasks.video_box(discs[1], 1)]}
            click = request(tasks.image_task(files), tasks.IMAGE, {"result": [tasks.click(40, 40)]})
            client.post("/predict", json=click)  # the model is loaded before the time counts
            statuses = []

            def ask(number: int) -> None:
                task = {"id": number, "data": {"video": f"{stuck}/{number}.mp4"}}
                answer = client.post("/predict", json=request(task, tasks.VIDEO, box))
                statuses.append((answer.status_code, answer.text))

            threads = [threading.Thread(target=ask, args=(n,)) for n in range(40)]
            for thread in threads:
                thread.start()
            wait_for(lambda: client.get("/health").json()["requests_open"] == 40)
            assert client.post("/setup", json={"project": "1.1"}).status_code == 200
            assert client.post("/webhook", json={"action": "x"}).status_code == 201
            answer = client.post("/predict", json=click)
            assert "rle" in answer.json()["results"][0]["result"][0]["value"]
            assert not statuses
            for thread in threads:
                thread.join()
    assert {status for status, _ in statuses} == {200}
    assert all("still being fetched" in text for _, text in statuses)


def test_too_many_requests_are_told_when_to_come_back(settings, discs):
    with stuck_server() as (stuck, end):
        few = dataclasses.replace(settings, allow_hosts=("127.0.0.1",), requests=2)
        with TestClient(create_app(Engine(few)), raise_server_exceptions=False) as client:
            task = {"id": 1, "data": {"video": f"{stuck}/1.mp4"}}
            body = request(task, tasks.VIDEO, {"result": [tasks.video_box(discs[1], 1)]})
            threads = [
                threading.Thread(target=client.post, args=("/predict",), kwargs={"json": body})
                for _ in range(2)
            ]
            for thread in threads:
                thread.start()
            wait_for(lambda: client.get("/health").json()["requests_open"] == 2)
            refused = client.post("/predict", json=body)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
            end.set()
            for thread in threads:
                thread.join()


def test_slow_and_large_requests_have_only_so_much_room_together(settings, monkeypatch):
    monkeypatch.setattr(server, "ALL_BODIES", 100_000)
    sent = b"POST /setup HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + b" " * 40_000
    with Backend(settings) as backend:
        slow = [socket.create_connection(("127.0.0.1", backend.port)) for _ in range(2)]
        for connection in slow:
            connection.sendall(sent)
        wait_for(lambda: post(backend, 30_000).status_code == 503)
        refused = post(backend, 30_000)
        assert refused.headers["retry-after"] == "10"
        assert post(backend, 10_000).status_code == 200
        for connection in slow:
            connection.close()
        wait_for(lambda: post(backend, 90_000).status_code == 200)


def post(backend: Backend, size: int) -> httpx.Response:
    padded = b'{"project": "1.1"}' + b" " * size
    headers = {"content-type": "application/json"}
    return httpx.post(f"{backend.url}/setup", content=padded, headers=headers, trust_env=False)


def test_a_file_has_so_long_in_all_however_it_comes(settings):
    with stuck_server() as (stuck, _):
        hasty = dataclasses.replace(settings, fetch_within=0.5)
        server = LabelStudio(stuck)
        began = time.monotonic()
        with pytest.raises(MediaError, match="takes longer than"):
            MediaStore(hasty).get(f"{stuck}/x.mp4", 1, server)
        assert time.monotonic() - began < 20
        with pytest.raises(StillFetchingError, match=r"x\.mp4 is still being fetched"):
            MediaStore(settings).get(f"{stuck}/x.mp4", 1, server, time.monotonic() + 0.2)


def test_a_file_is_fetched_once_for_all_who_want_it(settings):
    def slow(*_: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.3)
        return 200, {}, b"a video"

    with serving(slow) as web:
        media, server = MediaStore(settings), LabelStudio(web.url)
        threads = [
            threading.Thread(target=media.get, args=(f"{web.url}/a.mp4", 1, server))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(web.asked) == 1


# -- Label Studio's other names


def test_files_of_label_studio_under_another_name_are_fetched_from_where_it_is(settings, tmp_path):
    with serving(lambda *_: (200, {}, b"a video")) as web:
        there = dataclasses.replace(settings, url=web.url, api_key="secret")
        engine = Engine(there)
        engine.projects.set_up("1.1", "http://labels.example:8080/ls", "t", None, "172.18.0.2")
        server = engine.projects.server("1.1")
        url = "http://labels.example:8080/data/local-files/?d=a/b.mp4"
        assert engine.work.media.get(url, 1, server).read_bytes() == b"a video"
        with pytest.raises(MediaError):
            engine.work.media.get("http://labels.example:8081/data/x.mp4", 1, server)
        for address in ("", web.url):  # after a restart; of a request that is taken up then
            again = Engine(there).projects.server("1.1", address)
            assert again is not None
            assert again.own_address(url).startswith(web.url)
    assert [(path, headers["authorization"]) for _, path, headers, _ in web.asked] == [
        ("/data/local-files/?d=a/b.mp4", "Token secret")
    ]


def test_a_proxy_is_used_if_one_is_named_and_not_for_internal_hosts(settings):
    with serving(lambda *_: (200, {}, b"a video")) as proxy:
        behind = MediaStore(dataclasses.replace(settings, proxy=proxy.url))
        assert behind.get("http://videos.invalid/a.mp4").read_bytes() == b"a video"
        for inside in ("http://127.0.0.1:1/x", "http://10.0.0.1/x", "http://localhost/x"):
            with pytest.raises(MediaError, match="internal network"):
                behind.get(inside)
    assert [path for _, path, _, _ in proxy.asked] == ["http://videos.invalid/a.mp4"]


# -- settings of a project


def test_a_projects_extra_params_choose_its_model_and_are_kept(settings, files, discs):
    params = json.dumps({"memory": "samurai", "max_frames": 2})
    with TestClient(create_app(Engine(settings))) as client:
        told = {"project": "1.1", "hostname": "", "extra_params": params}
        version = "SAM 2 nano, memory samurai, max frames 2"
        assert client.post("/setup", json=told).json() == {"model_version": version}
        assert client.get("/health").json()["projects"]["with_own_settings"] == {"1.1": version}
    own = Engine(settings).projects.settings("1.1")  # after a restart
    assert (own.memory, own.max_frames, own.url) == ("samurai", 2, "")
    other = dataclasses.replace(settings, model="nano").of_project({"model": "sam2.1-tiny"})
    assert other.model_version == "SAM 2 sam2.1-tiny"


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"model": "/etc/passwd"}, "model is one of"),
        ({"memory": "elephant"}, "elephant"),
        ({"max_frames": "many"}, "max_frames"),
        ({"max_frame": 5}, "max_frames"),
        ({"url": "http://evil.example"}, "max_frames"),
        ("{'max_frames': 5}", "are JSON, such as"),
        ("max_frames=5", "are JSON, such as"),
        ("[5]", "are JSON, such as"),
    ],
)
def test_a_wrong_extra_param_is_told_on_connecting(client, caplog, params, told):
    answer = client.post("/setup", json={"project": "1.1", "extra_params": params})
    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert told in caplog.text


def test_a_project_that_had_an_unknown_extra_param_before_keeps_the_others(settings, caplog):
    setup = {"hostname": "", "params": json.dumps({"memory": "samurai", "colour": 1})}
    settings.folder.mkdir(parents=True, exist_ok=True)
    (settings.folder / "projects.json").write_text(json.dumps({"1.1": setup}))
    engine = Engine(settings)
    assert engine.projects.settings("1.1").memory == "samurai"
    assert "colour" in caplog.text
    with TestClient(create_app(engine)) as client:
        told = {"project": "1.1", "hostname": "", "extra_params": setup["params"]}
        version = {"model_version": "SAM 2 nano, memory samurai"}
        assert client.post("/setup", json=told).json() == version


@pytest.mark.parametrize("params", [None, "", " ", "null", "{}", {}])
def test_a_project_may_be_without_extra_params(client, params):
    answer = client.post("/setup", json={"project": "1.1", "extra_params": params})
    assert answer.json() == {"model_version": "SAM 2 nano"}


# -- files that name other files


def test_a_playlist_opens_no_file_outside_of_the_roots(settings, files, discs, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.mp4").write_bytes((files / "discs.mp4").read_bytes())
    here = tmp_path / "here"
    here.mkdir()
    secret = outside / "secret.mp4"
    head, end = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,", "#EXT-X-ENDLIST\n"
    lists = {
        "list.m3u8": f"{head}\nfile:{secret}\n{end}",
        "list.mp4": f"{head}\n{secret}\n{end}",
        "list.txt": f"ffconcat version 1.0\nfile '{secret}'\n",
    }
    engine = Engine(dataclasses.replace(settings, roots=(str(here),)))
    for name, text in lists.items():
        (here / name).write_text(text)
        task = {"id": 1, "data": {"video": str(here / name)}}
        (answer,) = engine.predict([task], tasks.VIDEO, {"result": [tasks.video_box(discs[1], 1)]})
        (region,) = answer["result"]
        assert len(region["value"]["sequence"]) == 1, name
        assert "SAM 2:" in region["meta"]["text"][0]
