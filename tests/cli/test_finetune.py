from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sam2_plugins.core import load_model
from sam2_plugins.core.checkpoints import read_card

QUICK = ("--image-size", "64", "--clips", "1", "--frames", "2", "--check-every", "1")
NO_SIZE = ("--image-size", "33")
"""Ends a run as soon as the model is opened, which is after all masks were read."""


@pytest.fixture
def project(discs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> Path:
    """Two movies with their labels beside."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("a", "b"):
        tifffile.imwrite(folder / f"{name}.tif", discs[0], metadata={"axes": "TYX"})
        tifffile.imwrite(folder / f"{name}_labels.tif", discs[1], metadata={"axes": "TYX"})
    return folder


@pytest.mark.slow
def test_a_model_that_is_not_better_is_not_written(run, nano, project, tmp_path):
    out = tmp_path / "mine.pt"
    quick = (*QUICK, "--steps", "1", "--rate", "0")
    result = run("finetune", "--data", project, "--out", out, "--model", nano, *quick)
    assert result.code == 1
    assert "did not become better" in result.err
    assert not out.exists()
    for line in ("Learns from: a", "Judged by: b (6 frames)", "Memory: at most"):
        assert line in result.err


@pytest.mark.slow
def test_a_better_model_is_written_with_its_card_and_tracks(run, nano, tmp_path):
    from tests.training.finetuning.conftest import two_toned

    for i in range(3):
        movie, labels = two_toned(seed=i)
        tifffile.imwrite(tmp_path / f"m{i}.tif", movie, metadata={"axes": "TYX"})
        tifffile.imwrite(tmp_path / f"m{i}_labels.tif", labels, metadata={"axes": "TYX"})
    out = tmp_path / "mine.pt"
    given = ("--data", tmp_path, "--out", out, "--model", nano, "--image-size", 96)
    steps = ("--steps", 20, "--check-every", 10, "--frames", 3, "--objects", 2, "--rate", 2e-4)
    result = run("finetune", *given, *steps, "--json")
    assert result.code == 0
    assert result.json["path"] == str(out)
    assert result.json["after"]["click"] > result.json["before"]["click"]
    assert read_card(out)["base"] == "nano"
    assert load_model(out).image_size == 96
    tracked = run(
        *("track", tmp_path / "m0.tif", "--model", out, "--click", "20,30"),
        *("--out", tmp_path / "tracked"),
    )
    assert tracked.code == 0


def test_labels_take_the_movie_that_is_given(run, nano, project, tmp_path):
    labels = (project / "a_labels.tif").rename(tmp_path / "alone.tif")
    given = ("--data", labels, "--movie", project / "a.tif", "--out", tmp_path / "mine.pt")
    result = run("finetune", *given, "--model", nano, *NO_SIZE)
    assert result.code == 1 and "Learns from: a (3 frames)" in result.err


def test_every_project_needs_its_movie_if_one_does(run, project, tmp_path):
    given = ("--data", project, "--data", project, "--movie", project / "a.tif")
    result = run("finetune", *given, "--out", tmp_path / "mine.pt")
    assert result.code == 1 and "2 --data and 1 --movie" in result.err


def test_an_export_of_label_studio_needs_its_movie(run, tmp_path):
    path = tmp_path / "export.json"
    path.write_text(json.dumps([]))
    result = run("finetune", "--data", path, "--out", tmp_path / "mine.pt")
    assert result.code == 1 and "--movie" in result.err


def test_masks_of_a_label_studio_export_are_learned_from(run, nano, movie, export, tmp_path):
    given = ("--data", export, "--movie", movie, "--out", tmp_path / "mine.pt")
    result = run("finetune", *given, "--model", nano, *NO_SIZE)
    assert result.code == 1 and "Learns from: task-7 (3 frames)" in result.err


def test_a_project_without_annotations_says_what_is_known(run, tmp_path):
    result = run("finetune", "--data", tmp_path, "--out", tmp_path / "mine.pt")
    assert result.code == 1 and "Cell Tracking Challenge" in result.err
