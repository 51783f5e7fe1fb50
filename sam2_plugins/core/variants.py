"""Every published SAM 2 size, and the embedded one, as data.

The numbers of the published sizes are those of the papers (Ravi et al. 2024; Ryali et al. 2023 for
Hiera); the state dict shapes in `tests/reference` hold them to account.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sam2_plugins.core.errors import UnknownVariantError


@dataclass(frozen=True)
class HieraConfig:
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

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the feature maps at stride 4, 8, 16 and 32."""
        return tuple(self.embed_dim * 2**i for i in range(len(self.stages)))


@dataclass(frozen=True)
class ConvTrunkConfig:
    """A small depthwise-convolution trunk: channels and blocks per stage (stride 4, 8, 16, 32)."""

    channels: tuple[int, ...]
    stages: tuple[int, ...]


@dataclass(frozen=True)
class Published:
    """Where the authors' weights are; `sha256` is checked where the authors' digest is known."""

    url: str
    megabytes: int
    sha256: str | None = None


@dataclass(frozen=True)
class Variant:
    """All that distinguishes one model from another, apart from its weights.

    Parameters
    ----------
    name
        What a person types.
    trunk
        The image encoder's trunk.
    config
        The authors' name for the configuration; empty for ours.
    image_size
        Side in pixels of the square that the model sees. A multiple of 32.
    width
        Channels of the neck, the decoder and memory attention.
    memory_layers
        Layers of memory attention.
    feedforward
        Hidden channels of the transformers' feed-forward parts.
    top_down_levels
        Neck levels (0 is stride 4) that receive the level above.
    pointer_time_encoding, absent_memory_embedding
        What SAM 2.1 added to SAM 2.0: pointers know when they were made, and the memory of a frame
        without the object says so.
    stability_fallback
        Where one mask is asked for and its outline is not stable, take the best of three instead.
    prompt_views
        In how many ways, turned by quarters, a prompt's window is looked at: 1 to 4.
    published
        Where the weights are, if the authors published them.
    licence
        Licence of the weights.
    """

    name: str
    trunk: HieraConfig | ConvTrunkConfig
    config: str = ""
    image_size: int = 1024
    width: int = 256
    memory_width: int = 64
    memory_layers: int = 4
    feedforward: int = 2048
    top_down_levels: tuple[int, ...] = (2, 3)
    pointer_time_encoding: bool = True
    absent_memory_embedding: bool = True
    num_memories: int = 7
    max_pointers: int = 16
    stability_fallback: bool = True
    prompt_views: int = 1
    published: Published | None = None
    licence: str = "Apache-2.0"
    about: str = field(default="", compare=False)


_TRUNKS = {
    "tiny": HieraConfig(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "small": HieraConfig(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "base-plus": HieraConfig(112, 2, (2, 3, 16, 3), (12, 16, 20), pos_embed_size=14),
    "large": HieraConfig(144, 2, (2, 6, 36, 4), (23, 33, 43), window_sizes=(8, 4, 16, 8)),
}
_MEGABYTES = {"tiny": 149, "small": 176, "base-plus": 309, "large": 857}
_RELEASES = {"sam2.1": "092824", "sam2": "072824"}


def _published(release: str, size: str) -> Variant:
    config = f"{release}_hiera_{size.replace('-', '_')}"
    newer = release == "sam2.1"
    url = f"https://dl.fbaipublicfiles.com/segment_anything_2/{_RELEASES[release]}/{config}.pt"
    return Variant(
        name=f"{release}-{size}",
        config=config,
        trunk=_TRUNKS[size],
        pointer_time_encoding=newer,
        absent_memory_embedding=newer,
        published=Published(url, _MEGABYTES[size]),
        about=f"SAM {release[3:]}{'' if newer else '.0'}, {size}, by Meta",
    )


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
    about="embedded: small, trained on synthetic time-lapses only; for demos and first tries",
)

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (NANO, *(_published(r, s) for r in _RELEASES for s in _TRUNKS))
}


def get_variant(name: str) -> Variant:
    """Return the variant called `name`; the authors' configuration names are understood too.

    Raises
    ------
    UnknownVariantError
        If there is no such variant.
    """
    by_config = {v.config: v for v in VARIANTS.values() if v.config}
    variant = VARIANTS.get(name) or by_config.get(name.removesuffix(".pt").removesuffix(".yaml"))
    if variant is None:
        choices = ", ".join(VARIANTS)
        raise UnknownVariantError(
            f"There is no model called {name!r}. Choose one of {choices}, or give the path of a "
            ".pt or .safetensors file."
        )
    return variant
