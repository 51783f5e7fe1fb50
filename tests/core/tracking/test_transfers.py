"""What a step costs beyond the network does not grow with the number of objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sam2_plugins.core.model import Memories, Sam2Model, memory_attention
from sam2_plugins.core.model.linear import by_pytorch
from sam2_plugins.core.tracking import frame_step
from sam2_plugins.core.tracking.resample import Rendering
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.tracking.transfer import Reading
from sam2_plugins.core.tracking.windows.planner import Window
from tests.core.conftest import squares

READS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal")
"""Operations that make the host wait for a device."""

FULL = 17
"""Frames until an object's memory is full."""


class Operations(TorchDispatchMode):
    """Counts operations by name, and remembers the shapes that they took, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.shapes: list[tuple[str, list[torch.Size]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.count[name] += 1
        self.shapes.append((name, [a.shape for a in args if isinstance(a, torch.Tensor)]))
        return func(*args, **(kwargs or {}))


@contextmanager
def counted_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Operations, int]]]:
    """The operations of each `track`, and how often it brought something to the host."""
    steps: list[tuple[Operations, int]] = []
    track, arrays = frame_step.FrameStep.track, Reading.arrays
    reads = 0

    def count_read(*args: Any) -> Any:
        nonlocal reads
        reads += 1
        return arrays(*args)

    def counted(*args: Any) -> Any:
        nonlocal reads
        reads = 0
        with Operations() as operations:
            found = track(*args)
        steps.append((operations, reads))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "arrays", count_read)
        patch.setattr(frame_step.FrameStep, "track", counted)
        yield steps


def follow(
    model: Sam2Model, objects: int, monkeypatch: pytest.MonkeyPatch, frames: int, **options: Any
) -> list[tuple[Operations, int]]:
    tracker = VideoTracker(model, squares(frames, step=1), window=None, **options)
    for obj in range(objects):
        tracker.add_prompt(0, obj, box=(10 + obj, 20, 30 + obj, 40))
    with counted_steps(monkeypatch) as steps:
        for _ in islice(tracker.propagate(), frames):
            pass
    return [(operations, reads) for operations, reads in steps if operations.count]


@pytest.mark.parametrize("policy", ["sam2", "samurai", "dam4sam"])
def test_operations_and_reads_do_not_grow_with_the_objects(
    small_model: Sam2Model, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    # A processor's attention goes object by object; a card's does not.
    monkeypatch.setattr(memory_attention, "ONE_BY_ONE", ())
    monkeypatch.setattr(memory_attention, "_mix", lambda *_: None)
    with by_pytorch():  # oneDNN has products of few rows done by PyTorch
        few, many = (
            follow(small_model, objects, monkeypatch, frames=4, policy=policy)[-1]
            for objects in (2, 9)
        )
    assert few[0].count == many[0].count
    assert few[1] == many[1] == (1 if policy == "sam2" else 2)
    assert not any(operations.count[name] for operations, _ in (few, many) for name in READS)


def test_a_step_has_the_same_shapes_on_every_frame_once_the_memory_is_full(
    small_model: Sam2Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = follow(small_model, 2, monkeypatch, frames=FULL + 3)
    last = [operations.shapes for operations, _ in steps[-3:]]
    assert last[0] == last[1] == last[2]
    assert last[0] != steps[3][0].shapes


def test_objects_that_remember_unequally_are_tracked_as_each_alone(
    small_model: Sam2Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card fills up what the one remembers less, and attends to nothing of that."""

    def logits(every: list[tuple[int, int]]) -> dict[Any, torch.Tensor]:
        tracker = VideoTracker(small_model, squares(9, step=1), window=None, keep_logits=True)
        for frame, obj in every:
            tracker.add_prompt(frame, obj, box=(10 + 9 * obj, 20, 30 + 9 * obj, 40))
        return list(tracker.propagate("forward"))[-1].logits

    prompts = [(0, 0), (2, 1), (4, 2)]
    apart = [logits([prompt]) for prompt in prompts]
    for module in (memory_attention, frame_step):
        monkeypatch.setattr(module, "ONE_BY_ONE", ())
    shapes = []
    attend = Sam2Model.attend_to_memory

    def attended(model: Sam2Model, coarse: torch.Tensor, memories: Memories) -> torch.Tensor:
        shapes.append((memories.maps.shape[1], memories.pointers.shape[1]))
        return attend(model, coarse, memories)

    monkeypatch.setattr(Sam2Model, "attend_to_memory", attended)
    together = logits(prompts)
    assert set(shapes) == {(small_model.variant.num_memories, small_model.variant.max_pointers)}
    assert len(shapes) == 8  # one a frame after the first
    for one in apart:
        for obj, alone in one.items():
            assert torch.allclose(together[obj], alone, atol=1e-3)


def test_masks_read_as_bits_are_those_that_the_processor_interpolates() -> None:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.randn(6, 1, 5, 5, generator=rng)
    logits = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic")[:, 0]
    logits[2] = -5
    windows = [Window(3 * i, i, 61 + 10 * (i % 2), 50) for i in range(6)]
    here, there = Rendering(logits, windows), Rendering(logits, windows)
    there.tensors = there.tensors[:2]
    there._render_bits(logits)
    numbers = [float(i) for i in range(6)]
    masks, as_bits = (
        one.masks([t.numpy() for t in one.tensors], (60, 90), numbers, numbers)
        for one in (here, there)
    )
    assert as_bits == masks
    assert [m.visible for m in masks] == [True, True, False, True, True, True]
    assert [m.iou for m in masks] == numbers
    arrays = [t.numpy() for t in here.tensors]
    for box, mask in zip(here.boxes(arrays), masks, strict=True):
        assert (box is None) == (mask.box is None)
        if box is not None and mask.box is not None:
            assert np.allclose(box, mask.box, atol=3)
