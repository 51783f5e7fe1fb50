"""Cases worked out by hand; tests/hosts/labelstudio compares with what a browser shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_plugins.labelstudio_backend.timing import FrameClock, pack_frames, unpack_frames


def test_at_the_right_rate_frame_n_is_the_files_frame_n_minus_1():
    clock = FrameClock(25, np.arange(60) / 25, 60)
    assert clock.shown.tolist() == list(range(60))


def test_at_a_wrong_rate_frames_are_skipped_or_shown_twice():
    times = np.arange(10) / 25
    assert FrameClock(12.5, times, 5).shown.tolist() == [0, 2, 4, 6, 8]
    assert FrameClock(50, times, 20).shown.tolist() == [i // 2 for i in range(20)]


def test_variable_frames_are_shown_when_they_are_due():
    clock = FrameClock(10, np.array([0, 0.05, 0.3, 0.31]), 5)
    assert clock.shown.tolist() == [0, 1, 1, 2, 3]


def test_a_late_start_shows_the_first_frame_until_the_second_is_due():
    clock = FrameClock(25, np.arange(5) / 25 + 0.2, 10)
    assert clock.shown.tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 3, 4]


@given(st.lists(st.integers(0, 2**31 - 1), max_size=50))
def test_the_frames_that_are_shown_travel(frames):
    assert unpack_frames(pack_frames(np.array(sorted(frames), np.intp))) == sorted(frames)


@pytest.mark.parametrize(
    "damaged",
    [None, {}, {"count": 3}, {"count": 3, "steps": "?"}, {"count": 10**30, "steps": ""},
     {"count": -1, "steps": ""}, {"count": 9, "steps": "eJxjYGBgAAAABAAB"}],
)  # fmt: skip
def test_what_tells_no_frames_is_passed_over(damaged):
    assert unpack_frames(damaged) is None
