"""SAM 2 and SAM 2.1 by Meta, in their four published sizes.

The numbers are those of the papers (Ravi et al. 2024; Ryali et al. 2023 for Hiera); the state dict
shapes in `tests/reference` hold them to account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sam2_plugins.core.families.variant import (
    Family,
    MapMemory,
    Published,
    Shapes,
    TrunkConfig,
    Variant,
)

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class HieraConfig(TrunkConfig):
    """A hierarchical vision transformer.

    Parameters
    ----------
    embed_dim, num_heads
        Width and heads of the first stage; both double at every later stage.
    stages
        Blocks per stage.
    global_blocks
        Indices of the blocks that attend to the whole frame instead of a window.
    window_sizes
        Side of the attention window per stage, in tokens of that stage.
    pos_embed_size
        Side of the stored position embedding, which is resized to the frame.
    """

    embed_dim: int
    num_heads: int
    stages: tuple[int, ...]
    global_blocks: tuple[int, ...]
    window_sizes: tuple[int, ...] = (8, 4, 14, 7)
    pos_embed_size: int = 7

    kind: ClassVar[str] = "hiera"

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the feature maps at stride 4, 8, 16 and 32."""
        return tuple(self.embed_dim * 2**i for i in range(len(self.stages)))

    def build_trunk(self) -> nn.Module:
        """Make the trunk with fresh weights."""
        from sam2_plugins.core.model.hiera import Hiera

        return Hiera(self)

    def fits(self, shapes: Shapes) -> bool:
        """Tell by the width and the depth."""
        patches = shapes.get("image_encoder.trunk.patch_embed.proj.weight")
        embedded = shapes.get("image_encoder.trunk.pos_embed_window")
        if patches is None or embedded is None:
            return False
        return patches[0] == self.embed_dim and _depth(shapes) == sum(self.stages)


def _depth(names: Iterable[str]) -> int:
    prefix = "image_encoder.trunk.blocks."
    return len({n.removeprefix(prefix).split(".")[0] for n in names if n.startswith(prefix)})


_TRUNKS = {
    "tiny": HieraConfig(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "small": HieraConfig(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "base-plus": HieraConfig(112, 2, (2, 3, 16, 3), (12, 16, 20), pos_embed_size=14),
    "large": HieraConfig(144, 2, (2, 6, 36, 4), (23, 33, 43), window_sizes=(8, 4, 16, 8)),
}
_MEGABYTES = {"tiny": 149, "small": 176, "base-plus": 309, "large": 857}
_GIGAFLOP = {"tiny": 913, "small": 981, "base-plus": 1268, "large": 2444}
_RELEASES = {"sam2.1": "092824", "sam2": "072824"}
_J_AND_F = {
    "sam2.1": {"tiny": 76.5, "small": 76.6, "base-plus": 78.2, "large": 79.5},
    "sam2": {"tiny": 75.0, "large": 76.0},
}


def _variant(release: str, size: str) -> Variant:
    config = f"{release}_hiera_{size.replace('-', '_')}"
    newer = release == "sam2.1"
    url = f"https://dl.fbaipublicfiles.com/segment_anything_2/{_RELEASES[release]}/{config}.pt"
    return Variant(
        name=f"{release}-{size}",
        config=config,
        trunk=_TRUNKS[size],
        pointer_time_encoding=newer,
        absent_memory_embedding=newer,
        published=Published(url, _MEGABYTES[size], j_and_f=_J_AND_F[release].get(size)),
        gigaflop=_GIGAFLOP[size],
        about=f"SAM {release[3:]}{'' if newer else '.0'}, {size}, by Meta",
    )


FAMILY = Family(
    "SAM 2",
    tuple(_variant(release, size) for release in _RELEASES for size in _TRUNKS),
    trunks=(HieraConfig,),
    memories=(MapMemory,),
    place=1,
)
