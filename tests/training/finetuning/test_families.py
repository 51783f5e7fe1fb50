"""Every family is fine-tuned like SAM 2. Weights are seeded, so nothing is learned of the discs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sam2_plugins.core import load_model
from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.variants import get_variant
from sam2_plugins.training.finetuning import (
    AnnotatedMovie,
    Parts,
    Settings,
    finetune,
    memory_budget,
    split_movies,
)
from sam2_plugins.training.parts import choose_parts
from tests.reference.fast_weights import seeded_state

from .test_finetune import _judged


def seeded(name: str) -> Sam2Model:
    torch.set_num_threads(1)
    model = build_model(get_variant(name), 256)
    shapes = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    model.load_state_dict(seeded_state(shapes))
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edgetam", "efficienttam-ti-1"])
def test_all_of_a_family_learns_but_the_statistics_that_it_came_with(
    name: str, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.1, 0.2], held_out=[0.1, 0.3])
    model = seeded(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    statistics = {key for key, _ in model.named_buffers()}
    quick = Settings(parts=Parts.all, steps=1, check_every=1, clips=1, frames=2, objects=2)
    report = finetune(model, split_movies([movie]), tmp_path / "mine.safetensors", quick)
    assert report.path is not None
    tuned = load_model(report.path, "cpu")
    assert tuned.variant == replace(get_variant(name), image_size=256)
    after = tuned.state_dict()
    assert after.keys() == before.keys()
    moved = {key for key in after if not torch.equal(after[key], before[key])}
    assert not moved & statistics
    assert any(key.startswith("image_encoder.trunk.") for key in moved)


def test_the_memory_of_edgetam_learns_with_its_latents() -> None:
    model = seeded("edgetam")
    choose_parts(model, Parts.memory)
    assert model.spatial_perceiver.latents.requires_grad
    assert not any(p.requires_grad for p in model.image_encoder.parameters())
    assert memory_budget(model, 1, 2, 1).activations > 0
