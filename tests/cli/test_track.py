from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from sam2_plugins.batch.folder import FILES
from sam2_plugins.core.files import content_digest
from sam2_plugins.core.prompt_files import load_prompts, save_prompts
from sam2_plugins.core.prompts import Prompt
from tests.cli.conftest import FRAMES, moving_discs

QUICK = ("--image-size", "128")
PROMPTS = ("--click", "40,40", "--box", "75,50,95,70", *QUICK)


def test_a_click_and_a_box_become_label_images(run, nano, movie, tmp_path):
    result = run("track", movie, *PROMPTS, "--out", tmp_path, "--format", "tiff")
    assert result.code == 0
    labels = tifffile.imread(tmp_path / "labels.tif")
    assert labels.shape == (FRAMES, 96, 128)
    assert labels[0, 40, 40] == 1
    assert labels[0, 60, 85] == 2


def test_a_pattern_of_names_is_a_movie(run, nano, discs, tmp_path):
    for index, image in enumerate(discs[0][:2]):
        tifffile.imwrite(tmp_path / f"t{index}_GFP.tif", image)
        tifffile.imwrite(tmp_path / f"t{index}_BF.tif", 0 * image)
    click = ("--click", "40,40", *QUICK, "--format", "tiff", "--json")
    result = run("track", tmp_path / "*GFP*.tif", *click, "--out", tmp_path / "out")
    assert result.json["objects"][0]["frames_seen"] == 2


def test_every_format_is_written_and_named_in_the_help(run, nano, movie, tmp_path):
    formats = ",".join(FILES)
    help_ = run("track", "--help").out
    assert all(name in help_ for name in FILES)
    assert run("track", movie, *PROMPTS, "--out", tmp_path, "-f", formats).code == 0
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {*FILES.values(), "masks.jsonl", "status.json"}


def test_json_is_all_that_stdout_has(run, nano, movie, tmp_path):
    result = run("track", movie, *PROMPTS, "--out", tmp_path, "--format", "tiff", "--json")
    told = result.json
    assert told["frames"] == list(range(FRAMES))
    assert told["interrupted"] is False
    assert told["files"] == [str(tmp_path / "labels.tif")]
    first, second = told["objects"]
    assert (first["object"], first["prompt"], first["frames_tracked"]) == (1, "click @ 0", FRAMES)
    assert (second["object"], second["prompt"]) == (2, "box @ 0")


def test_whoever_uses_nano_is_told_what_it_is(run, nano, movie, tmp_path):
    result = run("track", movie, *PROMPTS, "--out", tmp_path, "--format", "csv")
    line = next(line for line in result.err.splitlines() if line.startswith("Model: nano"))
    assert "licence Apache-2.0" in line
    assert "synthetic time-lapses only" in line


def test_a_file_without_prompts_is_named(run, nano, movie, tmp_path):
    save_prompts(tmp_path / "none.json", [])
    result = run("track", movie, "--prompts", tmp_path / "none.json", "--out", tmp_path / "out")
    assert result.code == 1 and "none.json has no prompts" in result.err


def test_divisions_that_were_marked_in_napari_are_in_the_lineage(run, nano, movie, tmp_path):
    prompts = [Prompt.of(0, 1, [(40, 40)], [1]), Prompt.of(3, 2, [(37, 40)], [1])]
    source = {"names": {"1": "mother"}, "mothers": {"2": 1, "7": 1}}
    saved, out = tmp_path / "prompts.json", tmp_path / "out"
    save_prompts(saved, prompts, source, {1: (None, 2), 2: (3, None)})
    command = ("track", movie, "--prompts", saved, *QUICK, "--out", out)
    lines = "1 0 2 0\n2 3 5 1\n"
    assert run(*command, "--format", "prompts,csv").code == 0
    assert run(*command, "--format", "ctc").code == 0  # from the masks that are there
    assert (out / "ctc" / "res_track.txt").read_text() == lines
    again = ("track", movie, "--prompts", out / "prompts.json", *QUICK, "--out", tmp_path / "b")
    assert run(*again, "--format", "ctc").code == 0
    assert (tmp_path / "b" / "ctc" / "res_track.txt").read_text() == lines


