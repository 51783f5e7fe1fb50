"""Which variant a file holds: by its metadata, or by the names and shapes of its tensors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sam2_plugins.core.errors import CheckpointError
from sam2_plugins.core.variants import (
    VARIANTS,
    ConvTrunkConfig,
    HieraConfig,
    Published,
    Variant,
)

_TRUNKS: dict[str, type[HieraConfig] | type[ConvTrunkConfig]] = {
    "hiera": HieraConfig,
    "conv": ConvTrunkConfig,
}


def variant_to_json(variant: Variant) -> str:
    """Write a variant as JSON text, for a file's metadata."""
    kind = next(kind for kind, trunk in _TRUNKS.items() if isinstance(variant.trunk, trunk))
    fields = asdict(variant)
    return json.dumps({**fields, "trunk": {"kind": kind, **fields["trunk"]}})


def variant_from_json(text: str) -> Variant:
    """Read a variant back.

    Raises
    ------
    CheckpointError
        If the text is no variant of this version.
    """
    try:
        fields = _with_tuples(json.loads(text))
        trunk = fields.pop("trunk")
        published = fields.pop("published", None)
        return Variant(
            **fields,
            trunk=_TRUNKS[trunk.pop("kind")](**trunk),
            published=Published(**published) if published else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"its description of the model cannot be read ({error}); it may come from a newer "
            "sam2-plugins: update, or save the model again with this version."
        ) from error


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> Variant | None:
    """Return the published variant that a state dict's names and shapes belong to, or None.

    The trunk's width and depth tell the size; SAM 2.1 projects the time of object pointers,
    which SAM 2.0 does not.
    """
    patches = shapes.get("image_encoder.trunk.patch_embed.proj.weight")
    if patches is None:
        return None
    embed_dim, depth = patches[0], _depth(shapes)
    for variant in VARIANTS.values():
        if (
            isinstance(variant.trunk, HieraConfig)
            and variant.trunk.embed_dim == embed_dim
            and sum(variant.trunk.stages) == depth
            and variant.pointer_time_encoding == ("obj_ptr_tpos_proj.weight" in shapes)
        ):
            return variant
    return None


def _depth(names: Iterable[str]) -> int:
    prefix = "image_encoder.trunk.blocks."
    return len({n.removeprefix(prefix).split(".")[0] for n in names if n.startswith(prefix)})


def mismatch(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> str | None:
    """Say in what a state dict differs from the network's, or None if it fits exactly."""
    wrong = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    differences = {
        "unknown tensors": [name for name in found if name not in expected],
        "missing tensors": [name for name in expected if name not in found],
        "other shapes": wrong,
    }
    listing = [f"{what}: {_a_few(names)}" for what, names in differences.items() if names]
    return "; ".join(listing) or None


def _a_few(names: list[str], few: int = 3) -> str:
    more = f" and {len(names) - few} more" if len(names) > few else ""
    return ", ".join(names[:few]) + more
