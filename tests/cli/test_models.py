from __future__ import annotations

import random
from pathlib import Path

import pytest

from sam2_plugins.core.variants import VARIANTS
from tests.core.weight_server import WeightServer, serving

BODY = b"PK\x03\x04" + random.Random(0).randbytes(100_000)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(tmp_path))
    return tmp_path


def test_every_model_is_listed_with_its_licence_and_place(run, cache):
    weights = cache / "sam2.1_hiera_tiny.pt"
    weights.write_bytes(BODY)
    listed = {model["name"]: model for model in run("models", "--json").json}
    assert list(listed) == list(VARIANTS)
    assert listed["sam2.1-tiny"]["path"] == str(weights)
    assert listed["sam2.1-small"]["path"] is None
    assert {model["licence"] for model in listed.values()} == {"Apache-2.0"}


def test_people_get_a_table_and_the_next_step(run, cache):
    result = run("models")
    assert "sam2.1-large" in result.out
    assert f"fetches weights into {cache}" in result.err


def test_a_download_tells_where_it_is(run, cache, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(WeightServer(BODY)) as server:
        monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", server.url)
        told = run("download", "sam2.1-tiny", "--json").json
    assert Path(told["path"]).read_bytes() == BODY
    assert told["licence"] == "Apache-2.0"


def test_a_failed_download_exits_with_1_and_how_to_do_it_by_hand(run, cache, monkeypatch):
    monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", "ftp://example.org")
    result = run("download", "sam2.1-tiny")
    assert result.code == 1
    assert "SAM2_PLUGINS_WEIGHTS_URL" in result.err


def test_an_unknown_model_exits_with_1_and_the_names(run, cache):
    result = run("download", "sam2.1-huge")
    assert result.code == 1
    assert "sam2.1-tiny" in result.err
