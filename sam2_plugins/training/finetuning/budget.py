"""How much memory fine-tuning will take, known before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sam2_plugins.core.model import ImageFeatures, Memories, Sam2Model
from sam2_plugins.training.finetuning.clips import CACHE_BYTES

_SLACK = 1.5  # what passes in between, and the allocator's holes


@dataclass(frozen=True)
class Budget:
    """An upper bound, in bytes.

    Attributes
    ----------
    weights
        The model, its average, the best so far, and what is kept of each trained weight: gradient
        and two moments.
    activations
        Of a step, kept for its backward pass.
    frames
        Frames of movies that are kept decoded.
    """

    weights: int
    activations: int
    frames: int = CACHE_BYTES

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.activations + self.frames

    def __str__(self) -> str:
        parts = f"{_megabytes(self.weights)} weights, {_megabytes(self.activations)} activations"
        return f"at most {_megabytes(self.total)}: {parts}, {_megabytes(self.frames)} frames"


def memory_budget(model: Sam2Model, clips: int, frames: int, objects: int) -> Budget:
    """Bound the memory of steps with so many clips of so many frames with so many objects each.

    A forward pass of one frame, and of one object with a full memory bank, is run and what it
    keeps is counted; which parts are trained must have been chosen before.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    with _kept(model) as of_frame:
        _black_frame(model)
    of_object = _kept_by_object(model, frames - 1)
    # Each object is decoded twice where it is corrected.
    kept = clips * frames * (_stored(of_frame) + objects * of_object)
    weights = 3 * sum(p.nbytes for p in (*model.parameters(), *trained))
    return Budget(weights, int(_SLACK * kept))


def _black_frame(model: Sam2Model) -> ImageFeatures:
    size = model.image_size
    return model.encode_image(torch.zeros(1, 3, size, size, device=model.device))


def _kept_by_object(model: Sam2Model, memories: int) -> int:
    variant, device = model.variant, model.device
    count = max(1, min(memories, variant.num_memories))
    with torch.no_grad():
        here = _black_frame(model)
        nothing = torch.zeros(1, 1, model.mask_size, model.mask_size, device=device)
        memory = model.encode_memory(here.coarse, nothing, nothing[0, 0, :1, :1], prompted=False)
    bank = Memories(
        maps=memory[:, None].repeat_interleave(count, 1),
        slots=torch.zeros(1, count, dtype=torch.long, device=device),
        pointers=torch.zeros(1, count, variant.width, device=device),
        distances=torch.ones(1, count, device=device),
        span=variant.max_pointers - 1,
    )
    points = torch.zeros(1, 2, 2, device=device)
    labels = torch.ones(1, 2, dtype=torch.long, device=device)
    with _kept(model) as kept:
        conditioned = model.attend_to_memory(here.coarse, bank)
        decoded = model.decode(conditioned, here.skips)
        model.decode(conditioned, here.skips, points, labels, decoded.mask)
        model.encode_memory(here.coarse, decoded.mask, decoded.object_score, prompted=False)
    # Losses keep a few maps of each mask that is offered, twice.
    return _stored(kept) + 24 * decoded.candidates.nbytes


@contextmanager
def _kept(model: nn.Module) -> Iterator[list[Tensor]]:
    """What autograd keeps while the block runs: each storage once, and without the weights."""
    known = {p.untyped_storage().data_ptr() for p in model.parameters()}
    # A tensor that is held stays where it is, so that no other takes its address.
    held: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            known.add(tensor.untyped_storage().data_ptr())
            held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield held


def _stored(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
