"""What a prediction is scored by: the right pixels, an honest IoU, and the object's presence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2_plugins.core.model import Decoded

_UNDECIDED = 0.1
"""A difference of predicted IoUs that leaves the choice between two masks fairly open."""


@dataclass(frozen=True)
class LossWeights:
    """How much each part counts.

    Training begins with balanced cross-entropy, since focal loss alone finds nothing, and with all
    candidate masks learning alike (`winner` 0); later only the best of them learns (`winner` 1).
    With `choice`, that share of the loss is what is to be expected of the mask that the predicted
    IoUs would choose, so that they learn to choose. `outline` counts the pixels about the object's
    border for themselves, where all that is left to lose of a mask that is nearly right is lost.
    The last frame of a clip counts `late` times more than the first.
    """

    balanced: float = 3.0
    focal: float = 0.0
    dice: float = 1.0
    iou: float = 0.3
    score: float = 0.3
    winner: float = 1.0
    choice: float = 0.0
    outline: float = 0.0
    late: float = 0.0


def prediction_loss(
    decoded: Decoded, target: Tensor, weights: LossWeights
) -> tuple[Tensor, Tensor]:
    """Loss of B objects on one frame.

    Parameters
    ----------
    decoded
        Candidates [B, K, h, w].
    target
        [B, h, w], the share of each pixel that is the object.

    Returns
    -------
    tuple of Tensor
        The loss of each object [B], and the true IoU of the chosen mask [B] (detached).
    """
    # In half precision, sums over a whole map would lose small objects.
    logits, target = decoded.candidates.float(), target.float()
    present = target.flatten(1).amax(1) > 0.5
    wanted = target[:, None].expand_as(logits)
    loss = _mask_loss(logits, wanted, weights)
    true_ious = _iou(logits.detach() > 0, wanted > 0.5)
    honesty = (decoded.ious.float() - true_ious).abs().mean(1)
    score = F.binary_cross_entropy_with_logits(
        decoded.object_score[:, 0].float(), present.float(), reduction="none"
    )
    of_mask = torch.lerp(loss.mean(1), loss.min(1).values, weights.winner)
    if weights.choice:
        odds = (decoded.ious.float() / _UNDECIDED).softmax(1)
        of_mask = torch.lerp(of_mask, (odds * loss).sum(1), weights.choice)
    of_mask = of_mask + weights.iou * honesty
    total = torch.where(present, of_mask, 0.0) + weights.score * score
    chosen = true_ious.gather(1, decoded.ious.argmax(1, keepdim=True))[:, 0]
    seen = decoded.object_score[:, 0] > 0
    quality = torch.where(present, chosen * seen, (~seen).float())
    return total, quality.detach()


def _mask_loss(logits: Tensor, target: Tensor, weights: LossWeights) -> Tensor:
    """[B, K] loss of logits [B, K, h, w]."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid()
    total = weights.dice * dice_loss(probability, target)
    if weights.balanced:
        inside = (cross_entropy * target).sum((-1, -2)) / target.sum((-1, -2)).clamp(min=1)
        outside = 1 - target
        around = (cross_entropy * outside).sum((-1, -2)) / outside.sum((-1, -2)).clamp(min=1)
        total = total + weights.balanced * 0.5 * (inside + around)
    if weights.focal:
        hardness = (probability - target).abs() ** 2
        # Scaled by the object's size, so that small objects are heard.
        size = target.sum((-1, -2)).clamp(min=16)
        total = total + weights.focal * (cross_entropy * hardness).sum((-1, -2)) / size
    if weights.outline:
        near = _border(target[:, :1])
        length = near.sum((-1, -2)).clamp(min=8)
        total = total + weights.outline * (cross_entropy * near).sum((-1, -2)) / length
    return total


def _border(target: Tensor) -> Tensor:
    """1 where an outline is within two pixels."""
    highest, lowest = F.max_pool2d(target, 5, 1, 2), -F.max_pool2d(-target, 5, 1, 2)
    return (highest - lowest > 0.5).float()


def dice_loss(probability: Tensor, target: Tensor) -> Tensor:
    """1 less the share that masks [..., H, W] have in common: [...]."""
    both = (probability * target).sum((-1, -2))
    return 1 - (2 * both + 1) / (probability.sum((-1, -2)) + target.sum((-1, -2)) + 1)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    both = (a & b).sum((-1, -2)).float()
    return both / (a | b).sum((-1, -2)).clamp(min=1)
