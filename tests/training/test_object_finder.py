from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.model import ObjectFinder
from sam2_plugins.training.object_finder import (
    Lessons,
    landscape_of,
    loss_of,
    train_object_finder,
)
from sam2_plugins.training.samples import SampleSize


def test_the_landscape_of_labels_has_a_hill_per_object_and_marks_what_lies_between() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 10:30], labels[10:30, 30:50] = 1, 2
    presence, depth, between, cut_off = landscape_of(labels)
    assert np.array_equal(presence > 0, labels > 0)
    assert depth.max() == 1
    assert depth[20, 20] > 0.9
    assert depth[20, 29] < 0.2
    assert between[20, 29] == between[20, 30] == 1
    assert between[20, 12] == 0
    assert not cut_off.any()


def test_an_object_goes_on_beyond_the_edge_of_a_picture() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, :10] = 1
    _, depth, _, cut_off = landscape_of(labels)
    assert depth[20, 0] > 0.9
    assert np.array_equal(cut_off > 0, labels > 0)


def test_samples_are_the_same_for_the_same_seed() -> None:
    plan = Lessons(SampleSize(64, 1, 1, 0), batch=2, seed=7)
    one, other = (next(plan.made(0, 1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    images, presence, depth, weight = one
    assert (images.shape, presence.shape) == ((2, 64, 64, 3), (2, 32, 32))
    assert 0 <= float(depth.min()) <= float(depth.max()) <= 1
    assert float(weight.min()) == 1


@pytest.mark.slow
def test_training_moves_a_finder_towards_the_truth() -> None:
    model = cached_model("nano", device="cpu")
    lesson = next(Lessons(SampleSize(model.image_size, 1, 1, 0), batch=2, seed=3).made(0, 1))
    torch.manual_seed(0)
    finder = ObjectFinder(model.variant)
    with torch.no_grad():
        pixels = model.preprocess(lesson.images)
        features = model.encode_image(pixels)
        before = float(loss_of(finder(pixels, features), lesson))
    kept: list[ObjectFinder] = []
    trained = train_object_finder(model, 0.05, batch=2, workers=0, start=finder, keep=kept.append)
    with torch.no_grad():
        assert float(loss_of(trained(pixels, features), lesson)) < before
    assert kept
