from __future__ import annotations

import numpy as np

from sam2_plugins.training.synthetic import make_clip


def regions(seed: int, frames: int = 6) -> tuple[np.ndarray, np.ndarray]:
    clip = make_clip(np.random.default_rng(seed), 128, frames, "region")
    return clip.frames, clip.labels


def test_a_region_is_followed_over_all_frames() -> None:
    for seed in range(6):
        _, labels = regions(seed)
        largest = int(np.bincount(labels[0].ravel())[1:].argmax()) + 1
        assert (labels == largest).any((1, 2)).mean() > 0.5


def test_regions_move_with_what_the_picture_shows() -> None:
    """Where a region goes, its own pixels go: they change less than those that stay in place."""
    closer = 0
    for seed in range(8):
        frames, labels = regions(seed)
        label = int(np.bincount(labels[0].ravel())[1:].argmax()) + 1
        first, last = labels[0] == label, labels[-1] == label
        if not last.any():
            continue
        colours = [frames[0][first].mean(0), frames[-1][last].mean(0), frames[-1].mean((0, 1))]
        closer += np.abs(colours[1] - colours[0]).sum() <= np.abs(colours[2] - colours[0]).sum() + 9
    assert closer >= 6


def test_most_outlines_are_nowhere_in_the_picture() -> None:
    """The steps of grey across a region's border are those of the whole picture, if it has none."""
    ratios = []
    for seed in range(20):
        frames, labels = regions(seed, frames=1)
        grey = frames[0].mean(-1)
        steps = np.abs(np.diff(grey, axis=1))
        border = np.diff(labels[0].astype(int), axis=1) != 0
        ratios.append(steps[border].mean() / max(steps.mean(), 1e-6))
    assert np.median(ratios) < 2
