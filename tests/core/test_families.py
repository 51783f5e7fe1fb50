"""The registry of model families."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sam2_plugins.core import families
from sam2_plugins.core.families import FAMILIES, MEMORIES, TRUNKS
from sam2_plugins.core.model import Memories, Sam2Model, build_model
from sam2_plugins.core.variants import VARIANTS, get_variant

BIGGER_FRAMES = """
from dataclasses import replace
from sam2_plugins.core.families.sam2 import FAMILY as SAM2
from sam2_plugins.core.families.variant import Family

tiny = SAM2.variants[0]
FAMILY = Family("Mine", (replace(tiny, name="mine", config="mine", image_size=1536),), place=9)
"""


def test_a_family_is_found_as_soon_as_its_module_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(BIGGER_FRAMES)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    found = families._discover()
    assert [family.name for family in found] == [*(f.name for f in FAMILIES), "Mine"]
    with torch.device("meta"):
        assert build_model(found[-1].variants[0]).image_size == 1536


def test_nano_is_listed_first_and_sam_2_before_the_others() -> None:
    assert list(VARIANTS)[:2] == ["nano", "sam2.1-tiny"]


def test_names_are_those_of_one_variant_each() -> None:
    listed = [variant for family in FAMILIES for variant in family.variants]
    assert len(VARIANTS) == len(listed)
    configs = [variant.config for variant in listed if variant.config]
    assert len(set(configs)) == len(configs)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda v: v.name)
def test_the_parts_of_a_variant_can_be_named_in_a_file(variant) -> None:
    assert TRUNKS[variant.trunk.kind] is type(variant.trunk)
    assert MEMORIES[variant.memory.kind] is type(variant.memory)


def test_each_family_says_which_sizes_hold() -> None:
    assert get_variant("edgetam").sizes == (256, 512, 768, 1024)
    assert get_variant("sam2.1-tiny").size_multiple == 32
    assert get_variant("efficienttam-ti").size_multiple == 16
    assert get_variant("efficienttam-ti-2").size_multiple == 32


def test_another_size_than_that_of_training_is_said_to_be_unknown() -> None:
    edgetam = get_variant("edgetam")
    assert edgetam.size_note(1024) is None
    assert "trained at 1024 px only" in str(edgetam.size_note(512))
    assert get_variant("nano").size_note(512) is None


@pytest.mark.parametrize("name", ["nano", "sam2.1-tiny", "edgetam", "efficienttam-s-1"])
def test_the_arithmetic_that_is_stated_is_that_of_the_network(name: str) -> None:
    variant = get_variant(name)
    with torch.device("meta"):
        model = build_model(variant).eval().requires_grad_(False)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        track_one_frame(model)
    assert counter.get_total_flops() / 1e9 == pytest.approx(variant.gigaflop, rel=0.03)


def track_one_frame(model: Sam2Model) -> None:
    """One object with a full memory."""
    size, variant = model.image_size, model.variant
    zeros = partial(torch.zeros, device=model.device)
    here = model.encode_image(zeros(1, 3, size, size))
    mask = zeros(1, 1, model.mask_size, model.mask_size)
    memory = model.encode_memory(here.coarse, mask, zeros(1, 1), prompted=False)
    memories = Memories(
        maps=memory[:, None].repeat_interleave(variant.num_memories, 1),
        slots=zeros(1, variant.num_memories, dtype=torch.long),
        pointers=zeros(1, variant.max_pointers, variant.width),
        distances=zeros(1, variant.max_pointers),
        span=variant.max_pointers - 1,
    )
    coarse = model.attend_to_memory(here.coarse, memories)
    model.decode(coarse, here.skips, zeros(1, 1, 2), zeros(1, 1, dtype=torch.long))
