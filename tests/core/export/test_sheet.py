from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sam2_plugins.core.export import ContactSheetWriter, Snapshot, Subject, contact_sheet
from tests.core.export.movie import Movie, masks_on, square, write_movie

SIZE = (100, 150)


def shot(frame: int, time: float = 1.0, masks=None) -> Snapshot:
    return Snapshot(frame, time, np.full((*SIZE, 3), 90, np.uint8), masks or {})


def test_a_sheet_is_a_page_wide_with_every_frame_on_it():
    sheet = contact_sheet([shot(frame) for frame in range(12)], title="cells")
    assert sheet.dtype == np.uint8
    assert 1590 <= sheet.shape[1] <= 1610
    background = (sheet == 90).all(axis=2)
    row = background[background.sum(axis=1).argmax()]
    columns = np.count_nonzero(np.diff(row.astype(int)) == 1)
    assert columns == 4


def test_the_title_and_the_times_are_written():
    plain = contact_sheet([shot(0)])
    titled = contact_sheet([shot(0)], title="cells")
    assert titled.shape[0] > plain.shape[0]
    assert (titled[:40] < 100).any()
    timed, timeless = (contact_sheet([shot(0, time)]) for time in (2.0, np.nan))
    assert (timed != timeless).any()


def test_the_sheet_zooms_in_on_objects_that_fill_a_small_part():
    shots = [shot(i, masks={1: square(60 + i, 40, 10, SIZE)}) for i in range(2)]
    ground = [(contact_sheet(shots, zoom=zoom) == 90).all(axis=2).mean() for zoom in (True, False)]
    assert ground[0] < ground[1]


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


@pytest.mark.parametrize(
    ("n_frames", "expected"),
    [
        (3, [0, 1, 2]),
        (9, [0, 3, 5, 8]),
        (1000, [0, 333, 666, 999]),
    ],
)
def test_frames_are_evenly_spaced_and_read_only_at_the_end(tmp_path, n_frames, expected):
    movie = Movie(length=n_frames)
    writer = ContactSheetWriter(tmp_path / "sheet.png", Subject(movie), n=4)
    write_movie(writer, range(n_frames))
    assert movie.read == []
    writer.close()
    assert movie.read == pytest.approx(expected, abs=n_frames // 60 + 1)
    assert (movie.read[0], movie.read[-1]) == (0, n_frames - 1)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.width > 1000


def test_images_of_a_stream_are_kept_as_they_pass(tmp_path):
    movie = Movie(length=None, seekable=False)
    writer = ContactSheetWriter(tmp_path / "sheet.png", Subject(movie), n=4)
    write_movie(writer, range(50))
    movie.__dict__["read"] = passed = []
    writer.close()
    writer.close()
    assert passed == []
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.width > 1000


def test_times_that_mean_nothing_are_not_written(tmp_path):
    sheets = []
    for fps in (25.0, None):
        writer = ContactSheetWriter(tmp_path / f"{fps}.png", Subject(Movie(fps=fps)), n=2)
        for frame in range(2):
            writer.write(frame, float(frame), masks_on(frame))
        writer.close()
        with Image.open(tmp_path / f"{fps}.png") as image:
            sheets.append(np.array(image))
    assert (sheets[0] != sheets[1]).any()


def test_no_frame_makes_no_sheet(tmp_path):
    ContactSheetWriter(tmp_path / "sheet.png", Subject(Movie())).close()
    assert not list(tmp_path.iterdir())
