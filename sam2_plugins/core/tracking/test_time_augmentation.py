"""One window seen in several ways: turned by quarters, for a small model is surer then.

A network is not quite the same under rotation, and a small one errs differently on each view. What
they agree on is better than any of them, and how far they agree tells how far to trust them. Only
prompted frames are seen so: on tracked ones it would cost as many times the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.model import Decoded, ImageFeatures, Sam2Model
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START
from sam2_plugins.core.tracking.windows.planner import Window

LOGIT_LIMIT = 10.0
"""Logits are bounded by this before their mean is taken, so that no view outweighs the others."""


@dataclass(frozen=True)
class TurnedWindow(Window):
    """A window that the model sees after some quarter turns, counter-clockwise."""

    turns: int = 0

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Cut the window out of an image [H, W, C], and turn it."""
        return np.rot90(super().crop(image), self.turns)


def views_of(window: Window, count: int) -> list[Window]:
    """Return the window itself, and turned ones."""
    turned = [
        TurnedWindow(window.x, window.y, window.width, window.height, turns)
        for turns in range(1, count)
    ]
    return [window, *turned]


def decode_views(
    model: Sam2Model,
    views: Sequence[ImageFeatures],
    points: Tensor,
    labels: Tensor,
    previous: Tensor | None = None,
) -> Decoded:
    """Decode B objects in each view, and return what the views agree on.

    Parameters
    ----------
    views
        Features of `views_of` a window, in their order.
    points, labels, previous
        As `Sam2Model.decode` takes them, in the unturned view.

    Returns
    -------
    Decoded
        Candidates are the means of their views. The predicted IoUs are too, and are lowered where
        the views differ. Pointers are those of the unturned view.
    """
    each = []
    for turns, here in enumerate(views):
        decoded = model.decode(
            model.without_memory(here.coarse),
            here.skips,
            _turn_points(points, labels, turns, model.image_size),
            labels,
            None if previous is None else torch.rot90(previous, turns, (-2, -1)),
        )
        upright = torch.rot90(decoded.candidates, -turns, (-2, -1))
        each.append(replace(decoded, candidates=upright))
    return each[0] if len(each) == 1 else _agree(each)


def _agree(views: Sequence[Decoded]) -> Decoded:
    each = torch.stack([one.candidates.float() for one in views]).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    mean = each.mean(0)
    inside, together = each > 0, mean > 0
    both = (inside & together).sum((-1, -2))
    agreement = (both / (inside | together).sum((-1, -2)).clamp(min=1)).mean(0)
    ious = torch.stack([one.ious.float() for one in views]).mean(0) * agreement
    score = torch.stack([one.object_score.float() for one in views]).mean(0)
    merged = replace(views[0], candidates=mean, ious=ious, object_score=score)
    return merged.pick(ious.argmax(1))


def _turn_points(points: Tensor, labels: Tensor, turns: int, side: int) -> Tensor:
    """Turn points [B, P, 2] with their picture; the corners of a box stay first and last."""
    for _ in range(turns):
        points = torch.stack((points[..., 1], side - points[..., 0]), -1)
    start, end = labels == BOX_START, labels == BOX_END
    if turns and bool(start.any()):
        corners = torch.stack((points[start], points[end]))
        points = points.clone()
        points[start], points[end] = corners.amin(0), corners.amax(0)
    return points
