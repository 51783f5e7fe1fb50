"""Encoded windows on the disk: found by what they follow from, bounded, never wrong."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.core.tracking.tracker import VideoTracker
from tests.cli.conftest import moving_discs


def click(model: Sam2Model, movie: np.ndarray, store: DiskFeatures) -> tuple[np.ndarray, int]:
    """Click on a disc: the mask, and how many windows were encoded for it."""
    tracker = VideoTracker(model, movie)
    tracker.keep_features(store)
    mask = tracker.add_prompt(frame=0, obj=1, points=[(40, 40)])
    return mask.to_array(), tracker._features.encoded


def test_a_second_session_encodes_nothing_and_gives_the_same_mask(
    nano: Sam2Model, tmp_path: Path
) -> None:
    movie = moving_discs(2)[0]
    first, encoded = click(nano, movie, DiskFeatures(tmp_path))
    again, encoded_again = click(nano, movie, DiskFeatures(tmp_path))
    assert encoded > 0 and encoded_again == 0
    assert np.array_equal(first, again)


def test_other_pixels_and_other_weights_are_other_features(nano: Sam2Model, tmp_path: Path) -> None:
    store, pixels = DiskFeatures(tmp_path), np.zeros((8, 8, 3), np.uint8)
    other = pixels.copy()
    other[3, 3, 1] = 1
    trained = copy.deepcopy(nano)
    keys = {store.key(nano, pixels), store.key(nano, other), store.key(trained, pixels)}
    assert len(keys) == 2  # a copy says the same
    with torch.no_grad():
        next(trained.parameters()).flatten()[0] += 1
    assert store.key(trained, pixels) not in keys


def test_another_precision_has_other_features(
    nano: Sam2Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    before = DiskFeatures(tmp_path).key(nano, pixels)
    monkeypatch.setattr(type(nano.variant.trunk), "half_precision", True)
    assert DiskFeatures(tmp_path).key(nano, pixels) != before


def test_a_damaged_file_is_encoded_anew(nano: Sam2Model, tmp_path: Path) -> None:
    movie = moving_discs(2)[0]
    first, _ = click(nano, movie, DiskFeatures(tmp_path))
    short, changed, *_ = sorted(tmp_path.glob("*/*"))
    short.write_bytes(short.read_bytes()[:100])
    whole = bytearray(changed.read_bytes())
    whole[-5] ^= 1
    changed.write_bytes(whole)
    again, encoded_again = click(nano, movie, DiskFeatures(tmp_path))
    assert encoded_again == 2
    assert np.array_equal(first, again)


def test_the_folder_stays_within_its_bound(nano: Sam2Model, tmp_path: Path) -> None:
    movie = moving_discs(2)[0]
    click(nano, movie, DiskFeatures(tmp_path))
    files = list(tmp_path.glob("*/*"))
    size = sum(path.stat().st_size for path in files)
    assert len(files) > 2
    store = DiskFeatures(tmp_path / "bounded", size / 2 / 1e9)
    click(nano, movie, store)
    assert 0 < sum(path.stat().st_size for path in store.folder.glob("*/*")) <= size / 2


def test_a_damaged_file_that_may_not_be_removed_is_encoded_anew(
    nano: Sam2Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    movie = moving_discs(1)[0]
    wanted, _ = click(nano, movie, DiskFeatures(tmp_path))
    for path in tmp_path.glob("*/*"):
        path.write_bytes(b"damaged")
    monkeypatch.setattr(Path, "unlink", refuse)
    found, encoded = click(nano, movie, DiskFeatures(tmp_path))
    assert encoded > 0
    assert np.array_equal(found, wanted)
