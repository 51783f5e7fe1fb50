from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.training.finetuning import AnnotatedMovie


def discs(frames: int = 8, size: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two bright discs that drift apart on noise: a movie [T, H, W] and its labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    movie = rng.normal(60, 8, (frames, size, size))
    labels = np.zeros((frames, size, size), np.uint8)
    for t in range(frames):
        for label, cx in ((1, 20 - t / 2), (2, 42 + t / 2)):
            inside = (x - cx) ** 2 + (y - 30 - seed % 5) ** 2 < 64
            labels[t][inside] = label
            movie[t][inside] += 90 + 20 * label
    return movie.clip(0, 255).astype(np.uint8), labels


def two_toned(frames: int = 8, size: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Discs of which one half is bright and the other dark: who has not seen one takes a half."""
    _, labels = discs(frames, size, seed)
    movie = np.random.default_rng(seed).normal(60, 8, labels.shape)
    for image, truth in zip(movie, labels, strict=True):
        for label in (1, 2):
            inside = truth == label
            columns = np.flatnonzero(inside.any(0))
            left = np.arange(size) <= columns.mean()
            image[inside] = 200
            image[inside & left] = 8
    return movie.clip(0, 255).astype(np.uint8), labels


@pytest.fixture
def movie() -> AnnotatedMovie:
    frames, labels = discs()
    return AnnotatedMovie.from_labels("discs", frames, labels)
