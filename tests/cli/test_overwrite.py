"""What a person has where results are to be written stays, whatever the command."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a file of somebody's under every name that commands write."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("scores.csv", "model.pt", "log.csv", "plugin.zip", "notes.txt"):
        (folder / name).write_text("mine")
    return folder


def test_no_command_replaces_what_is_there(run, nano, movie, discs, mine, exported, tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", discs[0], metadata={"axes": "TYX"})
        tifffile.imwrite(tmp_path / f"{name}_labels.tif", discs[1], metadata={"axes": "TYX"})
    for command in (
        ("evaluate", movie, "--model", nano, "--out", mine),
        ("finetune", "--data", tmp_path, "--out", mine / "model.pt", "--model", nano),
        ("train", "nano", "--smoke", "--out", mine),
        ("labelstudio", "export", exported, "--out", mine),
        ("fiftyone", "archive", mine / "plugin.zip"),
    ):
        result = run(*command)
        assert result.code == 1, command
        assert str(mine) in result.err, command
        assert {path.read_text() for path in mine.iterdir()} == {"mine"}, command


def test_an_export_is_made_again_when_that_is_wished(run, exported, tmp_path):
    command = ("labelstudio", "export", exported, "--out", tmp_path / "out", "--format", "ctc")
    assert run(*command).code == 0
    table = tmp_path / "out" / "task-7-cells" / "ctc" / "res_track.txt"
    table.write_text("changed")
    assert "--overwrite" in run(*command).err
    assert table.read_text() == "changed"
    assert run(*command, "--overwrite").code == 0
    assert table.read_text() == "1 0 0 0\n"
