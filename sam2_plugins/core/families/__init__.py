"""The families of models that are known here, one module each.

A module of this package that defines `FAMILY` is a family. To add one, write such a module, and the
torch modules of its parts in `core/model` if they are new: nothing else needs to know.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from sam2_plugins.core.families.variant import Family, MemoryConfig, TrunkConfig


def _discover() -> tuple[Family, ...]:
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    found: list[Family] = [module.FAMILY for module in modules if hasattr(module, "FAMILY")]
    return tuple(sorted(found, key=lambda family: (family.place, family.name)))


FAMILIES = _discover()

TRUNKS: dict[str, type[TrunkConfig]] = {t.kind: t for family in FAMILIES for t in family.trunks}
"""Every trunk by the name that a saved file gives it."""

MEMORIES: dict[str, type[MemoryConfig]] = {
    memory.kind: memory for family in FAMILIES for memory in family.memories
}
"""Every form of memory by the name that a saved file gives it."""
