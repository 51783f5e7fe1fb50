from __future__ import annotations

import sys

import pytest


def test_a_movie_that_is_not_there_is_named(run, tmp_path):
    result = run("napari", tmp_path / "gone.tif")
    assert result.code == 1
    assert "gone.tif" in result.err


def test_without_napari_it_says_what_to_install(run, movie, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "napari", None)
    result = run("napari", movie)
    assert result.code == 1
    assert "sam2-plugins[napari]" in result.err
