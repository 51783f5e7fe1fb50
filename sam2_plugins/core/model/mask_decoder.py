"""Prompt tokens and image features to masks, their predicted IoU, and whether the object is there.

Two-way transformer and dynamic mask prediction as in SAM (Kirillov et al. 2023), with the object
score token and the skip connections of SAM 2 (Ravi et al. 2024, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sam2_plugins.core.model.layers import MLP, Attention, LayerNorm2d

NUM_MULTIMASKS = 3
HEADS = 8
STABILITY_DELTA = 0.05
STABILITY_THRESHOLD = 0.98


class _TwoWayBlock(nn.Module):
    """Tokens attend to themselves, to the image, and the image attends to the tokens."""

    def __init__(self, width: int, hidden: int, first: bool) -> None:
        super().__init__()
        self.first = first
        half = width // 2
        self.self_attn = Attention(width, HEADS)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, HEADS, half)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden, width, depth=2)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, HEADS, half)

    def forward(
        self, tokens: Tensor, image: Tensor, token_position: Tensor, image_position: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_position
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        keys = image + image_position
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_position, keys, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(keys, tokens + token_position, tokens)
        return tokens, self.norm4(image)


class _TwoWayTransformer(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_TwoWayBlock(width, hidden, first) for first in (True, False))
        self.final_attn_token_to_image = Attention(width, HEADS, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, image: Tensor, image_position: Tensor
    ) -> tuple[Tensor, Tensor]:
        position = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, position, image_position)
        final = self.final_attn_token_to_image(tokens + position, image + image_position, image)
        return self.norm_final_attn(tokens + final), image


class MaskDecoder(nn.Module):
    """Predict masks of B objects on one frame."""

    def __init__(self, width: int, hidden: int, stability_fallback: bool, has_skips: bool) -> None:
        super().__init__()
        self.stability_fallback = stability_fallback
        masks = NUM_MULTIMASKS + 1
        self.transformer = _TwoWayTransformer(width, hidden)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(masks, width)
        self.obj_score_token = nn.Embedding(1, width)
        fine, finest = width // 4, width // 8
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, fine, 2, stride=2),
            LayerNorm2d(fine),
            nn.GELU(),
            nn.ConvTranspose2d(fine, finest, 2, stride=2),
            nn.GELU(),
        )
        if has_skips:
            self.conv_s0 = nn.Conv2d(width, finest, 1)
            self.conv_s1 = nn.Conv2d(width, fine, 1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(width, width, finest, depth=3) for _ in range(masks)
        )
        self.iou_prediction_head = MLP(width, 256, masks, depth=3)
        self.pred_obj_score_head = MLP(width, width, 1, depth=3)

    def skips(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Reduce maps at stride 4 and 8, if there are any, to the channels of the decoder's own."""
        return (self.conv_s0(maps[0]), self.conv_s1(maps[1])) if maps else ()

    def forward(
        self,
        features: Tensor,
        skips: tuple[Tensor, ...],
        position: Tensor,
        sparse: Tensor,
        dense: Tensor,
        multimask: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode.

        Parameters
        ----------
        features
            [B or 1, C, g, g] features at stride 16.
        skips
            Maps at stride 4 [., C / 8, 4 g, 4 g] and 8 [., C / 4, 2 g, 2 g], from the method
            `skips`, whose batch is B or 1; or none.
        position
            [C, g, g] dense position encoding.
        sparse, dense
            [B, P, C] and [B, C, g, g] from the prompt encoder.
        multimask
            Three masks of different extent, for an ambiguous prompt, or one.

        Returns
        -------
        masks, ious
            Of K masks: logits [B, K, 4 g, 4 g], and the predicted IoU [B, K].
        tokens
            [B, K, C] the mask tokens, from which the object pointer is made. For a single mask it
            is always token 0, even where the stability fallback took another mask.
        object_score
            [B, 1] logit; above 0 the object is in the frame.
        """
        batch, grid = len(sparse), features.shape[-1]
        own = torch.cat(
            (self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight)
        )
        tokens = torch.cat((own.expand(batch, -1, -1), sparse), dim=1)
        image = (features + dense).flatten(2).transpose(1, 2)
        tokens, image = self.transformer(tokens, image, position.flatten(1).T)
        score_token, iou_token, mask_tokens = tokens[:, 0], tokens[:, 1], tokens[:, 2 : len(own)]

        upscaled = self._upscale(image.transpose(1, 2).unflatten(-1, (grid, grid)), skips)
        weights = torch.stack(
            [mlp(mask_tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        masks = (weights @ upscaled.flatten(2)).unflatten(-1, upscaled.shape[-2:])
        ious = self.iou_prediction_head(iou_token).sigmoid()
        score = self.pred_obj_score_head(score_token)
        if multimask:
            return masks[:, 1:], ious[:, 1:], mask_tokens[:, 1:], score
        if self.training or not self.stability_fallback:
            return masks[:, :1], ious[:, :1], mask_tokens[:, :1], score
        return *_most_stable(masks, ious), mask_tokens[:, :1], score

    def _upscale(self, image: Tensor, skips: tuple[Tensor, ...]) -> Tensor:
        if not skips:
            return self.output_upscaling(image)
        to_8, norm, activation, to_4, last = self.output_upscaling
        at_8 = activation(norm(to_8(image) + skips[1]))
        return last(to_4(at_8) + skips[0])


def _most_stable(masks: Tensor, ious: Tensor) -> tuple[Tensor, Tensor]:
    """Keep mask 0 where its outline is stable, else take the best of the three others."""
    single = masks[:, :1]
    area_inner = (single > STABILITY_DELTA).sum((-1, -2)).float()
    area_outer = (single > -STABILITY_DELTA).sum((-1, -2)).float()
    stability = torch.where(area_outer > 0, area_inner / area_outer, 1.0)
    stable = stability >= STABILITY_THRESHOLD
    best = ious[:, 1:].argmax(1) + 1
    rows = torch.arange(len(masks), device=masks.device)
    kept_masks = torch.where(stable[..., None, None], single, masks[rows, best][:, None])
    kept_ious = torch.where(stable, ious[:, :1], ious[rows, best][:, None])
    return kept_masks, kept_ious
