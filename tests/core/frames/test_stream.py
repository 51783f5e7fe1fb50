from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames
from tests.core.frames.movies import numbered, read_number, write_movie


def camera(count: int, sent: list[int] | None = None) -> Iterator[NDArray]:
    for k in range(count):
        if sent is not None:
            sent.append(k)
        yield numbered(k)


def test_a_generator_is_a_movie_of_unknown_length() -> None:
    source = open_frames(camera(5))
    assert source.length is None
    assert not source.seekable
    assert bool(source)
    assert (source.height, source.width) == (64, 96)
    assert [(f.index, read_number(f.image)) for f in source] == [(k, k) for k in range(5)]
    with pytest.raises(TypeError, match="length is not known"):
        len(source)


def test_a_stream_can_be_listed() -> None:
    assert [frame.index for frame in list(open_frames(camera(4)))] == [0, 1, 2, 3]


def test_nothing_is_read_ahead() -> None:
    sent: list[int] = []
    source = open_frames(camera(100, sent))
    assert sent == []
    assert read_number(source[0].image) == 0
    assert read_number(source[0].image) == 0
    assert sent == [0]
    source[1]
    assert sent == [0, 1]


def test_the_current_the_next_and_later_frames_can_be_had() -> None:
    source = open_frames(camera(10))
    assert [read_number(source[k].image) for k in (0, 0, 1, 5, 5)] == [0, 0, 1, 5, 5]


def test_a_frame_that_has_passed_is_refused_with_the_mend() -> None:
    source = open_frames(camera(10))
    source[3]
    with pytest.raises(FrameSourceError, match=r"Frame 2 .* has passed.*Record it"):
        source[2]
    assert source[3].index == 3


def test_beyond_the_end_is_an_index_error() -> None:
    source = open_frames(camera(3))
    with pytest.raises(IndexError, match="ended after 3 frames"):
        source[7]


def test_a_stream_goes_on_where_reading_stopped() -> None:
    source = open_frames(camera(6))
    for frame in source:
        if frame.index == 2:
            break
    assert [frame.index for frame in source] == [2, 3, 4, 5]


def test_limits_are_those_of_the_first_frame() -> None:
    frames = (np.full((20, 30), 100 * k, np.uint16) + np.arange(30) for k in range(3))
    source = open_frames((f.astype(np.uint16) for f in frames), percentiles=(0, 100))
    assert [int(frame.image.max()) for frame in source] == [255, 255, 255]
    assert source.normalisation.limits == ((0.0, 29.0),)
    assert "first frame" in source.normalisation.basis


def test_a_camera_may_use_one_buffer_again_and_again() -> None:
    buffer = np.zeros((64, 96, 3), np.uint8)

    def shared() -> Iterator[NDArray]:
        for k in range(3):
            buffer[...] = numbered(k)
            yield buffer

    assert [read_number(frame.image) for frame in list(open_frames(shared()))] == [0, 1, 2]


def test_the_rate_gives_the_times() -> None:
    assert [f.time for f in open_frames(camera(3), fps=4)] == [0, 0.25, 0.5]


def test_frames_that_change_size_are_refused() -> None:
    source = open_frames(iter([np.zeros((20, 30), np.uint8), np.zeros((20, 31), np.uint8)]))
    source[0]
    with pytest.raises(FrameSourceError, match="frames of one size"):
        source[1]


def test_colour_and_depth_may_change_in_a_stream() -> None:
    grey = np.full((20, 30), 200, np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    alpha = np.dstack([colour, np.full_like(grey, 255)])
    source = open_frames(iter([grey, colour, alpha, grey.astype(np.uint16), grey > 0]))
    assert [frame.image.dtype == np.uint8 for frame in source] == [True] * 5


@pytest.mark.parametrize("wide", [np.full((20, 30), 3500, np.uint16), np.full((20, 30), 0.5)])
def test_a_frame_of_a_stream_with_values_that_the_first_cannot_hold_is_refused(
    wide: NDArray,
) -> None:
    source = open_frames(iter([np.zeros((20, 30), np.uint8), wide]))
    source[0]
    with pytest.raises(FrameSourceError, match=r"the first of uint8.*frames of one type"):
        source[1]


@pytest.mark.parametrize("shape", [(5, 20, 30), (4,), (2, 2, 20, 30)])
def test_arrays_that_are_no_frames_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameSourceError, match="each has to be one frame"):
        open_frames(iter([np.zeros(shape, np.uint8)]))[0]


def test_an_empty_stream_is_refused() -> None:
    with pytest.raises(FrameSourceError, match="ended before its first frame"):
        _ = open_frames(iter([])).height
    assert list(open_frames(iter([]))) == []


def test_closing_closes_the_generator() -> None:
    generator = camera(5)
    with open_frames(generator) as source:
        source[0]
    assert next(generator, None) is None


def test_a_video_through_a_pipe_is_read_forward(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "m.mkv", 20, ticks=range(50, 70))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(movie.read_bytes()))
    writer.start()
    source = open_frames(pipe)
    frames = [(read_number(f.image), round(f.time * 25)) for f in source]
    writer.join()
    assert frames == [(k, k) for k in range(20)]
    assert (source.codec, source.fps, source.length) == ("h264", 25, None)


def test_an_open_file_is_read_forward(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "m.mp4", 8)
    with path.open("rb") as file:
        assert [read_number(f.image) for f in open_frames(file)] == list(range(8))


def test_what_a_pipe_cannot_carry_is_named_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "movie.tif", np.zeros((3, 32, 48), np.uint8))
    with (tmp_path / "movie.tif").open() as piped:
        monkeypatch.setattr(sys, "stdin", piped)
        with pytest.raises(
            FrameSourceError, match=r"Standard input is no video.*save it as a file"
        ):
            open_frames("-")
