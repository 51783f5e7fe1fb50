from __future__ import annotations

import subprocess
import sys

import av
import numpy as np
import pytest

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export import Numbering, Subject, VideoWriter, overlay
from tests.core.export.movie import Movie, masks_on, write_movie


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
        return stream.codec_context, [frame.time for frame in frames], pictures


@pytest.fixture
def path(tmp_path):
    return tmp_path / "overlay.mp4"


def test_every_frame_is_shown_with_its_masks(path):
    movie, numbering = Movie(), Numbering([7, "a"])
    writer = VideoWriter(path, Subject(movie, numbering))
    write_movie(writer)
    writer.close()
    codec, _, pictures = decode(path)
    assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    assert len(pictures) == 10
    for frame in (0, 4, 9):
        drawn = overlay(movie[frame].image, masks_on(frame), numbering, scale=16)
        shown = pictures[frame].astype(int)
        drawn = drawn[: shown.shape[0], : shown.shape[1]]
        assert np.abs(shown - drawn).mean() < 4


def test_a_small_odd_movie_is_enlarged_to_an_even_size(path):
    writer = VideoWriter(path, Subject(Movie()))
    write_movie(writer, [0])
    writer.close()
    codec, _, _ = decode(path)
    assert (codec.width, codec.height) == (720, 496)


def test_a_large_odd_movie_loses_one_row_and_one_column(path):
    writer = VideoWriter(path, Subject(Movie(height=51, width=1001)))
    writer.write(0, 0.0, {})
    writer.close()
    codec, _, _ = decode(path)
    assert (codec.width, codec.height) == (1000, 50)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((900, 5), (4 * 900, 4 * 5)),
        ((5000, 40), (5000, 40)),
        ((40, 20_000), (20, 10_000)),
        ((1, 1000), (2, 2000)),
        ((3000, 1), (6000, 2)),
    ],
)
def test_frames_of_any_shape_make_a_video(path, size, shown):
    writer = VideoWriter(path, Subject(Movie(height=size[0], width=size[1])))
    writer.write(0, 0.0, {})
    writer.close()
    codec, _, pictures = decode(path)
    assert (codec.height, codec.width) == shown
    assert len(pictures) == 1


def test_variable_frame_times_are_kept(path):
    writer = VideoWriter(path, Subject(Movie()))
    times = [5.0, 5.025, 5.065, 5.165, 5.19]
    for frame, time in enumerate(times):
        writer.write(frame, time, {})
    writer.close()
    _, shown, _ = decode(path)
    assert shown == pytest.approx([time - 5 for time in times], abs=1e-3)


@pytest.mark.parametrize(("fps", "step"), [(None, 1 / 6), (10, 0.1)])
def test_a_time_lapse_plays_at_a_pleasant_pace_or_the_wanted_one(path, fps, step):
    writer = VideoWriter(path, Subject(Movie(), fps=fps))
    write_movie(writer, range(4), step=300.0)
    writer.close()
    _, shown, _ = decode(path)
    assert shown == pytest.approx([frame * step for frame in range(4)], abs=1e-3)


def test_mpeg4_serves_where_there_is_no_h264(path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    writer = VideoWriter(path, Subject(Movie()))
    write_movie(writer, range(3))
    writer.close()
    codec, _, pictures = decode(path)
    assert (codec.name, len(pictures)) == ("mpeg4", 3)


def test_a_video_closed_early_is_whole_up_to_there(path):
    writer = VideoWriter(path, Subject(Movie(length=1000)))
    write_movie(writer, range(3))
    writer.close()
    writer.close()
    assert len(decode(path)[2]) == 3


def test_a_killed_program_leaves_a_video_that_plays(path):
    script = f"""
import os, signal
from pathlib import Path
from sam2_plugins.core.export import Subject, VideoWriter
from tests.core.export.movie import Movie, write_movie
writer = VideoWriter(Path({str(path)!r}), Subject(Movie()))
write_movie(writer)
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 9
    _, times, _ = decode(path)
    assert len(times) >= 9
    assert times[:3] == pytest.approx([0, 0.04, 0.08], abs=1e-3)


def test_a_finished_video_has_its_index_at_its_head(path):
    writer = VideoWriter(path, Subject(Movie()))
    write_movie(writer)
    writer.close()
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert b"moof" not in content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_no_frame_makes_no_video(path):
    VideoWriter(path, Subject(Movie())).close()
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "overlay.mp4").mkdir()
    with pytest.raises(ExportError, match=r"overlay\.mp4 cannot be written"):
        VideoWriter(tmp_path / "overlay.mp4", Subject(Movie()))
