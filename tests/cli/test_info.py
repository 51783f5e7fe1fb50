from __future__ import annotations

import numpy as np
import pytest
import tifffile

from sam2_plugins.cli.console import frames_progress


def test_the_facts_of_a_movie_are_told_as_json(run, movie):
    told = run("info", movie, "--json").json
    assert (told["kind"], told["axes"], told["dtype"]) == ("tiff", "TYX", "uint8")
    assert (told["length"], told["height"], told["width"]) == (6, 96, 128)


def test_the_facts_of_a_movie_are_told_to_people(run, movie):
    result = run("info", movie)
    assert result.code == 0
    assert "discs.tif" in result.out


@pytest.mark.parametrize("name", ["[red]cells.npy", ":smile:.npy"])
def test_a_name_is_shown_as_it_is(run, tmp_path, name):
    np.save(tmp_path / name, np.zeros((40, 50), np.uint8))
    assert name in run("info", tmp_path / name).out


def test_a_bar_has_any_name():
    with frames_progress() as bars:
        bars.add_task("a[/b]")
        assert [task.description for task in bars.tasks] == ["a[/b]"]


def test_the_options_of_reading_are_obeyed(run, tmp_path):
    np.save(tmp_path / "movie.npy", np.zeros((3, 4, 40, 50), np.uint16))
    told = run(
        *("info", tmp_path / "movie.npy", "--axes", "CTYX", "--channels", 1),
        *("--limits", "10,4000", "--fps", 2, "--json"),
    ).json
    assert (told["length"], told["fps"], told["duration"]) == (4, 2, 2)
    assert told["limits"] == [[10, 4000]]


def test_a_file_that_is_no_movie_exits_with_1_and_a_message(run, tmp_path):
    (tmp_path / "notes.mp4").write_text("no movie")
    result = run("info", tmp_path / "notes.mp4")
    assert result.code == 1
    assert "notes.mp4" in result.err
    assert "Traceback" not in result.err


def test_a_pattern_channels_in_names_and_the_size_of_pixels(run, tmp_path):
    for t in range(3):
        for name in ("BF", "GFP"):
            facts = {"axes": "YX", "PhysicalSizeX": 0.65, "PhysicalSizeY": 0.65}
            plane = np.full((20, 30), 10 * t, np.uint8)
            tifffile.imwrite(tmp_path / f"{name}_{t}.ome.tif", plane, metadata=facts)
    assert run("info", tmp_path / "*GFP*", "--json").json["length"] == 3
    told = run("info", tmp_path, "--channels-by", "BF|GFP", "--json").json
    assert (told["length"], told["axes"]) == (3, "TCYX")
    one = run("info", tmp_path / "BF_0.ome.tif")
    assert one.code == 0
    assert "0.65 x 0.65 µm" in one.out
