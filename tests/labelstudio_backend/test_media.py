from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.errors import MediaError
from sam2_plugins.labelstudio_backend.media import MediaStore
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.labelstudio_backend.web import serving

BODY = b"a video" * 1000
OK = (200, {"etag": '"1"'}, BODY)


@pytest.fixture
def limits(tmp_path: Path) -> Settings:
    return Settings(cache=str(tmp_path / "cache"))


def store(settings: Settings, **changes: object) -> MediaStore:
    return MediaStore(dataclasses.replace(settings, **changes))  # type: ignore[arg-type]


def test_an_upload_is_fetched_with_the_token_and_kept_under_its_name(limits):
    with serving(lambda *_: OK) as web:
        server = LabelStudio(web.url, "secret")
        path = store(limits).get("/data/upload/1/abc-disc.mp4", 1, server)
        assert path.read_bytes() == BODY
        assert path.name == "abc-disc.mp4"
        assert store(limits).get("/data/upload/1/abc-disc.mp4", 1, server) == path
    assert [asked[2].get("authorization") for asked in web.asked] == ["Token secret"] * 2


def test_a_file_that_did_not_change_is_not_sent_again(limits):
    def answer(path, headers, body):
        return (304, {}, b"") if headers.get("if-none-match") == '"1"' else OK

    with serving(answer) as web:
        server = LabelStudio(web.url)
        first = store(limits).get(f"{web.url}/a.mp4", 1, server)
        media = store(limits)
        before = media.fingerprint(first)
        assert media.fingerprint(media.get(f"{web.url}/a.mp4", 1, server)) == before
        assert first.read_bytes() == BODY
        media.get(f"{web.url}/a.mp4", 1, server)
    assert len(web.asked) == 2  # and the third time, within a minute, nobody asks


def test_the_token_does_not_follow_a_redirect_to_another_host(limits):
    with serving(lambda *_: OK) as other:
        elsewhere = f"http://localhost:{other.port}/x.mp4"
        with serving(lambda *_: (302, {"location": elsewhere}, b"")) as web:
            media = store(limits, allow_hosts=("localhost",))
            media.get("/data/upload/1/x.mp4", 1, LabelStudio(web.url, "secret"))
    assert web.asked[0][2]["authorization"] == "Token secret"
    assert "authorization" not in other.asked[0][2]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254"])
def test_a_task_cannot_send_this_server_to_an_internal_address(limits, host):
    with pytest.raises(MediaError, match="internal network"):
        store(limits).get(f"http://{host}:9/secrets", 1, LabelStudio("http://ls.example:8080"))


def test_a_redirect_cannot_either(limits):
    with serving(lambda *_: OK) as inside:
        target = f"http://127.0.0.1:{inside.port}/"
        redirect = (302, {"location": target}, b"")
        with serving(lambda *_: redirect) as web, pytest.raises(MediaError, match="internal"):
            store(limits).get(f"{web.url}/x", 1, LabelStudio(web.url))
    assert inside.asked == []


def test_the_address_that_was_checked_is_the_one_that_is_used(limits, monkeypatch):
    """A name that is public when it is looked up first, and internal the second time."""
    answers = iter(["203.0.113.7"])  # reserved for documentation: nobody answers there
    real = socket.getaddrinfo

    def lookup(host, *args, **how):
        return real(next(answers) if host == "rebound.example" else host, *args, **how)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(MediaError, match=r"internal network|cannot be fetched"):
        store(limits).get("http://rebound.example/x", 1, None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, {}, b""), "not there"),
        ((401, {}, b""), "LABEL_STUDIO_API_KEY"),
        ((500, {}, b"oops"), "answers 500"),
        ((200, {"content-type": "text/html; charset=utf-8"}, b"<html>log in"), "web page"),
        ((200, {}, b""), "empty"),
        ((200, {"content-length": "99999999999"}, b"x"), "larger than"),
        ((302, {"location": "/again"}, b""), "redirects more than"),
        ((302, {"location": "file:///etc/passwd"}, b""), "cannot be fetched"),
    ],
)
def test_what_is_no_file_is_told_with_the_mend(limits, answer, told):
    with serving(lambda *_: answer) as web, pytest.raises(MediaError, match=told):
        store(limits).get("/data/upload/1/x.mp4?token=s", 1, LabelStudio(web.url, "t"))
    assert not list(limits.folder.glob("media/*/x.mp4"))


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("/data/local-files/?d=films/b%20c.png", "/data/local-files/?d=films/b c.png is not there"),
        ("s3://bucket/films/b.png", "s3://bucket/films/b.png is not there"),
        ("/data/upload/1/b.png?token=secret", "/data/upload/1/b.png is not there"),
    ],
)
def test_a_file_that_is_not_there_is_named_as_people_know_it(limits, url, named):
    with serving(lambda *_: (404, {}, b"")) as web, pytest.raises(MediaError) as told:
        store(limits).get(url, 7, LabelStudio(web.url, "t"))
    assert named in str(told.value)
    assert "secret" not in str(told.value)


