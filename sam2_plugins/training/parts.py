"""Which parts of a model are trained, and which stay as they are."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from sam2_plugins.core.model import Sam2Model


class Parts(str, Enum):
    """What is trained: the more, the more annotations it takes."""

    decoder = "decoder"
    memory_alone = "memory"
    memory = "decoder+memory"
    all = "all"


# What makes memories, attends to them, or stands in for those that are missing: without it a first
# frame is answered as before.
_TRACKING = (
    "memory_attention.",
    "memory_encoder.",
    "spatial_perceiver.",
    "obj_ptr",
    "maskmem_tpos_enc",
    "no_obj_embed",
)
_MEMORY = (*_TRACKING, "no_mem", "no_obj")
_TRAINED = {
    Parts.decoder: ("sam_mask_decoder.",),
    Parts.memory_alone: _TRACKING,
    Parts.memory: ("sam_mask_decoder.", *_MEMORY),
    Parts.all: ("",),
}


def choose_parts(model: Sam2Model, parts: Parts) -> list[nn.Parameter]:
    """Freeze all other parameters, and return those that are trained."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(_TRAINED[parts]))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