def test_names_that_were_given_in_napari_come_along(run, nano, movie, tmp_path):
    prompts = [Prompt.of(0, obj, [(40, 40)], [1]) for obj in (1, 2)]
    saved, out = tmp_path / "prompts.json", tmp_path / "out"
    save_prompts(saved, prompts, {"names": {"2": "the small one", "7": "gone"}})
    command = ("track", movie, "--prompts", saved, *QUICK, "--out", out)
    result = run(*command, "--format", "prompts,csv,coco,trackmate")
    assert "the small one (2)" in result.out
    with (out / "tracks.csv").open(newline="") as file:
        named = {(row["object"], row["name"]) for row in csv.DictReader(file)}
    assert named == {("1", ""), ("2", "the small one")}
    tracks = json.loads((out / "coco.json").read_text())["tracks"]
    assert [one["name"] for one in tracks] == [1, "the small one"]
    assert 'name="the small one"' in (out / "trackmate.xml").read_text()
    assert load_prompts(out / "prompts.json").names == {2: "the small one"}
    told = run(*command, "--format", "csv", "--json").json["objects"]
    assert [one.get("name") for one in told] == [None, "the small one"]


def test_a_mask_is_taken_as_it_is(run, nano, movie, discs, tmp_path):
    tifffile.imwrite(tmp_path / "mask.tif", discs[1][2])
    result = run(
        *("track", movie, "--mask", f"{tmp_path / 'mask.tif'},2", "--direction", "both"),
        *("--out", tmp_path / "out", "--format", "tiff"),
    )
    assert result.code == 0
    labels = tifffile.imread(tmp_path / "out" / "labels.tif")
    np.testing.assert_array_equal(labels[2], discs[1][2])
    assert all((page > 0).any() for page in labels)


