from __future__ import annotations

import numpy as np
import pytest
import tifffile

from sam2_plugins.core.export import CtcWriter, check_ctc
from sam2_plugins.core.masks import ObjectMask
from tests.core.export.movie import SIZE, blank, square, write_movie


def write(folder, results, n_frames=None, **options):
    """Write frames given as {object: x of its square}."""
    writer = CtcWriter(folder, blank(n_frames, **options))
    for frame, masks in results.items():
        writer.write(frame, float(frame), {obj: square(x) for obj, x in masks.items()})
    writer.close()
    return [
        tuple(int(part) for part in line.split())
        for line in (folder / "res_track.txt").read_text().splitlines()
    ]


def test_images_are_compressed_16_bit_labels_with_three_digits(tmp_path):
    writer = CtcWriter(tmp_path, blank(10, (7,)))
    write_movie(writer)
    writer.close()
    names = sorted(path.name for path in tmp_path.glob("*.tif"))
    assert names == [f"mask{frame:03d}.tif" for frame in range(10)]
    with tifffile.TiffFile(tmp_path / "mask003.tif") as tiff:
        assert tiff.pages[0].compression.name == "ADOBE_DEFLATE"
        image = tiff.asarray()
    assert image.dtype == np.uint16
    assert np.unique(image).tolist() == [0, 1, 7]
    assert check_ctc(tmp_path) == []


def test_an_object_that_comes_back_is_a_new_track_of_the_old_one(tmp_path):
    tracks = write(tmp_path, {0: {5: 0, 2: 20}, 1: {2: 20}, 2: {2: 20}, 3: {5: 0, 2: 20}})
    assert tracks == [(1, 3, 3, 5), (2, 0, 3, 0), (5, 0, 0, 0)]
    assert check_ctc(tmp_path) == []


def test_a_daughter_begins_after_her_mother_has_ended(tmp_path):
    tracks = write(
        tmp_path,
        {0: {1: 10}, 1: {1: 10}, 2: {2: 0, 3: 20}},
        parents={2: 1, 3: 1},
    )
    assert tracks == [(1, 0, 1, 0), (2, 2, 2, 1), (3, 2, 2, 1)]
    assert check_ctc(tmp_path) == []


def test_a_mother_that_stays_goes_on_as_a_track_of_her_own(tmp_path):
    results = {0: {"m": 0}, 1: {"m": 0, "d": 20}, 2: {"m": 0, "d": 20}}
    tracks = write(tmp_path, results, parents={"d": "m"})
    mother, daughter, rest = sorted(tracks, key=lambda track: (track[1], track[3], track[0]))
    assert mother == (1, 0, 0, 0)
    assert {daughter[1:], rest[1:]} == {(1, 2, 1)}
    assert check_ctc(tmp_path) == []


def test_an_object_hidden_by_another_has_a_gap_there(tmp_path):
    writer = CtcWriter(tmp_path, blank(3))
    for frame, x in enumerate([20, 0, 20]):
        masks = {1: square(0, iou=0.9), 2: square(x, iou=0.1)}
        writer.write(frame, 0.0, masks)
    writer.close()
    table = (tmp_path / "res_track.txt").read_text()
    assert table == "1 0 2 0\n2 0 0 0\n3 2 2 2\n"
    assert check_ctc(tmp_path) == []


def test_frames_left_out_have_empty_images(tmp_path):
    assert write(tmp_path, {2: {1: 0}, 4: {1: 0}}) == [(1, 2, 2, 0), (2, 4, 4, 1)]
    assert len(list(tmp_path.glob("mask*.tif"))) == 5
    assert check_ctc(tmp_path) == []


def test_results_of_an_earlier_run_are_gone(tmp_path):
    write(tmp_path, {key: {1: 0} for key in range(5)})
    write(tmp_path, {key: {1: 0} for key in range(2)})
    assert len(list(tmp_path.glob("mask*.tif"))) == 2
    assert check_ctc(tmp_path) == []


@pytest.mark.parametrize("n_frames", [None, 1001])
def test_names_have_four_digits_from_a_thousand_frames_on(tmp_path, n_frames):
    writer = CtcWriter(tmp_path, blank(n_frames, size=(2, 2)))
    writer.write(1000, 0.0, {1: ObjectMask.from_array(np.eye(2))})
    writer.close()
    assert len(list(tmp_path.glob("mask????.tif"))) == 1001
    assert check_ctc(tmp_path) == []


def test_an_id_beyond_16_bits_is_numbered_anew(tmp_path):
    results = {0: {70_000: 0}, 1: {70_000: 0, 1: 20}, 2: {70_000: 0}}
    assert write(tmp_path, results, objects=(1, 70_000)) == [(1, 1, 1, 0), (2, 0, 2, 0)]
    assert check_ctc(tmp_path) == []


@pytest.fixture
def good(tmp_path):
    write(tmp_path, {0: {1: 0}, 1: {1: 0}, 2: {2: 0}}, parents={2: 1})
    assert check_ctc(tmp_path) == []
    return tmp_path


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("1 0 1\n2 2 2 1\n", 'line 1: "1 0 1" is not four whole numbers'),
        ("1 0 1 0\n1 0 1 0\n2 2 2 1\n", "label 1 is there twice"),
        ("1 0 1 0\n2 2 2 1\n0 0 0 0\n", "label 0 is not between 1 and 65535"),
        ("1 0 1 0\n2 2 3 1\n", "Track 2: frames 2 to 3 are not within 0 to 2"),
        ("1 1 0 0\n2 2 2 1\n", "Track 1: frames 1 to 0 are not within"),
        ("1 0 1 0\n2 2 2 9\n", "Track 2: its parent 9 is not in the table"),
        ("1 0 1 0\n2 1 2 1\n", "its parent 1 ends on frame 1"),
        ("1 0 1 0\n", "mask002.tif: label 2 is shown, but"),
        ("1 0 2 0\n2 2 2 0\n", "mask002.tif: label 1 is missing"),
    ],
)
def test_a_table_that_breaks_a_rule_is_told(good, table, problem):
    (good / "res_track.txt").write_text(table)
    assert any(problem in found for found in check_ctc(good))


def test_images_that_break_a_rule_are_told(good):
    tifffile.imwrite(good / "mask000.tif", np.ones((3, 3), np.uint8))
    (good / "mask001.tif").write_bytes(b"no tiff")
    (good / "mask002.tif").rename(good / "mask004.tif")
    found = "\n".join(check_ctc(good))
    assert "mask000.tif is uint8" in found
    assert "mask001.tif cannot be read" in found
    assert "There is no mask002.tif" in found
    assert f"is {SIZE}, but the first image is (3, 3)" in found


def test_a_folder_without_results_is_told(tmp_path):
    assert "no res_track.txt" in check_ctc(tmp_path)[0]
    (tmp_path / "res_track.txt").touch()
    assert "no mask000.tif" in check_ctc(tmp_path)[0]
