from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.datasets import own
from sam2_plugins.core.errors import TrainingError
from sam2_plugins.training.stills import Stills, _whole


def written(folder: Path, *labels: np.ndarray, ground: int = 10) -> Path:
    """Pictures in which each object has a grey value of its own."""
    for number, label in enumerate(labels):
        picture = np.where(label > 0, 110 + 20 * label, ground).astype(np.uint8)
        own.write(folder / str(number), [np.repeat(picture[..., None], 3, 2)], [label])
    return folder


def discs() -> np.ndarray:
    labels = np.zeros((200, 260), np.uint8)
    y, x = np.mgrid[:200, :260]
    for label, middle in enumerate((45, 130, 215), 1):
        labels[np.hypot(y - 100, x - middle) < 25] = label
    return labels


def test_the_truth_of_a_still_that_moves_goes_with_its_light(tmp_path: Path) -> None:
    stills = Stills.in_folders([written(tmp_path, np.where(discs() == 2, 1, 0).astype(np.uint8))])
    agreed, moved = [], []
    for seed in range(6):
        clip = stills.clip(np.random.default_rng(seed), 6)
        for light, true in zip(clip.frames[..., 0].astype(float), clip.labels == 1, strict=True):
            inside, outside = np.median(light[true]), np.median(light[~true])
            found = abs(light - inside) < abs(light - outside)
            agreed.append((found & true).sum() / (found | true).sum())
        moved.append(np.mean(clip.labels[0] != clip.labels[-1]))
    assert np.median(agreed) > 0.95
    assert max(moved) > 0.02


def test_what_reaches_the_edge_of_a_still_is_not_followed() -> None:
    labels = np.zeros((9, 9), np.float32)
    labels[:3, 4], labels[4:6, 2:4], labels[6, 6:] = 2, 5, 7
    labels[4:6, 5:7] = 9
    whole = _whole(labels)
    assert np.array_equal(whole, np.where(labels == 5, 1, np.where(labels == 9, 2, 0)))


def test_each_folder_of_stills_comes_as_often_as_the_others(tmp_path: Path) -> None:
    many = written(tmp_path / "many", *[discs()] * 9)
    few = written(tmp_path / "few", discs(), ground=250)
    stills, rng = Stills.in_folders([many, few]), np.random.default_rng(0)
    bright = [stills._draw(rng)[0].mean() > 0.5 for _ in range(40)]
    assert 10 < sum(bright) < 30


def test_a_folder_in_which_nothing_is_outlined_is_refused(tmp_path: Path) -> None:
    own.write(tmp_path / "0", [np.zeros((9, 9, 3), np.uint8)], [np.zeros((9, 9), np.uint8)])
    with pytest.raises(TrainingError, match="are empty: give"):
        Stills.in_folders([tmp_path])
