"""Every model that is known here by name; `core.families` says what each is made of."""

from __future__ import annotations

from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.families import FAMILIES
from sam2_plugins.core.families.nano import NANO
from sam2_plugins.core.families.variant import Variant

__all__ = ["NANO", "VARIANTS", "Variant", "get_variant"]

VARIANTS: dict[str, Variant] = {
    variant.name: variant for family in FAMILIES for variant in family.variants
}


def get_variant(name: str) -> Variant:
    """Return the variant called `name`; the authors' configuration names are understood too.

    Raises
    ------
    ModelError
        If there is no such variant.
    """
    by_config = {v.config: v for v in VARIANTS.values() if v.config}
    variant = VARIANTS.get(name) or by_config.get(name.removesuffix(".pt").removesuffix(".yaml"))
    if variant is None:
        choices = ", ".join(VARIANTS)
        raise ModelError(
            f"There is no model called {name!r}. Choose one of {choices}, or give the path of a "
            ".pt or .safetensors file."
        )
    return variant
