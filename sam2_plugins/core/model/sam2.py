"""The network: four operations, and no state but weights (Ravi et al. 2024, figure 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.families.variant import Variant
from sam2_plugins.core.model.fast import replayed
from sam2_plugins.core.model.image_encoder import ImageEncoder
from sam2_plugins.core.model.layers import MLP
from sam2_plugins.core.model.mask_decoder import MaskDecoder
from sam2_plugins.core.model.memory_attention import ONE_BY_ONE, MemoryAttention
from sam2_plugins.core.model.memory_encoder import MemoryEncoder
from sam2_plugins.core.model.position_encoding import sine_grid, sine_of
from sam2_plugins.core.model.prompt_encoder import PADDING, PromptEncoder

STRIDE = 16
ABSENT_LOGIT = -1024.0
MASK_SCALE, MASK_SHIFT = 20.0, -10.0
"""How a mask's probability is scaled before it meets a convolution."""

PREVIOUS_LOGIT_LIMIT = 32.0
"""Earlier logits are clamped to this before they are fed back with a correcting click."""

LARGE_GRID = 32
"""From this side of the grid on, the memories of several objects outgrow a processor's cache."""

_FEW_SIZES = 8
"""Sizes that fit are listed up to this number."""

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageFeatures:
    """What the image encoder says of one frame.

    Attributes
    ----------
    coarse
        [1, C, g, g] at stride 16.
    skips
        Stride 4 and stride 8, reduced to the channels that the mask decoder adds; none where a
        model has no such maps.
    """

    coarse: Tensor
    skips: tuple[Tensor, ...]

    def __getitem__(self, rows: slice | Tensor | NDArray[np.integer]) -> ImageFeatures:
        """Take some of a batch."""
        return ImageFeatures(self.coarse[rows], tuple(skip[rows] for skip in self.skips))

    def each(self) -> Iterator[ImageFeatures]:
        """Take a batch apart."""
        for coarse, *skips in zip(*(t.split(1) for t in (self.coarse, *self.skips)), strict=True):
            yield ImageFeatures(coarse, tuple(skips))

    @property
    def nbytes(self) -> int:
        """Bytes of all maps."""
        return sum(tensor.nbytes for tensor in (self.coarse, *self.skips))

    @staticmethod
    def cat(each: Sequence[ImageFeatures]) -> ImageFeatures:
        """Make one batch of several."""
        skips = zip(*(one.skips for one in each), strict=True)
        return ImageFeatures(
            torch.cat([one.coarse for one in each]), tuple(torch.cat(level) for level in skips)
        )


@dataclass(frozen=True)
class Memories:
    """What B objects remember, as tensors.

    Attributes
    ----------
    maps
        [B, M, memory_width, g, g], or [B, M, latents, memory_width] where maps are condensed.
    slots
        [B, M] indices of the temporal encoding: `num_memories - 1` for prompted frames, else the
        distance in frames minus one; -1 for none.
    pointers
        [B, P, C] object pointers; P may be 0.
    distances
        [B, P] signed distance of each pointer in frames.
    span
        Distance that the pointers' temporal encoding is scaled by.
    there
        bool [B, M + P]: which maps and pointers there are; the others only fill up the shape. None:
        all of them.
    """

    maps: Tensor
    slots: Tensor
    pointers: Tensor
    distances: Tensor
    span: int
    there: Tensor | None = None


@dataclass(frozen=True)
class Decoded:
    """Masks of B objects on one frame.

    Attributes
    ----------
    candidates
        All masks that were predicted, logits [B, K, 4 g, 4 g], with their predicted IoU.
    mask
        [B, 1, 4 g, 4 g] logits of the best one; `ABSENT_LOGIT` where the object is not there.
    iou
        [B] its predicted IoU.
    pointer
        [B, C] the object pointer.
    object_score
        [B, 1] logit; above 0 the object is in the frame.
    pointers
        [B, K, C] the pointer that each candidate would have; None where there is no choice.
    """

    candidates: Tensor
    ious: Tensor
    mask: Tensor
    iou: Tensor
    pointer: Tensor
    object_score: Tensor
    pointers: Tensor | None = None

    def pick(self, index: Tensor) -> Decoded:
        """Take other candidates, [B], than those with the best predicted IoU."""
        if self.pointers is None:
            raise ValueError("These masks are not candidates: there is nothing to choose.")
        rows = torch.arange(len(index), device=index.device)
        present = (self.object_score > 0)[..., None, None]
        return replace(
            self,
            mask=torch.where(present, self.candidates[rows, index][:, None], ABSENT_LOGIT),
            iou=self.ious[rows, index],
            pointer=self.pointers[rows, index],
        )


