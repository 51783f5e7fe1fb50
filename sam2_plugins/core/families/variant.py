"""What distinguishes one model from another, as data: no torch is imported here.

A variant is made of parts (a trunk, a form of memory). A part is a frozen dataclass of numbers that
builds its module when a network is made, so a family brings its own parts and nothing else changes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from torch import nn

    from sam2_plugins.core.model.memory_form import MemoryForm

Shapes = Mapping[str, tuple[int, ...]]
"""Names and shapes of the tensors of a state dict."""


class TrunkConfig(ABC):
    """An image encoder: its trunk, and the neck that brings the trunk's maps to one width.

    As it stands here, the maps are at stride 4, 8, 16 and 32, and a feature pyramid joins them.
    """

    channels: Any
    """Of the maps."""

    kind: ClassVar[str]
    """Its name in a saved file."""

    size_multiple: ClassVar[int] = 32
    """The side of the input in pixels is a multiple of this."""

    has_skips: ClassVar[bool] = True
    """Whether there are maps at stride 4 and 8, which the mask decoder adds to its own."""

    half_precision: ClassVar[bool] = True
    """Whether a card computes in bfloat16. It is what large models need to be quick."""

    corrects_nearby: ClassVar[bool] = False
    """Whether a click on the mask of a box or of clicks changes it near the click only, unless it
    lies so deep in what is wrong that all of it is in doubt. A small model changes what was right,
    too."""

    looks_again: ClassVar[bool] = False
    """Whether a tracked mask is the mean with what the model makes of its box without memory, where
    both agree. A small model's outlines are better for it."""

    sees_colours: ClassVar[bool] = False
    """Whether a tracked mask in a photograph is held against the colours that the object had where
    it was prompted. A small model takes what lies beside it for a part of it."""

    judges_clicks: ClassVar[bool] = False
    """Whether, of the masks of a click on a photograph, the one that looks most like a whole object
    is taken. A small model's predicted IoU is highest for patches of texture."""

    @abstractmethod
    def build_trunk(self) -> nn.Module:
        """Make the trunk with fresh weights."""

    @abstractmethod
    def fits(self, shapes: Shapes) -> bool:
        """Tell from a few tensors whether a state dict has this trunk."""

    def build_neck(self, width: int, top_down: Sequence[int]) -> nn.Module:
        """Make the neck with fresh weights."""
        from sam2_plugins.core.model.image_encoder import FpnNeck

        return FpnNeck(self.channels, width, top_down)


class MemoryConfig(Protocol):
    """What a memory consists of, and how it is attended to."""

    kind: ClassVar[str]
    """Its name in a saved file."""

    size_multiple: ClassVar[int]
    """The side of the input in pixels is a multiple of this."""

    def build(self, width: int) -> MemoryForm:
        """Make what turns a map of `width` channels into a memory, with fresh weights."""


@dataclass(frozen=True)
class MapMemory:
    """SAM 2's memory: the map of the frame itself."""

    kind: ClassVar[str] = "map"
    size_multiple: ClassVar[int] = 16

    def build(self, width: int) -> MemoryForm:
        """Make the module, which has no weights."""
        from sam2_plugins.core.model.memory_form import MapForm

        return MapForm()


@dataclass(frozen=True)
class Published:
    """Weights that their authors published.

    Parameters
    ----------
    sha256
        Checked where it is known.
    j_and_f
        The authors' figure on SA-V test, where they give one: how good the masks are.
    """

    url: str
    megabytes: int
    sha256: str | None = None
    j_and_f: float | None = None


@dataclass(frozen=True)
class Variant:
    """All that distinguishes one model from another, apart from its weights.

    Parameters
    ----------
    name
        What a person types.
    trunk
        The image encoder.
    config
        The authors' name for the configuration; empty for ours.
    image_size
        Side in pixels of the square that the model sees, as it was trained.
    width
        Channels of the neck, the decoder and memory attention.
    memory
        What a memory consists of.
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
        Where one mask is wanted and its outline is not stable, take the best of three instead.
    prompt_views
        Views of a prompt's window, turned by quarters, whose predictions are averaged: 1 to 4.
    published
        Where the weights are, if the authors published them.
    licence
        Licence of the weights.
    gigaflop
        Arithmetic of a tracked frame with one object and a full memory at `image_size`, in 10^9
        operations; None if it was not counted.
    """

    name: str
    trunk: TrunkConfig
    config: str = ""
    image_size: int = 1024
    width: int = 256
    memory: MemoryConfig = MapMemory()
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
    gigaflop: float | None = field(default=None, compare=False)
    about: str = field(default="", compare=False)

    @property
    def size_multiple(self) -> int:
        """Input sizes are multiples of this."""
        return lcm(self.trunk.size_multiple, self.memory.size_multiple)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Input sizes up to the one of training; larger multiples serve as well."""
        return tuple(range(self.size_multiple, self.image_size + 1, self.size_multiple))

    def size_note(self, image_size: int) -> str | None:
        """Return what a person who chooses another size than that of training should know."""
        if self.published is None or image_size == self.image_size:
            return None
        return (
            f"{self.name} was trained at {self.image_size} px only: how good its masks are at "
            f"{image_size} px is not known, so compare both on a part of your movie"
        )


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
