"""A second look at tracked masks: what it is asked for, and where it counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking import frame_step
from sam2_plugins.core.tracking.second_look import look_again
from sam2_plugins.core.tracking.tracker import VideoTracker

HERE: Any = SimpleNamespace(coarse=torch.zeros(1, 8, 4, 4), skips=())


class Eye:
    """Stands for a model of 64 px that sees given masks, and keeps what it was asked."""

    image_size = 64

    def __init__(self, sees: Tensor) -> None:
        self.sees = sees

    def without_memory(self, coarse: Tensor) -> Tensor:
        return coarse

    def decode(self, coarse: Tensor, skips: Any, points: Tensor, labels: Tensor) -> Any:
        self.points, self.labels = points, labels
        return SimpleNamespace(mask=self.sees)


def logits(*boxes: tuple[int, int, int, int], size: int = 32, sure: float = 5) -> Tensor:
    """Logits [n, 1, size, size] of n rectangles x0, y0, x1, y1."""
    found = torch.full((len(boxes), 1, size, size), -sure)
    for mask, (x0, y0, x1, y1) in zip(found, boxes, strict=True):
        mask[0, y0:y1, x0:x1] = sure
    return found


def test_each_mask_is_asked_for_by_its_box() -> None:
    masks = logits((2, 4, 10, 9), (0, 0, 32, 32))
    eye = Eye(masks)
    look_again(eye, HERE, masks)  # type: ignore[arg-type]
    assert eye.points.tolist() == [[[4, 8], [20, 18]], [[0, 0], [64, 64]]]
    assert eye.labels.tolist() == [[2, 3], [2, 3]]


def test_where_both_see_the_same_the_mean_is_taken() -> None:
    tracked, fresh = logits((4, 4, 20, 20)), logits((4, 4, 22, 20), sure=9)
    found = look_again(Eye(fresh), HERE, tracked)  # type: ignore[arg-type]
    assert found[0, 0, 10, 10].item() == pytest.approx(6.2)
    assert found[0, 0, 10, 21].item() == pytest.approx(-0.8)


def test_a_second_look_at_something_else_changes_nothing() -> None:
    tracked = logits((4, 4, 20, 20), (0, 0, 8, 8))
    fresh = logits((10, 4, 26, 20), (0, 0, 8, 9))
    found = look_again(Eye(fresh), HERE, tracked)  # type: ignore[arg-type]
    assert torch.equal(found[0], tracked[0])
    assert not torch.equal(found[1], tracked[1])


def test_an_object_that_is_not_there_is_not_brought_back() -> None:
    tracked = torch.full((1, 1, 32, 32), -1024.0)
    found = look_again(Eye(logits((4, 4, 20, 20))), HERE, tracked)  # type: ignore[arg-type]
    assert torch.equal(found, tracked)


@pytest.mark.parametrize("coloured", [False, True])
def test_each_tracked_frame_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, coloured: bool
) -> None:
    asked = []

    def look(model: Sam2Model, here: Any, masks: Tensor) -> Tensor:
        asked.append(len(masks))
        return look_again(model, here, masks)

    monkeypatch.setattr(frame_step, "look_again", look)
    movie = np.full((4, 64, 64, 3), (20, 90, 160) if coloured else 90, np.uint8)
    movie[:, 20:40, 20:40] = 220
    tracker = VideoTracker(cached_model("nano", device="cpu"), movie)
    tracker.add_prompt(0, 1, box=(20, 20, 40, 40))
    list(tracker.propagate())
    assert len(asked) == 3
