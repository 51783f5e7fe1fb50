from __future__ import annotations

import numpy as np

from sam2_plugins.training.synthetic import sample_timelapse


def test_the_sample_is_a_16_bit_movie_of_bright_nuclei_that_is_always_the_same() -> None:
    movie, labels = sample_timelapse(frames=2, size=192)
    assert movie.shape == labels.shape == (2, 192, 192)
    assert movie.dtype == labels.dtype == np.uint16
    assert movie[labels > 0].mean() > 1.5 * movie[labels == 0].mean()
    np.testing.assert_array_equal(sample_timelapse(frames=2, size=192)[0], movie)


def test_the_default_sample_has_divisions_and_nuclei_of_about_thirty_pixels() -> None:
    _, labels = sample_timelapse()
    areas = np.bincount(labels[0].ravel())[1:]
    assert 25 <= np.median(2 * np.sqrt(areas[areas > 0] / np.pi)) <= 35
    assert any(_divides(labels, int(mother)) for mother in np.flatnonzero(areas) + 1)


def _divides(labels: np.ndarray, mother: int) -> bool:
    """Whether two new labels stand where this one was, just after its end."""
    end = int(np.flatnonzero((labels == mother).any((1, 2)))[-1])
    if end + 1 == len(labels):
        return False
    heirs = set(np.unique(labels[end + 1][labels[end] == mother])) - set(np.unique(labels[end]))
    return len(heirs) == 2
