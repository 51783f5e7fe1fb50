from __future__ import annotations

import json

import av
import numpy as np
import pytest
import tifffile

from sam2_plugins.core.datasets import load_label_stack
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export import FORMATS, check_ctc, open_writers, parse_formats
from tests.core.export.movie import Movie, masks_on, square, write_movie


def test_formats_are_read_from_a_list_or_a_text():
    assert parse_formats(" TIFF,mp4,,tiff ") == parse_formats(["tiff", "mp4"]) == ("tiff", "mp4")


@pytest.mark.parametrize(
    ("formats", "message"),
    [("tiff,avi,gif", "no format called 'avi', 'gif'"), (" , ", "no format given")],
)
def test_an_unknown_format_is_named_with_those_there_are(tmp_path, formats, message):
    with pytest.raises(ExportError, match=f"{message}. Choose from coco, csv, ctc, geff"):
        open_writers(tmp_path / "out", formats, Movie())
    assert not (tmp_path / "out").exists()


def test_every_format_is_written_at_once_with_the_same_labels(tmp_path):
    with open_writers(tmp_path, FORMATS, Movie(), ["a", 7]) as writers:
        write_movie(writers)
    assert {path.name for path in writers.paths} == set(FORMATS.values())
    labels = load_label_stack(tmp_path)
    assert labels.shape[0] == 10
    assert np.unique(labels).tolist() == [0, 1, 7]
    assert np.array_equal(load_label_stack(tmp_path / "ctc")[:4], labels[:4])
    assert check_ctc(tmp_path / "ctc") == []
    tracks = json.loads((tmp_path / "coco.json").read_text())["tracks"]
    assert {track["name"]: track["id"] for track in tracks} == {"a": 1, 7: 7}


