"""Which variant a file holds: by its metadata, or by the names and shapes of its tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sam2_plugins.core.checkpoints.cache import sha256_of
from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.families import MEMORIES, TRUNKS
from sam2_plugins.core.families.variant import (
    MapMemory,
    MemoryConfig,
    Published,
    Shapes,
    TrunkConfig,
)
from sam2_plugins.core.variants import VARIANTS, Variant


def variant_to_json(variant: Variant) -> str:
    """Write a variant as JSON text, for a file's metadata."""
    fields = asdict(variant)
    fields["trunk"] = {"kind": variant.trunk.kind, **fields["trunk"]}
    fields["memory"] = {"kind": variant.memory.kind, **fields["memory"]}
    return json.dumps(fields)


def variant_from_json(text: str) -> Variant:
    """Read a variant back.

    Raises
    ------
    ModelError
        If the text is no variant of this version.
    """
    try:
        fields = _with_tuples(json.loads(text))
        published = fields.pop("published", None)
        trunk: TrunkConfig = _part(fields.pop("trunk"), TRUNKS)
        memory: MemoryConfig = _part(fields.pop("memory", {"kind": MapMemory.kind}), MEMORIES)
        return Variant(
            **fields,
            trunk=trunk,
            memory=memory,
            published=Published(**published) if published else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"its description of the model cannot be read ({error}); it may come from a newer "
            "sam2-plugins: update, or save the model again with this version."
        ) from error


def _part(fields: dict[str, Any], kinds: Mapping[str, type]) -> Any:
    return kinds[fields.pop("kind")](**fields)


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def fitting_variants(shapes: Shapes) -> tuple[Variant, ...]:
    """Return the published variants that a state dict's names and shapes fit: often one, or none.

    The trunk tells family and size; SAM 2.1 projects the time of object pointers, which others do
    not. Variants of one network that were trained in different ways have the same shapes.
    """
    timed = "obj_ptr_tpos_proj.weight" in shapes
    return tuple(
        variant
        for variant in VARIANTS.values()
        if variant.trunk.fits(shapes) and variant.pointer_time_encoding == timed
    )


def tell_apart(path: Path, fitting: tuple[Variant, ...], requested: Variant | None) -> Variant:
    """Return which of the variants that fit a file it holds: by its sha256, or by its name.

    The name is that of the file, or the one that was `requested`.

    Raises
    ------
    ModelError
        If neither tells. The wrong one would run, and give worse masks.
    """
    if len(fitting) == 1:
        return fitting[0]
    named = (
        requested
        if requested in fitting
        else next((v for v in fitting if v.config == path.stem), None)
    )
    digests = {v.published.sha256: v for v in fitting if v.published and v.published.sha256}
    known = digests.get(sha256_of(path), named) if digests else named
    if known is not None:
        return known
    raise ModelError(
        f"{path} may be {', '.join(variant.name for variant in fitting)}: its tensors fit all of "
        "them, and neither its sha256 nor its name tells which it is. Give it the name it was "
        f"published under, such as {fitting[0].config}.pt."
    )


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
    return (
        "; ".join(
            f"{what}: {', '.join(names[:3])}" + f" and {len(names) - 3} more" * (len(names) > 3)
            for what, names in differences.items()
            if names
        )
        or None
    )
