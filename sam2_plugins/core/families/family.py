"""A model family: variants of one architecture, and the parts that they are made of."""

from __future__ import annotations

from dataclasses import dataclass

from sam2_plugins.core.families.variant import MemoryConfig, TrunkConfig, Variant


@dataclass(frozen=True)
class Family:
    """Models of one architecture.

    Parameters
    ----------
    name
        What people call it.
    variants
        In the order in which lists of models show them.
    trunks, memories
        The parts that its variants, and files saved of them, may have.
    place
        Where the family stands in lists of models: lower comes first.
    """

    name: str
    variants: tuple[Variant, ...]
    trunks: tuple[type[TrunkConfig], ...] = ()
    memories: tuple[type[MemoryConfig], ...] = ()
    place: int = 100
