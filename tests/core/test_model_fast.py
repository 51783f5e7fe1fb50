from __future__ import annotations

import gc
import logging
import weakref
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from sam2_plugins.core.model import Memories, Sam2Model, build_model
from sam2_plugins.core.model.fast import (
    CAPTURED_AT,
    GRAPHS,
    IDLE_BYTES,
    IDLE_RUNS,
    Graphs,
    _Weights,
    without_graphs,
)
from sam2_plugins.core.variants import get_variant


class Recorded:
    """Like a graph of a card: the same tensors each time for arguments and results."""

    made = 0
    nbytes = 0

    def __init__(self, function: Any, given: Any) -> None:
        Recorded.made += 1
        self.function = function

    def __call__(self, given: Any) -> Any:
        return self.function(given)


class Doubler(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
        self.runs = 0

    def operate(self, x: Tensor, pair: tuple[Tensor, Tensor], *, twice: bool) -> Tensor:
        self.runs += 1
        out: Tensor = self.linear(x).sum() + pair[0] * pair[1] * (2 if twice else 1)
        return out


def given(size: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    return torch.ones(1, 2), (torch.ones(size), torch.ones(size))


@pytest.fixture(autouse=True)
def none_made() -> None:
    Recorded.made = 0


def test_an_operation_is_captured_when_a_shape_comes_again_and_again() -> None:
    model, graphs = Doubler().bfloat16(), Graphs(Recorded)
    ones = torch.ones(1, 2, dtype=torch.bfloat16)

    def run() -> Tensor:
        out: Tensor = graphs.run(Doubler.operate, model, (ones, given(3)[1]), {"twice": True})
        return out

    outs = [run() for _ in range(CAPTURED_AT - 1)]
    assert Recorded.made == 0
    outs += [run() for _ in range(2)]
    assert Recorded.made == len(graphs) == 1
    assert all(torch.equal(out, outs[0]) for out in outs)


def test_shapes_that_come_seldom_are_not_captured() -> None:
    model, graphs = Doubler(), Graphs(Recorded)
    for _ in range(CAPTURED_AT):
        for size in range(1, GRAPHS + 3):
            graphs.run(Doubler.operate, model, given(size), {"twice": True})
    assert Recorded.made == 0


def test_large_graphs_that_are_idle_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorded, "nbytes", IDLE_BYTES)
    model, graphs = Doubler(), Graphs(Recorded)
    for size, times in ((3, CAPTURED_AT), (4, CAPTURED_AT), (4, IDLE_RUNS - CAPTURED_AT)):
        for _ in range(times):
            graphs.run(Doubler.operate, model, given(size), {"twice": True})
    assert len(graphs) == 2
    for _ in range(2):
        graphs.run(Doubler.operate, model, given(4), {"twice": True})
    assert len(graphs) == 1


def test_other_shapes_and_other_options_are_other_graphs() -> None:
    model, graphs = Doubler().bfloat16(), Graphs(Recorded)
    ones = torch.ones(1, 2, dtype=torch.bfloat16)
    for size, twice in ((3, True), (4, True), (3, False)) * CAPTURED_AT:
        graphs.run(Doubler.operate, model, (ones, given(size)[1]), {"twice": twice})
    assert Recorded.made == 3


def test_changed_weights_are_captured_anew() -> None:
    model, graphs = Doubler(), Graphs(Recorded)
    ones = torch.ones(1, 2, dtype=torch.bfloat16)

    def run() -> Tensor:
        out: Tensor = graphs.run(Doubler.operate, model, (ones, given(3)[1]), {"twice": True})
        return out

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        before = [run() for _ in range(CAPTURED_AT + 1)]
        model.linear.weight += 1
        after = [run() for _ in range(2 * CAPTURED_AT)]
    assert Recorded.made == 2
    assert torch.equal(before[0], before[-1]) and torch.equal(after[0], after[-1])
    assert not torch.equal(before[0], after[0])


def test_prepared_weights_do_not_keep_their_model_for_good(small_model: Sam2Model) -> None:
    model = deepcopy(small_model)
    weights, gone = _Weights(model), weakref.ref(model)
    assert weights.fit(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_device_that_cannot_capture_says_so_once_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(function: Any, given: Any) -> Recorded:
        raise RuntimeError("no graphs on this driver")

    model, graphs = Doubler(), Graphs(fail)
    with caplog.at_level(logging.WARNING):
        outs = [graphs.run(Doubler.operate, model, given(3), {"twice": False}) for _ in range(4)]
    assert len(caplog.records) == 1 and "no graphs on this driver" in caplog.text
    assert all(torch.equal(out, outs[0]) for out in outs)
    assert model.runs == 4


def test_a_processor_runs_operations_as_they_are_written(small_model: Sam2Model) -> None:
    pixels = torch.zeros(1, 3, 64, 64)
    with torch.inference_mode():
        plain = [small_model.encode_image(pixels).coarse for _ in range(3)]
        with without_graphs():
            plain.append(small_model.encode_image(pixels).coarse)
    assert all(torch.equal(one, plain[0]) for one in plain)


def test_no_operation_looks_at_what_it_computes(small_model: Sam2Model) -> None:
    """So that it can be captured: a tensor without data cannot be looked at."""
    model = deepcopy(small_model).to("meta")
    grid, width = model.grid, model.variant.width
    memories = Memories(
        maps=torch.zeros(2, 7, 64, grid, grid, device="meta"),
        slots=torch.zeros(2, 7, dtype=torch.long, device="meta"),
        pointers=torch.zeros(2, 16, width, device="meta"),
        distances=torch.zeros(2, 16, dtype=torch.long, device="meta"),
        span=15,
    )
    with torch.inference_mode():
        here = model.encode_image(torch.zeros(1, 3, 64, 64, device="meta"))
        coarse = model.attend_to_memory(here.coarse, memories)
        decoded = model.decode(coarse, here.skips)
        memory = model.encode_memory(
            here.coarse, decoded.mask, decoded.object_score, prompted=False
        )
    assert memory.shape == (2, 64, grid, grid)


def test_a_trunk_that_prepares_its_weights_is_left_to_it() -> None:
    model = build_model(get_variant("edgetam"), 256).eval()
    pixels, trunk = torch.randn(1, 3, 256, 256), model.image_encoder.trunk
    graphs = Graphs(Recorded)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        plain = model.encode_image(pixels)
        fused = trunk._fused
        for _ in range(CAPTURED_AT):
            found = graphs.run(Sam2Model.encode_image.__wrapped__, model, (pixels,), {})
    assert len(graphs) == 1
    assert trunk._fused is fused
    assert torch.equal(found.coarse, plain.coarse)
