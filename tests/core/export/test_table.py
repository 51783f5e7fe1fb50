from __future__ import annotations

import csv

from sam2_plugins.core.export import CsvWriter
from tests.core.export.movie import blank, masks_on, write_movie


def test_a_row_holds_what_is_known_of_an_object_on_a_frame(tmp_path):
    writer = CsvWriter(tmp_path / "tracks.csv", blank(10, (7,)))
    write_movie(writer, [3, 4])
    # Not closed: the rows are there all the same.
    with (tmp_path / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    writer.close()
    assert [(row["object"], row["label"], row["frame"]) for row in rows] == [
        ("a", "1", "3"),
        ("7", "7", "3"),
        ("a", "1", "4"),
        ("7", "7", "4"),
    ]
    seen = {key: float(value) for key, value in rows[0].items() if key != "object"}
    assert seen == {
        **{"label": 1, "frame": 3, "time": 0.12, "area": 64},
        **{"x0": 3, "y0": 4, "x1": 11, "y1": 12, "x": 6.5, "y": 7.5, "iou": 0.8, "score": 2.5},
    }
    gone = rows[2]
    assert (gone["area"], gone["x0"], gone["x"], gone["iou"]) == ("0", "", "", "")


def test_times_late_in_a_long_movie_stay_apart(tmp_path):
    writer = CsvWriter(tmp_path / "tracks.csv", blank(10, (7,)))
    for frame in range(2):
        writer.write(frame, 36_000 + frame / 25, {7: masks_on(0)[7]})
    writer.close()
    with (tmp_path / "tracks.csv").open() as file:
        assert [row["time"] for row in csv.DictReader(file)] == ["36000", "36000.04"]
