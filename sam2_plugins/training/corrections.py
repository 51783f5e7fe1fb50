"""Correcting clicks, drawn where the masks are, so that a graphics card does not wait for them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2_plugins.core.model.prompt_encoder import BACKGROUND, FOREGROUND
from sam2_plugins.core.model.sam2 import sure_logits

_DEEPEST = 8
"""Pixels of the low-resolution mask beyond which a place counts as no deeper."""

_STRAY = 0.15
"""Share of clicks that go to a place which is right already: beside the object, or on it."""

_OFF_CENTRE = 0.4
"""Share of clicks that do not go to the innermost place of what is wrong."""

_CELL = 4  # pixels of the model's input per pixel of the low-resolution mask


def correcting_clicks(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Click where masks are wrong: on what is missing or too much, whichever is deeper.

    Parameters
    ----------
    logits
        [B, 1, h, w].
    target
        [B, h, w], the share of each pixel that is the object.

    Returns
    -------
    tuple of Tensor
        Points [B, 1, 2] in pixels of the model's input, and their labels [B, 1].
    """
    got, wanted = logits[:, 0] > 0, target > 0.5
    wrong = got ^ wanted
    draw = torch.rand(3, len(got), 1, 1, device=got.device)
    beside = _grown(wanted | got, 3) & ~wanted & ~got
    right = torch.where(draw[2] < 0.5, wanted, beside)
    right = torch.where(_any(right), right, ~wanted)
    region = torch.where(_any(wrong) & (draw[0] >= _STRAY), wrong, right)
    depth = _depth(region)
    deepest = depth.amax((1, 2), keepdim=True)
    off_centre = draw[1] < _OFF_CENTRE
    preference = torch.where(off_centre, (depth >= 0.4 * deepest).float(), depth)
    place = (preference + 0.9 * torch.rand_like(preference)).flatten(1).argmax(1, keepdim=True)
    width = got.shape[-1]
    cell = torch.cat((place % width, torch.div(place, width, rounding_mode="floor")), 1)
    points = cell[:, None] * _CELL + (_CELL - 1) / 2
    labels = torch.where(wanted.flatten(1).gather(1, place), FOREGROUND, BACKGROUND)
    return points, labels


def as_recorded(logits: Tensor, image_size: int) -> Tensor:
    """Logits [B, 1, h, w] as the tracker gives them back later: of the mask that it recorded."""
    size = (image_size, image_size)
    mask = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False) > 0
    return sure_logits(mask, logits.shape[-1])


def _any(regions: Tensor) -> Tensor:
    return regions.flatten(1).any(1)[:, None, None]


def _grown(regions: Tensor, by: int) -> Tensor:
    return F.max_pool2d(regions[:, None].float(), 2 * by + 1, 1, by)[:, 0] > 0


def _depth(regions: Tensor) -> Tensor:
    """How often a pixel survives when regions [B, h, w] lose their outermost pixels."""
    outside = 1 - regions[:, None].float()
    depth = 1 - outside
    for _ in range(_DEEPEST - 1):
        outside = F.max_pool2d(outside, 3, 1, 1)
        depth = depth + (1 - outside)
    return depth[:, 0]