class Sam2Model(nn.Module):
    """SAM 2 and SAM 2.1 of any published size, or a model of another family of the same kind.

    The tensor names are those of the published checkpoints.

    Parameters
    ----------
    variant
        The sizes.
    image_size
        Side of the square input in pixels, a multiple of `variant.size_multiple`; the variant's
        own if None.

    Raises
    ------
    ModelError
        If `image_size` does not fit the network.
    """

    def __init__(self, variant: Variant, image_size: int | None = None) -> None:
        super().__init__()
        self.variant = variant
        self.image_size = variant.image_size if image_size is None else image_size
        _check_size(variant, self.image_size)
        width, memory_width = variant.width, variant.memory_width
        self.image_encoder = ImageEncoder(variant)
        self.sam_prompt_encoder = PromptEncoder(width)
        self.sam_mask_decoder = MaskDecoder(
            width,
            variant.feedforward,
            stability_fallback=variant.stability_fallback,
            has_skips=variant.trunk.has_skips,
        )
        self.memory_attention = MemoryAttention(
            width,
            memory_width,
            variant.feedforward,
            variant.memory_layers,
        )
        self.memory_encoder = MemoryEncoder(width, memory_width)
        # The name that EdgeTAM's weights have; SAM 2's form of memory has none.
        self.spatial_perceiver = variant.memory.build(memory_width)
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.obj_ptr_proj = MLP(width, width, width, depth=3)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(variant.num_memories, 1, 1, memory_width))
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, width))
        # Published with the weights, and used by nothing.
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, width))
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, width))
        if variant.absent_memory_embedding:
            self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, memory_width))
        if variant.pointer_time_encoding:
            self.obj_ptr_tpos_proj = nn.Linear(width, memory_width)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.no_mem_embed.device

    @property
    def grid(self) -> int:
        """Side of the coarse feature map."""
        return self.image_size // STRIDE

    @property
    def mask_size(self) -> int:
        """Side of the low-resolution masks."""
        return self.image_size // 4

    # -- frames

    def preprocess(self, images: np.ndarray | Tensor) -> Tensor:
        """Resize, antialiased bilinear on floats, and normalise with ImageNet's mean and deviation.

        The official code has three different resizes; this one, its image predictor's, serves all.

        Parameters
        ----------
        images
            uint8 [H, W, 3] or [B, H, W, 3].

        Returns
        -------
        Tensor
            [B, 3, image_size, image_size].
        """
        pixels = torch.as_tensor(images).to(self.device)
        if pixels.ndim == 3:
            pixels = pixels[None]
        pixels = pixels.permute(0, 3, 1, 2).float() / 255
        size = (self.image_size, self.image_size)
        if pixels.shape[-2:] != size:
            # When nothing shrinks, antialiasing changes nothing but the rounding.
            shrinks = max(pixels.shape[-2:]) > self.image_size
            pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=shrinks)
        mean, std = _imagenet(self.device)
        # The official predictors feed this layout, and the layout decides the rounding.
        return ((pixels - mean) / std).contiguous()

    @replayed
    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        """Run the image encoder on [B, 3, S, S]."""
        *finer, coarse = self.image_encoder(pixels)
        return ImageFeatures(coarse, self.sam_mask_decoder.skips(finer))

    # -- memory

    def without_memory(self, coarse: Tensor) -> Tensor:
        """Features of a frame on which the object has no memory yet."""
        return coarse + self.no_mem_embed.view(1, -1, 1, 1)

    @replayed
    def attend_to_memory(self, coarse: Tensor, memories: Memories) -> Tensor:
        """Condition [1, C, g, g] on the memories of B objects: [B, C, g, g]."""
        width, form = self.variant.memory_width, self.spatial_perceiver
        # The row of zeros at the end is slot -1.
        when = F.pad(self.maskmem_tpos_enc.view(-1, width), (0, 0, 0, 1))[memories.slots]
        memory = form.tokens(memories.maps)
        position = form.position(memories.maps) + when[:, :, None]
        pointers, pointer_position = self._pointer_tokens(memories)
        return self.memory_attention(
            coarse,
            sine_grid(*coarse.shape[-2:], coarse.shape[1], coarse.device),
            torch.cat((memory.flatten(1, 2), pointers), dim=1),
            torch.cat((position.flatten(1, 2), pointer_position), dim=1),
            unplaced=pointers.shape[1],
            there=self._tokens_there(memories, memory.shape[2]),
            place=form.place,
        )

    def _tokens_there(self, memories: Memories, tokens: int) -> Tensor | None:
        """Tell which tokens there are, if so many make a map: bool [B, T]."""
        if memories.there is None:
            return None
        pieces, count = self.variant.width // self.variant.memory_width, memories.maps.shape[1]
        maps, pointers = memories.there[:, :count], memories.there[:, count:]
        return torch.cat(
            (maps.repeat_interleave(tokens, 1), pointers.repeat_interleave(pieces, 1)), dim=1
        )

    def _pointer_tokens(self, memories: Memories) -> tuple[Tensor, Tensor]:
        """Cut each pointer into tokens as wide as a memory, and say when each was made."""
        width = self.variant.memory_width
        pieces = self.variant.width // width
        tokens = memories.pointers.unflatten(-1, (pieces, width)).flatten(1, 2)
        if not self.variant.pointer_time_encoding:
            return tokens, torch.zeros_like(tokens)
        when = sine_of(memories.distances.float() / memories.span, self.variant.width)
        return tokens, self.obj_ptr_tpos_proj(when).repeat_interleave(pieces, dim=1)

    @replayed
    def encode_memory(
        self, coarse: Tensor, mask: Tensor, object_score: Tensor, prompted: bool
    ) -> Tensor:
        """Memories of a frame, of each of B objects: a map [B, memory_width, g, g], or latents.

        Parameters
        ----------
        coarse
            [B or 1, C, g, g] features of the frame, without memory.
        mask
            [B, 1, h, w] logits, brought to the model's input size here.
        object_score
            [B, 1].
        prompted
            A person had a say in the mask: it is taken as sure.
        """
        if self.device.type in ONE_BY_ONE and len(mask) > 1 and self.grid >= LARGE_GRID:
            features = coarse.split(1) if len(coarse) > 1 else cycle([coarse])
            each = zip(features, mask.split(1), object_score.split(1), strict=False)
            return torch.cat([self._encode_memory(*one, prompted) for one in each])
        return self._encode_memory(coarse, mask, object_score, prompted)

    def _encode_memory(
        self, coarse: Tensor, mask: Tensor, object_score: Tensor, prompted: bool
    ) -> Tensor:
        size = (self.image_size, self.image_size)
        mask = F.interpolate(mask.float(), size=size, mode="bilinear", align_corners=False)
        mask = (mask > 0).float() if prompted else mask.sigmoid()
        memory = self.memory_encoder(coarse, mask * MASK_SCALE + MASK_SHIFT)
        if self.variant.absent_memory_embedding:
            absent = (object_score <= 0).to(memory.dtype)[..., None, None]
            memory = memory + absent * self.no_obj_embed_spatial[..., None, None]
        return self.spatial_perceiver(memory)

    # -- masks

    @replayed
    def decode(
        self,
        coarse: Tensor,
        skips: tuple[Tensor, ...],
        points: Tensor | None = None,
        labels: Tensor | None = None,
        previous: Tensor | None = None,
        multimask: bool | None = None,
    ) -> Decoded:
        """Predict masks of B objects.

        Parameters
        ----------
        coarse, skips
            Features with or without memory, and skip connections; batch B or 1.
        points, labels
            [B, P, 2] in pixels of the model's input and [B, P]; a box is two points.
        previous
            [B, 1, 4 g, 4 g] logits to refine.
        multimask
            By default three masks are predicted, and the best taken, for at most one point.
        """
        if points is None or labels is None:
            batch = max(len(coarse), 1 if previous is None else len(previous))
            points = coarse.new_zeros(batch, 1, 2)
            labels = torch.full((batch, 1), PADDING, device=coarse.device)
            count = 0
        else:
            batch, count = points.shape[:2]
        multimask = count <= 1 if multimask is None else multimask
        prompt, decoder = self.sam_prompt_encoder, self.sam_mask_decoder
        if previous is not None and previous.shape[-1] != 4 * coarse.shape[-1]:
            previous = _shrink(previous, 4 * coarse.shape[-1])
        masks, ious, tokens, score = decoder(
            coarse,
            skips,
            prompt.pe_layer.grid(*coarse.shape[-2:]),
            prompt.sparse(points, labels, self.image_size),
            prompt.dense(previous, batch, coarse.shape[-1]),
            multimask,
        )
        present = (score > 0).to(masks.dtype)
        pointers = self._or_absent(self.obj_ptr_proj(tokens), present[:, None])
        unchosen = Decoded(masks, ious, masks[:, :1], ious[:, 0], pointers[:, 0], score, pointers)
        return unchosen.pick(ious.argmax(1))

    def _or_absent(self, pointer: Tensor, present: Tensor) -> Tensor:
        return present * pointer + (1 - present) * self.no_obj_ptr

    def adopt_mask(self, coarse: Tensor, skips: tuple[Tensor, ...], mask: Tensor) -> Decoded:
        """Take masks that a person gave as they are; the decoder only makes the pointers.

        Parameters
        ----------
        coarse, skips
            Features without memory.
        mask
            [B, 1, S, S], 0 or 1, at the model's input size.
        """
        mask = mask.to(coarse.dtype)
        low = sure_logits(mask, 4 * coarse.shape[-1])
        decoded = self.decode(coarse, skips, previous=self.mask_downsample(mask), multimask=False)
        present = mask.flatten(1).any(1, keepdim=True).to(coarse.dtype)
        iou = torch.ones(len(mask), 1, device=mask.device)
        return Decoded(
            candidates=low,
            ious=iou,
            mask=low,
            iou=iou[:, 0],
            pointer=self._or_absent(decoded.pointer, present),
            object_score=present * MASK_SCALE + MASK_SHIFT,
        )


