"""Cases worked out by hand; tests/hosts/labelstudio compares with what a browser shows."""

from __future__ import annotations

import numpy as np

from sam2_plugins.labelstudio_backend.timing import FrameClock


def test_at_the_right_rate_frame_n_is_the_files_frame_n_minus_1():
    clock = FrameClock(25, np.arange(60) / 25, 60)
    assert clock.shown().tolist() == list(range(60))


def test_at_a_wrong_rate_frames_are_skipped_or_shown_twice():
    times = np.arange(10) / 25
    assert FrameClock(12.5, times, 5).shown().tolist() == [0, 2, 4, 6, 8]
    assert FrameClock(50, times, 20).shown().tolist() == [i // 2 for i in range(20)]


def test_variable_frames_are_shown_when_they_are_due():
    clock = FrameClock(10, np.array([0, 0.05, 0.3, 0.31]), 5)
    assert clock.shown().tolist() == [0, 1, 1, 2, 3]


def test_a_late_start_shows_the_first_frame_until_the_second_is_due():
    clock = FrameClock(25, np.arange(5) / 25 + 0.2, 10)
    assert clock.shown().tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 3, 4]
