from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sam2_plugins.core.checkpoints.recognise import (
    fitting_variants,
    mismatch,
    variant_from_json,
    variant_to_json,
)
from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.families.nano import ConvTrunkConfig
from sam2_plugins.core.variants import NANO, VARIANTS, Variant

REFERENCE = Path(__file__).parents[1] / "reference"
PUBLISHED = [variant for variant in VARIANTS.values() if variant.published]


def published_shapes(variant: Variant) -> dict[str, tuple[int, ...]]:
    shapes = json.loads((REFERENCE / f"{shapes_file(variant.config)}.json").read_text())
    return {name: tuple(shape) for name, shape in shapes.items()}


def shapes_file(config: str) -> str:
    """The variants of one EfficientTAM share their shapes."""
    return "_".join(config.split("_")[:2]) if config.startswith("efficienttam") else config


@pytest.mark.parametrize("variant", PUBLISHED, ids=lambda v: v.name)
def test_every_published_size_is_recognised_by_its_shapes(variant: Variant) -> None:
    found = fitting_variants(published_shapes(variant))
    assert variant in found
    assert {shapes_file(v.config) for v in found} == {shapes_file(variant.config)}
    assert len(found) == (4 if variant.config.startswith("efficienttam") else 1)


def test_another_network_is_not_recognised() -> None:
    assert not fitting_variants({"conv1.weight": (64, 3, 7, 7)})
    patches = {"image_encoder.trunk.patch_embed.proj.weight": (768, 3, 16, 16)}
    assert not fitting_variants(patches)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda v: v.name)
def test_a_variant_survives_the_way_through_json(variant: Variant) -> None:
    assert variant_from_json(variant_to_json(variant)) == variant


def test_a_changed_nano_survives_the_way_through_json() -> None:
    changed = replace(NANO, trunk=ConvTrunkConfig((8, 16, 24, 32), (1, 1, 1, 1)), memory_layers=1)
    assert variant_from_json(variant_to_json(changed)) == changed


@pytest.mark.parametrize(
    "text", ["not JSON", "[]", "{}", '{"name": "x", "trunk": {"kind": "transformer-xl"}}']
)
def test_a_description_from_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="update"):
        variant_from_json(text)


def test_a_fitting_state_dict_has_no_mismatch() -> None:
    assert mismatch({"a": (1,)}, {"a": (1,)}) is None


def test_a_mismatch_names_a_few_tensors_of_each_kind() -> None:
    extra = {f"extra.{i}": (1,) for i in range(5)}
    text = mismatch({"a": (2,), **extra}, {"a": (1,), "b": (3,)})
    assert text == (
        "unknown tensors: extra.0, extra.1, extra.2 and 2 more; missing tensors: b; "
        "other shapes: a [2] instead of [1]"
    )
