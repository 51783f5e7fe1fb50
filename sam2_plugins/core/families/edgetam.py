"""EdgeTAM by Meta: SAM 2 for machines without a graphics card (Zhou et al. 2025).

A convolutional trunk, memories of 512 latents whatever the size of the frame, and two layers of
memory attention; otherwise as SAM 2.0. There is one checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sam2_plugins.core.families.variant import Family, Published, Shapes, TrunkConfig, Variant

if TYPE_CHECKING:
    from torch import nn

    from sam2_plugins.core.model.memory_form import MemoryForm


@dataclass(frozen=True)
class RepVitConfig(TrunkConfig):
    """A RepViT trunk (Wang et al. 2024): channels and blocks per stage (stride 4, 8, 16, 32)."""

    channels: tuple[int, ...] = (48, 96, 192, 384)
    stages: tuple[int, ...] = (2, 2, 14, 2)

    kind: ClassVar[str] = "repvit"

    def build_trunk(self) -> nn.Module:
        """Make the trunk with fresh weights."""
        from sam2_plugins.core.model.repvit import RepVit

        return RepVit(self)

    def fits(self, shapes: Shapes) -> bool:
        """Tell by the width of the stem and the last block."""
        trunk, last = "image_encoder.trunk.body", len(self.stages) - 1
        return (
            shapes.get(f"{trunk}.stem.conv2.c.weight", ())[:1] == self.channels[:1]
            and f"{trunk}.stages_{last}.blocks.{self.stages[-1] - 1}.channel_mixer.conv1.c.weight"
            in shapes
        )


@dataclass(frozen=True)
class LatentMemory:
    """A memory of latents that attend to the frame's map: some to all of it, some to a window each.

    Parameters
    ----------
    unplaced
        Latents that attend to the whole map, and have no place in the frame.
    side
        The other latents are a grid of this side: each attends to its part of the map.
    """

    unplaced: int = 256
    side: int = 16

    kind: ClassVar[str] = "latents"
    # Windows are whole, at stride 16, and the grid has 16 of them a side.
    size_multiple: ClassVar[int] = 256

    def build(self, width: int) -> MemoryForm:
        """Make the spatial perceiver with fresh weights."""
        from sam2_plugins.core.model.spatial_perceiver import SpatialPerceiver

        return SpatialPerceiver(width, self.unplaced, self.side)


EDGETAM = Variant(
    name="edgetam",
    config="edgetam",
    trunk=RepVitConfig(),
    memory=LatentMemory(),
    memory_layers=2,
    pointer_time_encoding=False,
    absent_memory_embedding=False,
    published=Published(
        "https://github.com/facebookresearch/EdgeTAM/raw/main/checkpoints/edgetam.pt",
        56,
        "ed2d4850b8792c239689b043c47046ec239b6e808a3d9b6ae676c803fd8780df",
        j_and_f=71.7,
    ),
    gigaflop=144,
    about="EdgeTAM, by Meta: for machines without a graphics card",
)

FAMILY = Family("EdgeTAM", (EDGETAM,), trunks=(RepVitConfig,), memories=(LatentMemory,), place=2)
