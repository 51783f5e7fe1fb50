"""nano, the embedded model: SAM 2 with a small convolutional trunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sam2_plugins.core.families.variant import Family, Shapes, TrunkConfig, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ConvTrunkConfig(TrunkConfig):
    """A small depthwise-convolution trunk: channels and blocks per stage (stride 4, 8, 16, 32)."""

    channels: tuple[int, ...]
    stages: tuple[int, ...]

    kind: ClassVar[str] = "conv"
    half_precision: ClassVar[bool] = False  # a small step, repeated from frame to frame, adds up
    corrects_nearby: ClassVar[bool] = True
    looks_again: ClassVar[bool] = True
    sees_colours: ClassVar[bool] = True
    judges_clicks: ClassVar[bool] = True

    def build_trunk(self) -> nn.Module:
        """Make the trunk with fresh weights."""
        from sam2_plugins.core.model.conv_trunk import ConvTrunk

        return ConvTrunk(self)

    def fits(self, shapes: Shapes) -> bool:
        """Never: its files say what they are, and other trunks of this kind look the same."""
        return False


NANO = Variant(
    name="nano",
    trunk=ConvTrunkConfig(channels=(32, 64, 128, 192), stages=(2, 2, 6, 2)),
    image_size=256,
    width=128,
    memory_layers=2,
    feedforward=512,
    top_down_levels=(0, 1, 2, 3),
    stability_fallback=False,
    prompt_views=4,
    gigaflop=2.1,
    about="embedded: small, trained on synthetic time-lapses only; for demos and first tries",
)

FAMILY = Family("nano", (NANO,), trunks=(ConvTrunkConfig,), place=0)