def test_ctrl_c_keeps_what_is_done_and_is_not_hidden(tmp_path):
    def results():
        yield from range(4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_writers(tmp_path, FORMATS, Movie()) as writers:
        write_movie(writers, results())
    assert tifffile.imread(tmp_path / "labels.tif").shape[0] == 4
    assert len((tmp_path / "tracks.csv").read_text().splitlines()) == 9
    assert len(json.loads((tmp_path / "coco.json").read_text())["images"]) == 4
    assert check_ctc(tmp_path / "ctc") == []
    assert (tmp_path / "contact_sheet.png").stat().st_size > 0
    with av.open(str(tmp_path / "overlay.mp4")) as video:
        assert len(list(video.decode(video=0))) == 4


def test_a_failed_writer_does_not_hide_ctrl_c(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_writers(tmp_path, "ctc,csv", Movie()) as writers:
        writers.write(0, 0.0, {70_000: square(0)})
        raise KeyboardInterrupt
    assert len((tmp_path / "tracks.csv").read_text().splitlines()) == 2


def test_results_in_any_order_are_merged_by_frame(tmp_path):
    with open_writers(tmp_path / "a", "tiff,csv,ctc", Movie(), [1, 2], in_order=False) as writers:
        for frame in (2, 3, 4):
            writers.write(frame, 0.0, {1: square(0)})
        for frame in (3, 2, 1, 0):
            writers.write(frame, 0.0, {2: square(20)})
    with open_writers(tmp_path / "b", "tiff,csv,ctc", Movie(), [1, 2]) as writers:
        for frame in range(5):
            masks = {1: square(0)} if frame > 1 else {}
            writers.write(frame, 0.0, masks | ({2: square(20)} if frame < 4 else {}))
    assert np.array_equal(load_label_stack(tmp_path / "a"), load_label_stack(tmp_path / "b"))
    for name in ("tracks.csv", "ctc/res_track.txt"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


def test_frames_out_of_order_are_refused_where_order_was_promised(tmp_path):
    with open_writers(tmp_path, "csv", Movie()) as writers:
        writers.write(5, 0.0, {})
        with pytest.raises(ExportError, match=r"Frame 5 came after frame 5.*in_order=False"):
            writers.write(5, 0.0, {})


def test_a_writer_that_fails_does_not_stop_the_others(tmp_path):
    writers = open_writers(tmp_path, "ctc,csv", Movie())
    write_movie(writers, [0, 1])
    writers.write(2, 0.0, {7: square(0, size=(20, 20))})
    write_movie(writers, [3])
    with pytest.raises(ExportError, match=r"ctc, frame 2.*does not fit"):
        writers.close()
    writers.close()
    assert [path.name for path in writers.paths] == ["tracks.csv"]
    assert len((tmp_path / "tracks.csv").read_text().splitlines()) == 8
    assert (tmp_path / "ctc" / "res_track.txt").read_text() == "1 0 1 0\n7 0 1 0\n"


def test_an_error_of_whatever_class_stops_one_writer_only(tmp_path):
    class Broken:
        path = tmp_path / "broken.txt"

        def write(self, *_):
            raise ZeroDivisionError("of its own")

        def close(self):
            raise IndexError("of what follows")

    group = open_writers(tmp_path, "csv", Movie(), ["a", 7])
    group.add(Broken())
    write_movie(group)
    with pytest.raises(ExportError, match=r"broken\.txt cannot be written: ZeroDiv[^:]*: .*own$"):
        group.close()
    assert len((tmp_path / "tracks.csv").read_text().splitlines()) == 21


def test_a_name_of_several_lines_is_written_in_every_format(tmp_path):
    name = "cell\n1"
    with open_writers(tmp_path, FORMATS, Movie(), [name]) as group:
        write_movie(group, masks=lambda frame: {name: square(20)})
    assert {path.name for path in tmp_path.iterdir()} == set(FORMATS.values())


def test_what_a_link_points_to_is_not_written(tmp_path):
    other = tmp_path / "mine.csv"
    other.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "tracks.csv").symlink_to(other)
    with pytest.raises(ExportError, match=r"tracks\.csv is a link"):
        open_writers(out, "csv", Movie())
    assert other.read_text() == "mine"


@pytest.mark.parametrize("name", ["tracks.csv", "ctc"])
def test_what_is_there_is_replaced_only_on_demand(tmp_path, name):
    theirs = tmp_path / ("ctc/mask000.tif" if name == "ctc" else name)
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("mine")
    with pytest.raises(ExportError, match=name):
        open_writers(tmp_path, "ctc,csv", Movie())
    assert theirs.read_text() == "mine"
    with open_writers(tmp_path, "ctc,csv", Movie(), overwrite=True) as writers:
        write_movie(writers)
    assert theirs.read_bytes() != b"mine"


def test_the_error_comes_at_once_when_no_writer_is_left(tmp_path):
    writers = open_writers(tmp_path, "ctc", Movie())
    with pytest.raises(ExportError, match="does not fit"):
        writers.write(0, 0.0, {7: square(0, size=(20, 20))})


def test_an_error_that_nobody_foresaw_names_the_file_and_stops_no_other(tmp_path):
    class Broken(Movie):
        def __getitem__(self, index):
            raise RuntimeError("no picture")

    writers = open_writers(tmp_path, "mp4,csv", Broken())
    write_movie(writers, [0, 1])
    with pytest.raises(ExportError, match=r"overlay\.mp4.*RuntimeError: no picture"):
        writers.close()
    assert len((tmp_path / "tracks.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    "name", ["cell\n1", "tab\tand\r\nmore", "\x1b[31m", "x" * 500, "\ud800", ""]
)
def test_an_object_may_have_any_name(tmp_path, name):
    with open_writers(tmp_path, FORMATS, Movie(), [name]) as writers:
        write_movie(writers, range(3), masks=lambda frame: {name: square(frame)})
    assert len(list(tmp_path.iterdir())) == len(FORMATS)
    tracks = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))["tracks"]
    assert tracks[0]["name"] == name


def test_a_clock_time_in_the_name_of_the_folder_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_writers("2024-08-20T13:28:35", "mp4", Movie()) as writers:
        write_movie(writers)
    with av.open(f"file:{tmp_path}/2024-08-20T13:28:35/overlay.mp4") as video:
        assert sum(1 for _ in video.decode(video=0)) == 10


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=r"labels\.tif cannot be written"):
        open_writers(tmp_path / "file", "tiff", Movie())


def test_parents_reach_the_cell_tracking_challenge_folder(tmp_path):
    with open_writers(tmp_path, "ctc", Movie(), [1, 2], parents={2: 1}) as writers:
        writers.write(0, 0.0, {1: square(0)})
        writers.write(1, 0.0, {2: square(0)})
    assert (tmp_path / "ctc" / "res_track.txt").read_text() == "1 0 0 0\n2 1 1 1\n"


def test_an_object_without_a_mask_on_a_frame_is_simply_not_there(tmp_path):
    with open_writers(tmp_path, FORMATS, Movie()) as writers:
        write_movie(writers, range(2), masks=lambda frame: {})
    assert not load_label_stack(tmp_path).any()
    assert masks_on(4)["a"].visible is False


def test_numbers_of_numpy_are_numbers(tmp_path):
    ids = [np.int64(9), np.uint8(7)]
    with open_writers(tmp_path, FORMATS, Movie(), ids, in_order=False) as writers:
        for frame in np.arange(3):
            sure = square(20, iou=np.float32(0.5), score=np.float32(2))
            writers.write(frame, np.float32(frame), {ids[0]: square(2), ids[1]: sure})
    assert np.unique(load_label_stack(tmp_path)).tolist() == [0, 7, 9]
    assert (tmp_path / "ctc/res_track.txt").read_text() == "7 0 2 0\n9 0 2 0\n"
    names = [track["name"] for track in json.loads((tmp_path / "coco.json").read_text())["tracks"]]
    assert names == [7, 9]


def test_what_is_no_mask_or_no_movie_is_named(tmp_path):
    writers = open_writers(tmp_path, "csv", Movie())
    with pytest.raises(ExportError, match=r"Object 1, frame 0: .* ObjectMask\.from_array"):
        writers.write(0, 0.0, {1: square(2).to_array()})
    writers.close()
    with pytest.raises(ExportError, match=r"not a ndarray: give tracker\.frames"):
        open_writers(tmp_path / "b", "csv", np.zeros((4, 31, 45), np.uint8))
