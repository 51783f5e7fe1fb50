from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
import tifffile

from tests.cli.conftest import moving_discs

BOX = json.dumps([{"frame": 0, "obj": 1, "box": [28, 28, 52, 52]}])


def manifest(folder: Path, *movies: tuple[str, int]) -> Path:
    """Write movies of some frames (0: none), and the list of them."""
    path = folder / "movies.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["source", "prompts"])
        for name, frames in movies:
            if frames:
                movie = moving_discs(frames)[0]
                tifffile.imwrite(folder / f"{name}.tif", movie, metadata={"axes": "TYX"})
            rows.writerow([f"{name}.tif", BOX])
    return path


def test_every_video_gets_a_folder_and_a_line(run, nano, tmp_path):
    path = manifest(tmp_path, ("a", 4), ("b", 4))
    result = run("batch", path, "--out", tmp_path / "out", "--format", "tiff")
    assert result.code == 0
    assert "2 of 2 videos are done" in result.err
    assert tifffile.imread(tmp_path / "out/b/labels.tif").shape == (4, 96, 128)
    again = run("batch", path, "--out", tmp_path / "out", "--format", "tiff", "--json").json
    assert [(one["name"], one["computed"]) for one in again["reports"]] == [("a", 0), ("b", 0)]


def test_a_failure_is_told_and_is_the_exit_code(run, nano, tmp_path):
    path = manifest(tmp_path, ("gone", 0), ("a", 4))
    result = run("batch", path, "--out", tmp_path / "out")
    assert result.code == 1
    assert "gone failed: There is no file" in result.err
    assert "1 of 2 videos are done, 1 failed" in result.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--resource", "GPU"), "GPU"),
        (("--format", "gif"), "'gif'"),
        (("--tile", "small"), "small"),
    ],
)
def test_wrong_usage_is_named_before_anything_starts(run, tmp_path, arguments, named):
    result = run("batch", manifest(tmp_path, ("a", 4)), "--out", tmp_path / "out", *arguments)
    assert result.code in (1, 2)
    assert named in result.err
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_is_not_there_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("sam2_plugins.batch.connect"), "ANSWER_WITHIN", 0.2)
    result = run("batch", manifest(tmp_path, ("a", 4)), "--dask", "tcp://127.0.0.1:9")
    assert result.code == 1
    assert "127.0.0.1:9" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(run, nano, tmp_path, workers):
    if workers > 1:
        pytest.importorskip("distributed")
    path = manifest(tmp_path, ("long", 200))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sam2_plugins", "batch", str(path), "--out", str(out)]
    command += ["--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    journal = out / ".long.part/masks.jsonl"
    deadline = time.monotonic() + 120
    while not (journal.is_file() and journal.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # a terminal tells all that it started
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert "goes on from here" in told
    (report,) = run("batch", path, "--out", out, "--json").json["reports"]
    assert report["frames"] == 200
    assert 0 < report["computed"] < 200
