from __future__ import annotations

import pytest
import torch

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.model import Sam2Model, fast
from sam2_plugins.core.tracking import profiling
from sam2_plugins.core.tracking.profiling import PARTS, matrix_rate, profile_tracking


@pytest.mark.slow
def test_every_part_of_a_frame_is_told(run, nano):
    told = run("bench", nano, "--objects", "1,2", "--sizes", "64", "--frames", 1, "--json").json
    assert told["device"] == "cpu"
    one, two = told["profiles"]
    assert (one["model"], one["objects"], two["objects"]) == ("nano", 1, 2)
    assert set(one["seconds"]) == {*PARTS, "read", "write", "rest"}
    assert all(one["seconds"][part] > 0 for part in (*PARTS, "read", "write"))
    assert one["total"] == pytest.approx(sum(one["seconds"].values()))
    assert one["frame"] > 0 and one["waits"] == 1 and not one["graphs"]
    # The encoder runs once for both, everything else for each.
    assert one["gigaflop"] < two["gigaflop"] < 2 * one["gigaflop"]
    assert one["floor"] == pytest.approx(one["gigaflop"] / told["gigaflop_per_second"])


def test_people_get_a_table(run, nano):
    result = run("bench", "--sizes", "64", "--objects", "1", "--frames", 1)
    assert "memory" in result.out
    assert "GFLOP/s" in result.err


def test_no_object_is_a_usage_error(run):
    assert run("bench", "--objects", "0").code == 2
    assert run("bench", "--objects", "many").code == 2


def test_a_model_is_as_it_was_after_it_was_measured(nano):
    model = load_model(nano, "cpu", image_size=64)
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    profile_tracking(model, 1, rate=1e9, frames=1)
    assert model.decode.__func__ is Sam2Model.decode
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted


def test_arithmetic_is_counted_outside_of_graphs_which_would_hide_it(nano):
    def frames():
        allowed.append(fast._enabled.get())
        yield None

    allowed = []
    profiling._count(load_model(nano, "cpu", image_size=64), frames())
    assert allowed == [False]
    assert fast._enabled.get()


def test_the_rate_of_a_matrix_product_is_that_of_a_computer():
    assert 1e8 < matrix_rate(torch.device("cpu"), seconds=0.05) < 1e14
