from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="`make test-labelstudio` installs it")


def test_frames_of_a_movie_become_a_task(run, movie, discs, tmp_path):
    out = tmp_path / "media" / "discs"
    result = run(
        "labelstudio", "frames", movie, "--out", out, "--document-root", tmp_path / "media",
        "--labels", "Cell,Mitosis", "--every", 2,
    )  # fmt: skip
    assert result.code == 0
    (task,) = json.loads((out / "tasks.json").read_text())
    assert task["data"]["frames"] == [
        f"/data/local-files/?d=discs/{frame:06d}.png" for frame in (0, 2, 4)
    ]
    assert 'value="Mitosis"' in (out / "labelling_config.xml").read_text()
    np.testing.assert_array_equal(np.asarray(Image.open(out / "000002.png"))[..., 0], discs[0][2])
    assert "Local Files" in result.err


def test_long_movies_become_several_tasks(run, movie, tmp_path):
    run(
        "labelstudio", "frames", movie, "--out", tmp_path / "x", "--url", "http://h/x", "--pages", 4
    )
    tasks = json.loads((tmp_path / "x" / "tasks.json").read_text())
    assert [(len(t["data"]["frames"]), t["data"]["first_frame"]) for t in tasks] == [(4, 0), (2, 4)]


def test_a_config_without_a_label_and_a_port_beyond_all_are_refused(run, movie, tmp_path):
    frames = ("labelstudio", "frames", movie, "--out", tmp_path / "x", "--url", "http://h")
    assert run(*frames, "--labels", " ,").code == 2
    assert run("labelstudio", "serve", "--port", 70_000).code == 2
    assert not (tmp_path / "x").exists()


def test_a_folder_elsewhere_or_in_use_is_refused(run, movie, tmp_path):
    (tmp_path / "root").mkdir()
    outside = run(
        "labelstudio",
        "frames",
        movie,
        "--out",
        tmp_path / "x",
        "--document-root",
        tmp_path / "root",
    )
    assert outside.code == 1
    assert "is not below" in outside.err
    used = run("labelstudio", "frames", movie, "--out", tmp_path, "--url", "http://h")
    assert used.code == 1
    assert "not empty" in used.err


def test_an_export_becomes_label_images(run, exported, tmp_path):
    out = tmp_path / "out"
    made = run("labelstudio", "export", tmp_path / "export.json", "--out", out, "--json").json
    assert [one["task"] for one in made] == ["task-7-cells"]
    assert (out / "task-7-cells" / "labels.tif").exists()
    elsewhere = ("--out", tmp_path / "elsewhere", "--format", "mp4")
    pictures = run("labelstudio", "export", tmp_path / "export.json", *elsewhere)
    assert pictures.code == 1
    assert "needs the pictures" in pictures.err


def test_a_task_that_cannot_be_exported_is_told_and_leaves_the_others_theirs(run, tmp_path):
    size = {"original_width": 30, "original_height": 20}
    circle = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 20, "rotation": 0}
    results = {
        5: {"type": "videorectangle", "value": {"sequence": [{"frame": 1}]}},  # never tracked
        6: {"type": "brushlabels", "value": {"rle": [1]}, **size},
        7: {"type": "ellipse", "value": circle, **size},
    }
    tasks = [
        {"id": number, "data": {"image": "cells.png"}, "annotations": [{"result": [result]}]}
        for number, result in results.items()
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    result = run("labelstudio", "export", tmp_path / "export.json", "--out", tmp_path / "out")
    assert result.code == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["task-7-cells"]
    told = " ".join(result.err.split())
    assert "Task 5: " in told
    assert "Task 6: " in told
    assert "The rest is written." in told


def test_an_export_without_annotations_says_so(run, tmp_path):
    (tmp_path / "export.json").write_text("[]")
    result = run("labelstudio", "export", tmp_path / "export.json")
    assert result.code == 1
    assert "no annotation" in result.err


def test_a_model_that_there_is_not_is_told_before_anything_is_served(run):
    result = run("labelstudio", "serve", "--model", "sam2.1-huge")
    assert result.code == 1
    assert "sam2.1-tiny" in result.err


def test_a_cache_that_cannot_be_written_is_told_before_anything_is_served(run, tmp_path):
    (tmp_path / "file").write_text("")
    result = run("labelstudio", "serve", "--cache", tmp_path / "file", "--model", "nano")
    assert result.code == 1
    assert "a file is where a folder has to be" in result.err
    assert "another place with --cache" in result.err


def test_what_is_given_goes_into_the_settings_and_the_rest_comes_from_the_environment(
    run, monkeypatch
):
    served = []
    module = import_module("sam2_plugins.cli.labelstudio")
    monkeypatch.setattr(module, "_run", lambda settings, *where: served.append(settings))
    monkeypatch.setenv("SAM2_ALLOW_HOSTS", "nas,minio.local")
    given = ("--model", "nano", "--root", "/a", "--root", "/b", "--no-track-predictions")
    assert run("labelstudio", "serve", *given, "--max-frames", 5).code == 0
    (settings,) = served
    assert (settings.roots, settings.allow_hosts) == (("/a", "/b"), ("nas", "minio.local"))
    assert (settings.track_predictions, settings.max_frames) == (False, 5)