def test_a_file_of_a_cloud_keeps_its_name_for_messages(limits):
    with serving(lambda *_: OK) as web:
        path = store(limits).get("s3://bucket/films/b.mp4", 7, LabelStudio(web.url, "t"))
    assert path.name == "b.mp4"


def test_an_address_whose_signature_has_ended_is_told(limits):
    with serving(lambda *_: (403, {}, b"")) as web, pytest.raises(MediaError, match="new address"):
        store(limits).get(f"{web.url}/b.mp4?X-Amz-Signature=1", 1, LabelStudio(web.url))


def test_cloud_storage_is_resolved_by_label_studio(limits):
    with serving(lambda *_: OK) as web:
        store(limits).get("s3://bucket/films/a.mp4", 7, LabelStudio(web.url, "t"))
    assert web.asked[0][1].startswith("/tasks/7/resolve/?fileuri=czM6Ly9idWNrZXQ")


@pytest.mark.parametrize("written", ["50%20.png", "50 #1?.png", "50%2520.png"])
def test_a_path_is_a_name_as_it_is_or_one_of_an_address(limits, tmp_path, written):
    named = tmp_path.resolve() / ("50%20.png" if "%" in written else written)
    named.write_bytes(BODY)
    assert store(limits, roots=(str(tmp_path),)).get(f"{tmp_path}/{written}") == named


def test_files_below_a_root_are_read_in_place_and_no_others(limits, tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside.mp4"
    (root / "films").mkdir(parents=True)
    (root / "films" / "a.mp4").write_bytes(BODY)
    outside.write_bytes(BODY)
    (root / "link.mp4").symlink_to(outside)
    media = store(limits, roots=(str(root),))
    inside = (root / "films" / "a.mp4").resolve()
    assert media.get("http://ls.example/data/local-files/?d=films/a.mp4") == inside
    assert media.get("/data/local-files/?d=films%2Fa.mp4") == inside
    assert media.get(f" {root}/films/a.mp4 ") == inside
    with pytest.raises(MediaError, match="There is no file"):
        media.get(str(root / "gone.mp4"))
    for url in (
        str(outside),
        str(root / "link.mp4"),
        str(root / ".." / "outside.mp4"),
        "/data/local-files/?d=../outside.mp4",
        "/data/local-files/?d=/etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "etc/passwd",
        "\x00",
    ):
        with pytest.raises(MediaError):
            media.get(url)


def test_a_picture_in_the_task_itself_is_taken(limits):
    path = store(limits).get("data:image/png;base64,AAAA")
    assert path.read_bytes() == b"\x00\x00\x00"
    for damaged in ("data:image/png;base64,A", "data:text/html;base64,AAAA", "data:image/png,x"):
        with pytest.raises(MediaError, match="data URL"):
            store(limits).get(damaged)


def test_the_files_not_asked_for_the_longest_make_room(limits):
    with serving(lambda *_: OK) as web:
        media = store(limits, cache_gigabytes=2.5 * len(BODY) / 1e9)
        paths = [media.get(f"{web.url}/{n}.mp4", 1, LabelStudio(web.url)) for n in range(4)]
    assert [path.exists() for path in paths] == [False, False, True, True]
