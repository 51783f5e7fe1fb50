from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.frames._source import SAMPLED_FRAMES


class Counted:
    """A big movie that is made when it is read, and remembers what was."""

    shape = (2000, 512, 512)
    dtype = np.dtype(np.uint16)

    def __init__(self) -> None:
        self.read: list[int] = []

    def __getitem__(self, key: Any) -> Any:
        self.read.append(key[0])
        return np.full(self.shape[1:], 1000 + key[0], np.uint16)


def test_limits_are_of_the_movie_not_of_the_frame() -> None:
    movie = np.stack([np.full((20, 30), 100 * k, np.uint16) for k in range(5)])
    shown = [int(frame.image[0, 0, 0]) for frame in open_frames(movie, percentiles=(0, 100))]
    assert shown == [0, 64, 128, 191, 255]


def test_a_long_movie_is_sampled_not_read() -> None:
    movie = Counted()
    source = open_frames(movie)
    assert source[1000].image.dtype == np.uint8
    assert len(movie.read) == SAMPLED_FRAMES + 1
    assert {0, 1999} <= set(movie.read)


def test_explicit_limits_read_nothing_but_the_frame() -> None:
    movie = Counted()
    image = open_frames(movie, limits=(1000, 2000))[100].image
    assert np.all(image == round(255 * 100 / 1000))
    assert movie.read == [100]


def test_channels_are_stretched_each_on_its_own() -> None:
    dim, bright = np.linspace(0, 10, 600), np.linspace(0, 60000, 600)
    movie = np.stack([dim, bright], -1).astype(np.float32).reshape(1, 20, 30, 2)
    image = open_frames(movie, percentiles=(0, 100))[0].image
    assert image[..., 0].max() == image[..., 1].max() == 255
    assert not image[..., 2].any()


def test_limits_can_be_given_per_channel() -> None:
    movie = np.full((2, 20, 30, 2), 50, np.uint16)
    image = open_frames(movie, limits=[(0, 100), (0, 50)])[0].image
    assert image[0, 0].tolist() == [128, 255, 0]
    with pytest.raises(FrameSourceError, match="2 limits for 1 shown channels"):
        _ = open_frames(movie, channels=[0], limits=[(0, 1), (0, 1)]).normalisation


def test_explicit_limits_stretch_eight_bits_too() -> None:
    movie = np.full((2, 20, 30), 50, np.uint8)
    assert np.all(open_frames(movie, limits=(0, 100))[0].image == 128)


def test_booleans_are_black_and_white() -> None:
    movie = np.eye(20, dtype=bool)[None]
    assert set(np.unique(open_frames(movie)[0].image)) == {0, 255}


def test_not_a_number_and_infinity_spoil_nothing() -> None:
    movie = np.linspace(0, 1, 600, dtype=np.float32).reshape(1, 20, 30)
    movie[0, 0, :3] = np.nan, np.inf, -np.inf
    source = open_frames(movie, percentiles=(0, 100))
    assert source.normalisation.limits == ((float(movie[0, 0, 3]), 1.0),)
    assert source[0].image[0, :3, 0].tolist() == [0, 255, 0]
    assert np.all(np.diff(source[0].image[1:, :, 0].ravel().astype(int)) >= 0)


@pytest.mark.parametrize("value", [0, 7.5, np.nan, 65535])
def test_a_constant_movie_is_black(value: float) -> None:
    assert not open_frames(np.full((4, 20, 30), value, np.float32))[1].image.any()


def test_rare_bright_objects_are_seen_where_percentiles_see_only_background() -> None:
    movie = np.zeros((2, 200, 300), np.uint16)
    movie[1, 40:44, 40:44] = 900
    assert open_frames(movie)[1].image.max() == 255


@given(
    hnp.arrays(
        st.sampled_from([np.int8, np.uint16, np.int32, np.uint64, np.float16, np.float64]),
        (2, 5, 6),
    )
)
def test_any_numbers_become_a_picture_in_their_order(movie: np.ndarray) -> None:
    image = open_frames(movie, percentiles=(0, 100))[1].image
    assert image.shape == (5, 6, 3)
    finite = np.isfinite(movie[1])
    order = np.argsort(movie[1][finite], kind="stable")
    assert np.all(np.diff(image[..., 0][finite][order].astype(int)) >= 0)


@pytest.mark.parametrize(
    "wrong", [{"limits": (5, 5)}, {"limits": [(0, 1), (3, 2)]}, {"percentiles": (99, 1)}]
)
def test_ranges_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FrameSourceError, match="make no range"):
        open_frames(np.zeros((2, 20, 30), np.uint16), **wrong)


def test_samples_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(FrameSourceError, match="complex64"):
        open_frames(np.zeros((2, 20, 30), np.complex64))[0]