def test_saved_prompts_give_the_same_masks_again(run, nano, movie, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    run("track", movie, *PROMPTS, "--out", first, "--format", "tiff,prompts")
    saved = first / "prompts.json"
    again = ("track", movie, "--prompts", saved, *QUICK, "--out", second, "--format", "tiff")
    assert run(*again).code == 0
    np.testing.assert_array_equal(
        tifffile.imread(first / "labels.tif"), tifffile.imread(second / "labels.tif")
    )


def test_only_the_wanted_frames_are_tracked(run, nano, movie, tmp_path):
    result = run(
        *("track", movie, "--click", "40,40,3", "--direction", "backward"),
        *("--start", 3, "--stop", 1, "--out", tmp_path, "--format", "csv", "--json"),
    )
    assert result.json["frames"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("source", "out", "format_"),
    [
        ("own/labels.tif", "own", "tiff"),
        ("own/labels.tif", "own", "csv"),
        ("link/labels.tif", "link", "tiff"),
        ("one/ctc", "one", "ctc"),
        ("frames", "frames", "png"),
        ("frames/*.png", "frames", "png"),
        ("store.zarr", "store.zarr", "csv"),
        ("store.zarr", "store.zarr/inside", "csv"),
    ],
)
def test_results_take_neither_the_place_of_the_movie_nor_one_among_its_frames(
    run, discs, tmp_path, source, out, format_
):
    for folder in ("own", "link", "one/ctc", "frames"):
        (tmp_path / folder).mkdir(parents=True)
    tifffile.imwrite(tmp_path / "own" / "labels.tif", discs[0], metadata={"axes": "TYX"})
    (tmp_path / "link" / "labels.tif").symlink_to(tmp_path / "own" / "labels.tif")
    for index, image in enumerate(discs[0]):
        tifffile.imwrite(tmp_path / "one" / "ctc" / f"mask{index:03}.tif", image)
        Image.fromarray(image).save(tmp_path / "frames" / f"{index}.png")
    zarr.open(str(tmp_path / "store.zarr"), mode="w", shape=discs[0].shape, dtype="u1")[:] = 1
    before = content_digest(tmp_path)
    result = run(
        *("track", tmp_path / source, "--click", "40,40", "--overwrite"),
        *("--out", tmp_path / out, "--format", format_),
    )
    assert result.code == 1
    assert "Choose another folder with --out" in result.err
    assert content_digest(tmp_path) == before


def test_earlier_results_are_not_replaced(run, nano, movie, tmp_path):
    (tmp_path / "labels.tif").write_bytes(b"corrected by hand")
    result = run("track", movie, *PROMPTS, "--out", tmp_path, "--format", "tiff")
    assert result.code == 1
    assert "--overwrite" in result.err
    assert (tmp_path / "labels.tif").read_bytes() == b"corrected by hand"


def test_earlier_results_are_replaced_when_that_is_said(run, nano, movie, tmp_path):
    (tmp_path / "labels.tif").write_bytes(b"old")
    arguments = ("track", movie, *PROMPTS, "--out", tmp_path, "--format", "tiff", "--overwrite")
    assert run(*arguments).code == 0
    assert len(tifffile.imread(tmp_path / "labels.tif")) == FRAMES


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ((), "at least one"),
        (("--click", "12"), "--click x,y"),
        (("--click", "1,2", "--format", "gif"), "prompts"),
        (("--click", "1,2", "--tile", "big"), "auto"),
        (("--click", "1,2", "--limits", "5"), "LOW,HIGH"),
        (("--click", "1,2", "--channels", "red"), "--channels"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(run, movie, tmp_path, wrong, told):
    result = run("track", movie, *wrong, "--out", tmp_path)
    assert result.code == 2
    assert told in result.err
    assert not list(tmp_path.iterdir())


def test_a_missing_movie_exits_with_1_and_a_message(run, tmp_path):
    result = run("track", "nowhere.mp4", "--click", "1,2", "--out", tmp_path)
    assert result.code == 1
    assert "There is no file or folder nowhere.mp4" in result.err
    assert "Traceback" not in result.err


def test_a_prompt_outside_of_the_frame_exits_with_1_and_the_size(run, nano, movie, tmp_path):
    result = run("track", movie, "--click", "500,2", "--out", tmp_path)
    assert result.code == 1
    assert "outside the frame of 128×96" in result.err


def test_what_was_tracked_before_an_error_is_kept(run, nano, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    # So many that the broken one is not among those that are sampled for the contrast.
    for index, image in enumerate(moving_discs(40)[0]):
        Image.fromarray(image).save(frames / f"{index:03d}.jpg")
    broken = frames / "004.jpg"
    broken.write_bytes(broken.read_bytes()[:900])
    out = tmp_path / "out"
    result = run("track", frames, *PROMPTS, "--out", out, "--format", "tiff")
    assert result.code == 1
    assert "4 of frames cannot be read" in result.err
    assert f"What was tracked until then is in {out}" in result.err
    assert len(tifffile.imread(out / "labels.tif")) == 4


def test_the_same_command_again_only_shows_what_is_there(run, nano, movie, tmp_path):
    command = ("track", movie, *PROMPTS, "--out", tmp_path, "--format", "tiff", "--json")
    first, again = run(*command).json, run(*command)
    assert again.code == 0
    assert (first["computed"], again.json["computed"]) == (FRAMES, 0)
    assert "Model:" not in again.err
    for key in ("frames", "objects", "files"):
        assert again.json[key] == first[key]


def test_another_click_in_the_same_folder_is_refused_by_name(run, nano, movie, tmp_path):
    command = ("track", movie, *QUICK, "--out", tmp_path, "--format", "csv", "--click")
    assert run(*command, "40,40").code == 0
    other = run(*command, "85,60")
    assert other.code == 1
    assert "other prompts" in other.err
    assert "--overwrite" in other.err
    assert run(*command, "85,60", "--overwrite").code == 0


def test_a_model_that_cannot_be_loaded_costs_no_earlier_result(run, nano, movie, tmp_path):
    command = ("track", movie, "--click", "40,40", "--stop", 1, "--out", tmp_path / "r")
    assert run(*command).code == 0
    before = sorted(tmp_path.rglob("*"))
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"no weights")
    assert run(*command, "--overwrite", "--model", weights).code == 1
    assert sorted(tmp_path.rglob("*")) == [*before, weights]


@pytest.mark.parametrize(
    ("mistake", "mended"), [(("--start", 500), ()), (("--image-size", 33), ("--image-size", 64))]
)
def test_a_mistake_does_not_block_the_mended_command(run, nano, movie, tmp_path, mistake, mended):
    out = tmp_path / "out"
    assert run("track", movie, *PROMPTS, "--out", out, *mistake).code == 1
    assert not out.exists()
    assert run("track", movie, *PROMPTS, "--out", out, *mended).code == 0


def test_prompts_of_another_movie_are_refused_unless_forced(run, nano, movie, tmp_path):
    prompts = tmp_path / "prompts.json"
    save_prompts(prompts, [Prompt.of(0, 1, points=[(40, 40)])], {"name": "yeast.tif", "frames": 9})
    command = ("track", movie, "--prompts", prompts, "--out", tmp_path / "out", *QUICK, "-f", "csv")
    refused = run(*command)
    assert refused.code == 1
    assert "frames 9 and not 6" in refused.err
    assert "yeast.tif" in refused.err
    assert run(*command, "--force").code == 0


@pytest.fixture(scope="session")
def long_movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A movie that is not tracked to its end before somebody stops it."""
    path = tmp_path_factory.mktemp("long") / "long.npy"
    np.save(path, moving_discs(3000)[0])
    return path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_stops_it_what_is_done_is_kept(nano, long_movie, tmp_path, number):
    formats = ["--format", "tiff,mp4,csv,coco,prompts", "--json"]
    with _long_run(long_movie, tmp_path, *formats) as (process, out):
        process.send_signal(number)
        printed, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "kept" in told
    done = _frames_in(out / "tracks.csv")
    assert 3 <= done < 3000
    assert f"{done} frames, from 0 to {done - 1}, are kept in {out}" in told
    assert '"interrupted": true' in printed
    assert len(tifffile.imread(out / "labels.tif")) == done
    assert _frames_of_video(out / "overlay.mp4") == done
    assert (out / "coco.json").is_file()
    assert len(load_prompts(out / "prompts.json").prompts) == 2


@pytest.mark.slow
def test_a_closed_terminal_ends_it_well_though_nothing_can_be_said(nano, long_movie, tmp_path):
    ours, theirs = os.openpty()
    with _long_run(long_movie, tmp_path, "--format", "tiff,csv", terminal=theirs) as (process, out):
        os.close(theirs)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=60) == 130
    assert json.loads((out / "status.json").read_text())["state"] == "stopped"
    assert len(tifffile.imread(out / "labels.tif")) == _frames_in(out / "tracks.csv")


@pytest.mark.slow
def test_a_killed_run_leaves_a_film_and_goes_on(run, nano, long_movie, tmp_path):
    command = ("--format", "csv,mp4", "--stop", "60")
    with _long_run(long_movie, tmp_path, *command, rows=60) as (process, out):
        process.kill()
        process.communicate()
    before = _frames_in(out / "tracks.csv")
    assert _frames_of_video(out / "overlay.mp4") >= before - 2
    result = run("track", long_movie, *PROMPTS, "--out", out, *command, "--json").json
    assert result["frames"] == list(range(61))
    assert 0 < result["computed"] < 61
    assert _frames_of_video(out / "overlay.mp4") == _frames_in(out / "tracks.csv") == 61


@pytest.mark.slow
def test_a_killed_run_of_all_objects_goes_on_to_the_same_files(run, nano, long_movie, tmp_path):
    tifffile.imwrite(tmp_path / "given.tif", moving_discs(41)[1])
    command = ("--format", "csv,ctc", "--stop", "40", "--labels", str(tmp_path / "given.tif"))
    with _long_run(long_movie, tmp_path, *command, rows=60, prompts=("--all",)) as (process, out):
        process.kill()
        process.communicate()
    again = ("track", long_movie, "--all", *command, "--json")
    resumed, whole = run(*again, "--out", out).json, run(*again, "--out", tmp_path / "whole").json
    assert 0 < resumed["computed"] < whole["computed"]
    assert resumed["lineage"] == whole["lineage"]
    made = [path for path in (tmp_path / "whole").rglob("*") if path.suffix in (".tif", ".txt")]
    for path in (*made, tmp_path / "whole" / "tracks.csv"):
        same = out / path.relative_to(tmp_path / "whole")
        assert same.read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused(run, nano, long_movie, tmp_path):
    with _long_run(long_movie, tmp_path, "--format", "csv") as (process, out):
        second = run("track", long_movie, *PROMPTS, "--out", out, "--format", "csv")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert second.code == 1
    assert "Another process is working on" in second.err
    assert process.returncode == 130


@contextmanager
def _long_run(
    movie: Path,
    folder: Path,
    *options: str,
    rows: int = 7,
    terminal: int = subprocess.PIPE,
    prompts: Sequence[object] = PROMPTS,
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Track a long movie in a process of its own, which has come to so many rows of its table."""
    out = folder / "out"
    command = [sys.executable, "-m", "sam2_plugins", "track", str(movie), *prompts]
    with subprocess.Popen(
        [*command, "--out", str(out), *options],
        stdout=terminal,
        stderr=terminal,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=_hear_signals,
    ) as process:
        try:
            _wait_for_rows(out / "tracks.csv", rows, process)
            yield process, out
        finally:
            process.kill()


def _hear_signals() -> None:
    """A process that is started in the background, as by nohup, ignores signals otherwise."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _frames_of_video(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def _wait_for_rows(table: Path, rows: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not (table.exists() and len(table.read_text().splitlines()) > rows):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no frame was tracked in two minutes"
        time.sleep(0.05)


def _frames_in(table: Path) -> int:
    return len({line.split(",")[2] for line in table.read_text().splitlines()[1:]})


def test_a_click_that_no_mask_meets_is_told(run, nano, movie, tmp_path):
    both = ("--click", "40,40,0,a", "--not", "40,40,0,a")
    told = run("track", movie, *both, "--model", nano, "--out", tmp_path / "out", "--format", "csv")
    assert "the mask still covers the click at (40, 40)" in " ".join((told.out + told.err).split())


def test_an_object_with_only_clicks_that_exclude_is_refused(run, movie, tmp_path):
    asked = ("--click", "40,40", "--not", "60,85,0,cel")
    told = run("track", movie, *asked, "--out", tmp_path / "out")
    assert told.code == 1
    assert "Object 'cel' has only clicks that exclude" in told.err
    assert not (tmp_path / "out").exists()


def test_all_objects_are_tracked_without_a_prompt(run, nano, movie, tmp_path):
    result = run("track", movie, "--all", "--out", tmp_path, "--format", "tiff,ctc")
    assert result.code == 0
    assert "objects appeared" in result.out + result.err
    labels = tifffile.imread(tmp_path / "labels.tif")
    assert len(np.unique(labels[0])) >= 3
    assert labels[0, 40, 40] and labels[0, 60, 85]


def test_labels_from_elsewhere_are_taken_for_the_objects(run, nano, movie, discs, tmp_path):
    tifffile.imwrite(tmp_path / "given.tif", discs[1])
    out = tmp_path / "out"
    made = ("track", movie, "--all", "--labels", tmp_path / "given.tif", "--out", out)
    assert run(*made, "--format", "tiff").code == 0
    labels = tifffile.imread(out / "labels.tif")
    assert np.array_equal(labels > 0, discs[1] > 0)
    # A further format is written from the masks that are there, with their lineage.
    again = run(*made, "--format", "tiff,ctc", "--json")
    assert again.json["computed"] == 0
    assert [event["kind"] for event in again.json["lineage"]] == ["born"] * 2


def test_options_of_all_objects_are_refused_without_it(run, nano, movie, tmp_path):
    result = run("track", movie, *PROMPTS, "--every", "2", "--out", tmp_path)
    assert result.code == 2
    assert "belong to --all" in result.err
