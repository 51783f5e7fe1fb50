"""EfficientTAM: SAM 2 with a plain vision transformer (Xiong et al. 2024).

One map at stride 16, no skip connections; otherwise as SAM 2.0. Two sizes of the trunk (`ti`, `s`),
each in four variants whose tensors have the same names and shapes: two ways of attending to pooled
memories (`1`, `2`), and one trained on smaller frames (`512x512`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from sam2_plugins.core.families.variant import (
    Family,
    MapMemory,
    MemoryConfig,
    Published,
    Shapes,
    TrunkConfig,
    Variant,
)

if TYPE_CHECKING:
    from torch import nn

    from sam2_plugins.core.model.memory_form import MemoryForm


@dataclass(frozen=True)
class VitConfig(TrunkConfig):
    """A plain vision transformer at stride 16 (Dosovitskiy et al. 2021; Li et al. 2022).

    Parameters
    ----------
    embed_dim, num_heads, depth
        Width, heads and blocks.
    global_blocks
        Indices of the blocks that attend to the whole frame instead of a window.
    window_size
        Side of the attention window in tokens.
    pos_embed_size
        Side of the stored position embedding, which is resized to the frame.
    """

    embed_dim: int
    num_heads: int
    depth: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    window_size: int = 14
    pos_embed_size: int = 14

    kind: ClassVar[str] = "vit"
    size_multiple: ClassVar[int] = 16
    has_skips: ClassVar[bool] = False

    def build_trunk(self) -> nn.Module:
        """Make the trunk with fresh weights."""
        from sam2_plugins.core.model.vit import Vit

        return Vit(self)

    def build_neck(self, width: int, top_down: Sequence[int]) -> nn.Module:
        """Make a neck of one level with fresh weights."""
        from sam2_plugins.core.model.vit import PlainNeck

        return PlainNeck(self.embed_dim, width)

    def fits(self, shapes: Shapes) -> bool:
        """Tell by the position embedding, which has a row for a class token, and the depth."""
        tokens = self.pos_embed_size**2 + 1
        last = f"image_encoder.trunk.blocks.{self.depth - 1}.attn.qkv.weight"
        embedded = shapes.get("image_encoder.trunk.pos_embed")
        return embedded == (1, tokens, self.embed_dim) and last in shapes


@dataclass(frozen=True)
class PooledMemory:
    """Map memories whose keys and values are averaged two by two, where there is more than one.

    Parameters
    ----------
    weigh
        How a key that stands for four weighs as much as four: by its logit, or, as one of the
        published models was trained, by all channels of the key.
    """

    weigh: Literal["logits", "keys"]

    kind: ClassVar[str] = "pooled"
    size_multiple: ClassVar[int] = 32

    def build(self, width: int) -> MemoryForm:
        """Make the module, which has no weights: what is kept is the whole map."""
        from sam2_plugins.core.model.memory_form import PooledForm

        return PooledForm(self.weigh)


_URL = "https://huggingface.co/yunyangx/efficient-track-anything/resolve/main"
_TRUNKS = {"ti": VitConfig(192, 3), "s": VitConfig(384, 6)}
_MEGABYTES = {"ti": 72, "s": 136}
_MEMORIES: dict[str, MemoryConfig] = {"1": PooledMemory("logits"), "2": PooledMemory("keys")}
_KINDS = {
    "": "",
    "1": ", pooled memories",
    "2": ", memories pooled otherwise",
    "512x512": ", for frames of 512 px",
}
_GIGAFLOP = {
    "ti": {"": 730, "1": 367, "2": 367, "512x512": 72},
    "s": {"": 925, "1": 562, "2": 562, "512x512": 115},
}
_SHA256 = {
    "efficienttam_s": "2b572be30d9e96ee29c8d785fe157c6b079ede7d56fbc8a3671d4120e63c89cd",
    "efficienttam_s_1": "4fd5d1f7ae08a7e15086623bf8b12f0b111b773b15564b43c0a5d451fc1a4267",
    "efficienttam_s_2": "253e490b4a3d56eedd64e4d466155ec538d1289f52abe78b091b14caefd92343",
    "efficienttam_s_512x512": "67b5840012737ed2c94a4cb8787c5c1b27b3a946045d2e602e65ef77230b6085",
    "efficienttam_ti": "acbb17b28cca1f860acee09c9ecb6efdb732080dc7a85a07292c31813175fa7d",
    "efficienttam_ti_2": "d2a9ca0a736257ee9bb238d335ba7c794ad853e594cb4f679019ecc0854ee587",
    "efficienttam_ti_512x512": "7d4d652a465f0081391050932f45d8a66768ccc99c8ea393ce8a5927e83f3b9b",
}
"""As the pages of the files say; that of `efficienttam_ti_1` was not found."""


def _variant(size: str, kind: str) -> Variant:
    config = "_".join(filter(None, ("efficienttam", size, kind)))
    return Variant(
        name=config.replace("_", "-"),
        config=config,
        trunk=_TRUNKS[size],
        image_size=512 if kind == "512x512" else 1024,
        memory=_MEMORIES.get(kind, MapMemory()),
        pointer_time_encoding=False,
        absent_memory_embedding=False,
        published=Published(f"{_URL}/{config}.pt", _MEGABYTES[size], _SHA256.get(config)),
        gigaflop=_GIGAFLOP[size][kind],
        about=f"EfficientTAM, {size}{_KINDS[kind]}",
    )


FAMILY = Family(
    "EfficientTAM",
    tuple(_variant(size, kind) for size in _TRUNKS for kind in _KINDS),
    trunks=(VitConfig,),
    memories=(PooledMemory,),
    place=3,
)
