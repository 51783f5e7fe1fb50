from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2_plugins.core import VideoTracker
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import OutlineRefiner, Sam2Model
from sam2_plugins.core.tracking import operations
from sam2_plugins.core.tracking.memory.bank import Memory
from sam2_plugins.core.tracking.windows.planner import Window
from tests.core.conftest import squares

FRAMES = [0, 2, 0, 3, 2]
WINDOWS = [Window(0, 0, 64, 64), Window(16, 0, 64, 64), *[Window(0, 32, 64, 64)] * 3]


def rebuilt(model: Sam2Model) -> list[Memory]:
    tracker = VideoTracker(model, squares(4), refiner=OutlineRefiner().eval())
    masks = [
        ObjectMask(np.ones((20, 14 + 4 * i), bool), (10 + 5 * i, 20 + 2 * i), (96, 96), 0.5, i)
        for i in range(len(FRAMES))
    ]
    return tracker._operations.rebuild(FRAMES, masks, WINDOWS)


def test_memories_made_again_together_are_those_made_one_by_one(
    small_model: Sam2Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = rebuilt(small_model)
    batches = []
    encode = Sam2Model.encode_memory

    def encoded(model: Sam2Model, *args: torch.Tensor, **options: bool) -> torch.Tensor:
        batches.append(len(args[1]))
        return encode(model, *args, **options)

    monkeypatch.setattr(Sam2Model, "encode_memory", encoded)
    monkeypatch.setattr(operations, "ONE_BY_ONE", ())
    together = rebuilt(small_model)
    assert batches == [8]  # filled up, and what fills up is left out
    assert len(together) == len(FRAMES)
    for one, other, frame, window in zip(apart, together, FRAMES, WINDOWS, strict=True):
        assert (other.frame, other.window) == (frame, window)
        assert (one.box, one.iou, one.score) == (other.box, other.iou, other.score)
        assert one.map is not None and other.map is not None
        assert torch.allclose(one.map.float(), other.map.float(), atol=2e-2)
        assert torch.allclose(one.pointer, other.pointer, atol=1e-4)
        assert one.closeup is not None and other.closeup is not None
        assert torch.equal(one.closeup, other.closeup)
