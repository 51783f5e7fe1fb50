from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from sam2_plugins.core.checkpoints import cache_dir, download, find_weights, list_models
from sam2_plugins.core.checkpoints.cache import check_sha256
from sam2_plugins.core.checkpoints.download import download_variant, weights_url
from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.variants import VARIANTS, get_variant
from tests.core.permissions import read_only_folder
from tests.core.weight_server import Fault, WeightServer, serving

NAME, FILE = "sam2.1-tiny", "sam2.1_hiera_tiny.pt"
BODY = b"PK\x03\x04" + random.Random(0).randbytes(2_000_000)
ROOT = Path(__file__).parents[2]
FETCH = """
import resource, sys
from sam2_plugins.core.checkpoints import download
if len(sys.argv) > 1:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
print("ready", flush=True)
path = download("sam2.1-tiny", lambda done, total: print(done, flush=True), waits=(0.0,))
print(path, flush=True)
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving(WeightServer(BODY)) as server:
        monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", server.url)
        yield server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def read_only_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with read_only_folder({"sam2.1_hiera_small.pt": BODY}) as folder:
        monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(folder))
        yield folder


def start_fetching(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def fails(name: str = NAME) -> str:
    with pytest.raises(ModelError) as caught:
        download(name, waits=(0.0,))
    return str(caught.value)


def test_a_download_lands_in_the_cache_with_its_digest(server: WeightServer, cache: Path) -> None:
    path = download(NAME)
    assert path == cache / FILE
    assert path.read_bytes() == BODY
    assert (cache / f"{FILE}.sha256").read_text() == f"{sha256(BODY).hexdigest()}  {FILE}\n"
    assert server.requests == [(f"/{FILE}", None)]


def test_nothing_partial_is_left_after_a_download(server: WeightServer, cache: Path) -> None:
    download(NAME)
    assert not [path for path in cache.iterdir() if ".part" in path.name]


def test_what_is_in_the_cache_is_not_fetched_again(server: WeightServer, cache: Path) -> None:
    first = download(NAME)
    assert download(NAME) == first
    assert find_weights(NAME) == first
    assert len(server.requests) == 1


def test_a_damaged_file_is_noticed_and_fetched_anew(server: WeightServer, cache: Path) -> None:
    path = download(NAME)
    path.write_bytes(BODY[:-1] + b"?")
    with pytest.raises(ModelError, match=r"damaged.*sam2-plugins download sam2\.1-tiny"):
        check_sha256(get_variant(NAME), path)
    download(NAME)
    assert path.read_bytes() == BODY


def test_a_file_with_another_digest_than_published_is_refused(
    server: WeightServer, cache: Path
) -> None:
    variant = get_variant(NAME)
    assert variant.published is not None
    strict = replace(variant, published=replace(variant.published, sha256="0" * 64))
    with pytest.raises(ModelError, match=sha256(BODY).hexdigest()):
        download_variant(strict, None, ())
    assert find_weights(NAME) is None
    assert not (cache / f"{FILE}.part").exists()


def test_a_file_with_the_published_digest_is_taken(server: WeightServer, cache: Path) -> None:
    variant = get_variant(NAME)
    assert variant.published is not None
    digest = sha256(BODY).hexdigest()
    strict = replace(variant, published=replace(variant.published, sha256=digest))
    assert download_variant(strict, None, ()).read_bytes() == BODY


def test_a_login_page_in_place_of_weights_is_refused(server: WeightServer, cache: Path) -> None:
    server.body = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"
    assert "web page" in fails()
    assert find_weights(NAME) is None
    server.body = BODY
    assert download(NAME).read_bytes() == BODY


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_names_the_answer_and_how_to_do_it_by_hand(
    server: WeightServer, cache: Path, status: int
) -> None:
    server.always = Fault(status=status)
    message = fails()
    assert NAME in message
    assert str(status) in message
    assert f"fetch {server.url}/{FILE} with a browser" in message
    assert f"save it as {cache / FILE}" in message
    assert "SAM2_PLUGINS_WEIGHTS_URL" in message


def test_a_truncated_body_that_stays_so_is_no_checkpoint(server: WeightServer, cache: Path) -> None:
    server.always = Fault(cut=700_000, ignores_range=True)
    assert "700,000 of 2,000,004 bytes" in fails()
    assert find_weights(NAME) is None


def test_no_network_says_so_and_how_to_do_it_by_hand(
    cache: Path, server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", f"http://127.0.0.1:{port}")
    message = fails()
    assert "no connection" in message
    assert "with a browser" in message


def test_the_proxy_of_the_environment_is_used(
    server: WeightServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", "http://weights.invalid/folder/")
    monkeypatch.setenv("http_proxy", server.url)
    assert download(NAME).read_bytes() == BODY
    assert server.requests == [(f"http://weights.invalid/folder/{FILE}", None)]


def test_a_proxy_that_refuses_is_named_without_its_password(
    server: WeightServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.always = Fault(status=407)
    monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", "http://weights.invalid")
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:secret@"))
    message = fails()
    assert "407" in message
    assert f"http_proxy={server.url}" in message
    assert "secret" not in message


def test_a_proxy_that_opens_no_tunnel_is_named_at_once(
    server: WeightServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAM2_PLUGINS_WEIGHTS_URL")
    monkeypatch.setenv("https_proxy", server.url)
    message = fails()
    assert "Tunnel connection failed: 403" in message
    assert f"https_proxy={server.url}" in message
    assert len(server.requests) == 1


def test_an_unreachable_proxy_is_named(
    server: WeightServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", "http://weights.invalid")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    assert f"http_proxy=http://127.0.0.1:{port}" in fails()


def test_a_mirror_must_be_http(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", "file:///etc")
    assert "http://" in fails()


def test_without_a_mirror_the_authors_server_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAM2_PLUGINS_WEIGHTS_URL", raising=False)
    variant = get_variant(NAME)
    assert variant.published is not None
    assert weights_url(variant) == variant.published.url


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_full_disk_names_the_folder_and_the_mend(server: WeightServer, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{FILE}.part").symlink_to("/dev/full")
    message = fails()
    assert "No space left on device" in message
    assert str(cache) in message
    assert "SAM2_PLUGINS_CACHE" in message
    assert "with a browser" in message


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_what_came_before_the_disk_was_full_is_used_later(
    server: WeightServer, cache: Path
) -> None:
    process = start_fetching("1000000")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ModelError: Cannot write sam2.1-tiny" in errors
    held = (cache / f"{FILE}.part").stat().st_size
    assert 0 < held <= 1_000_000
    assert download(NAME).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={held}-"]


def test_a_cache_below_a_file_names_the_mend(
    server: WeightServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(tmp_path / "file" / "cache"))
    message = fails()
    assert str(tmp_path / "file" / "cache") in message
    assert "SAM2_PLUGINS_CACHE" in message
    assert server.requests == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_cache_names_the_mend(server: WeightServer, read_only_cache: Path) -> None:
    message = fails()
    assert "Permission denied" in message
    assert str(read_only_cache) in message
    assert "SAM2_PLUGINS_CACHE" in message
    assert server.requests == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_cache_that_holds_the_weights_serves_them(
    server: WeightServer, read_only_cache: Path
) -> None:
    assert download("sam2.1-small") == read_only_cache / "sam2.1_hiera_small.pt"


def test_two_processes_at_once_make_one_download(server: WeightServer, cache: Path) -> None:
    server.always = Fault(cut=1_000_000, hold=True)
    first, second = start_fetching(), start_fetching()
    server.gate.set()
    for process in (first, second):
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert output.splitlines()[-1] == str(cache / FILE)
    assert (cache / FILE).read_bytes() == BODY
    assert len(server.requests) == 1


def test_a_killed_download_blocks_nobody_and_is_resumed(server: WeightServer, cache: Path) -> None:
    server.faults = [Fault(cut=1_000_000, hold=True)]
    process = start_fetching()
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    held = (cache / f"{FILE}.part").stat().st_size
    assert held > 0
    assert download(NAME).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={held}-"]


def test_the_embedded_model_is_never_fetched(server: WeightServer, cache: Path) -> None:
    embedded = find_weights("nano")
    if embedded is None:
        assert "Reinstall" in fails("nano")
    else:
        assert download("nano") == embedded
    assert server.requests == []


def test_an_unknown_name_is_refused(cache: Path) -> None:
    with pytest.raises(ModelError, match=r"sam2\.1-huge"):
        download("sam2.1-huge")


def test_the_cache_moves_with_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", "~/models")
    assert cache_dir() == Path.home() / "models"
    monkeypatch.delenv("SAM2_PLUGINS_CACHE")
    assert cache_dir().name == "sam2_plugins"


def test_every_model_is_listed_with_where_it_is(cache: Path) -> None:
    cache.mkdir()
    (cache / FILE).write_bytes(BODY)
    rows = {row.name: row for row in list_models()}
    assert list(rows) == list(VARIANTS)
    assert rows[NAME].path == cache / FILE
    assert (rows[NAME].megabytes, rows[NAME].licence) == (149, "Apache-2.0")
    assert rows["sam2-large"].path is None
