from __future__ import annotations

import base64
import json
import time
from urllib.parse import parse_qs

import pytest

from sam2_plugins.labelstudio_backend.client import PAGE, LabelStudio
from sam2_plugins.labelstudio_backend.errors import ServerError
from tests.labelstudio_backend.web import serving


def token(expires: float, kind: str) -> str:
    """Make a JSON web token, unsigned."""
    parts = [{"alg": "none"}, {"exp": expires, "kind": kind}]
    texts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*texts, "signature"])


def test_a_legacy_token_goes_as_it_is():
    with serving(lambda *_: (200, {}, b"[]")) as web:
        assert LabelStudio(web.url + "/", "abc").request("GET", "/api/projects/") == []
    assert web.asked[0][2]["authorization"] == "Token abc"


def test_a_personal_access_token_is_exchanged_and_renewed_before_it_ends():
    ends = [time.time() + 5, time.time() + 3600]

    def answer(path, headers, body):
        if path == "/api/token/refresh":
            assert json.loads(body) == {"refresh": personal}
            return 200, {}, json.dumps({"access": token(ends.pop(0), "access")}).encode()
        return 200, {}, b"{}"

    personal = token(time.time() + 1e6, "refresh")
    with serving(answer) as web:
        server = LabelStudio(web.url, personal)
        for _ in range(3):
            server.request("GET", "/api/x")
    assert [asked[1] for asked in web.asked].count("/api/token/refresh") == 2
    assert web.asked[-1][2]["authorization"].startswith("Bearer ey")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((401, {}, b""), "refuses the token"),
        ((403, {}, b"no"), "answers 403 no"),
        ((200, {}, b"<html>"), "is no Label Studio"),
    ],
)
def test_a_refusal_is_told_with_the_mend(answer, told):
    with serving(lambda *_: answer) as web, pytest.raises(ServerError, match=told):
        LabelStudio(web.url, "abc").request("GET", "/api/x")


@pytest.mark.parametrize(("status", "listed"), [(200, [{"id": 7}]), (200, []), (404, [])])
def test_a_deleted_task_is_known_to_be_gone(status, listed):
    with serving(lambda *_: (status, {}, json.dumps({"tasks": listed}).encode())) as web:
        assert LabelStudio(web.url, "abc").task("3", 7) == (listed[0] if listed else None)


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(ServerError, match="does not answer"):
        LabelStudio("http://127.0.0.1:9", "abc").request("GET", "/api/x")


def test_a_prediction_is_stored_before_the_earlier_ones_are_deleted():
    with serving(lambda *_: (200, {}, b"{}")) as web:
        LabelStudio(web.url, "abc").replace_predictions([{"id": 1}], 5, {"result": [{"id": "a"}]})
    assert [(method, path) for method, path, _, _ in web.asked] == [
        ("POST", "/api/predictions/"),
        ("DELETE", "/api/predictions/1/"),
    ]
    assert json.loads(web.asked[0][3]) == {"task": 5, "result": [{"id": "a"}]}


@pytest.mark.parametrize("url", ["http://ls:8080", "http://ls:8080/own"])
@pytest.mark.parametrize(
    "written",
    ["https://people.example/ls/data/a.mp4?x=1", "/ls/data/a.mp4?x=1", "/data/a.mp4?x=1"],
)
def test_a_prefix_of_the_name_that_people_use_is_none_of_the_servers(url, written):
    server = LabelStudio(url, also="https://people.example/ls/")
    assert server.own_address(written) == f"{url}/data/a.mp4?x=1"


def test_tasks_are_read_to_the_end_though_the_last_page_is_full():
    """Label Studio answers that there is no page beyond the last."""

    def answer(path, headers, body):
        page = int(parse_qs(path)["page"][0])
        ids = range((page - 1) * PAGE, page * PAGE)
        tasks = [{"id": number, "updated_at": "2026-11-28T07:00:00Z"} for number in ids]
        return (200, {}, json.dumps({"tasks": tasks}).encode()) if page < 3 else (404, {}, b"{}")

    with serving(answer) as web:
        found = [task["id"] for task in LabelStudio(web.url, "t").predicted_tasks("1", False)]
    assert found == [*range(2 * PAGE)]