@cache
def _imagenet(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation of ImageNet, [3, 1, 1]."""
    with torch.inference_mode(False), torch.no_grad():
        mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (_MEAN, _STD))
        return mean, std


def sure_logits(mask: Tensor, side: int) -> Tensor:
    """Low-resolution logits [B, 1, side, side] that stand for masks of 0 and 1, of any size."""
    return _shrink(mask * MASK_SCALE + MASK_SHIFT, side)


def _shrink(logits: Tensor, side: int) -> Tensor:
    """Resize logits, antialiased, which processors cannot do in half precision."""
    resized = F.interpolate(logits.float(), size=(side, side), mode="bilinear", antialias=True)
    return resized.to(logits.dtype)


def _check_size(variant: Variant, size: int) -> None:
    multiple = variant.size_multiple
    if size >= multiple and size % multiple == 0:
        return
    few = len(variant.sizes) <= _FEW_SIZES
    nearest = max(multiple, round(size / multiple) * multiple)
    listed = f": {', '.join(map(str, variant.sizes))}" if few else f", for instance {nearest}"
    raise ModelError(
        f"The image size {size} does not fit {variant.name}: take a multiple of {multiple}{listed}."
    )


def build_model(variant: Variant, image_size: int | None = None) -> Sam2Model:
    """Make a model with fresh weights."""
    return Sam2Model(variant, image_size)
