"""Colours of tracked objects: on a photograph they tell an object from what is around it.

A small model knows few shapes. On a photograph it slides from an object to what lies beside it, or
loses a part, and remembers the result. Which colours are the object's, and which its
surroundings', is known from its prompted frames; each cell of a tracked mask is a little more the
object's, or a little less, for its colour. Where both have the same colours, nothing changes, nor
where a picture has those of one dye: cells beside each other are alike, and pale with time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2_plugins.core.tracking.feature_cache import FeatureCache, View
from sam2_plugins.core.tracking.recent import Recent
from sam2_plugins.core.tracking.transfer import to_device
from sam2_plugins.core.tracking.windows.planner import Window
from sam2_plugins.core.tracking.windows.scale_search import is_many_coloured

LEVELS = 16
"""Of each channel, that are told from each other."""

RARE = 1e-4
"""Share of the cells below which a colour counts as not seen."""

MOST_ODDS = 3.0
"""Natural logarithm of how many times likelier a colour is the object's, or not, at most."""

SURE = 6.0
"""Logit of the mask decoder beyond which it is no surer: so colours can speak against it."""

SEEN = 32
"""Pixels across a cell that are looked at, at most: a card cannot resize by any factor."""


class Colours:
    """What the objects of a movie look like, by colours alone, and where that is."""

    def __init__(self, features: FeatureCache) -> None:
        self._features = features
        self._codes: Recent[Tensor] = Recent()

    def shown(
        self, frames: Sequence[int], logits: Tensor, windows: Sequence[Window]
    ) -> list[Tensor | None]:
        """Return what colours say of masks [n, 1, h, w] on prompted frames, each in its window.

        How much likelier each is the object's than its surroundings': log odds, float16 [LEVELS³];
        None on a frame without colours.
        """
        views = list(zip(frames, windows, strict=True))
        return [
            _odds(self._codes_of([view], mask.shape)[0], mask.flatten() > 0)
            if is_many_coloured(self._features.picture(view[0]))
            else None
            for view, mask in zip(views, logits[:, 0], strict=True)
        ]

    def weigh(
        self,
        frame: int,
        logits: Tensor,
        windows: Sequence[Window],
        shown: Sequence[Tensor | None],
    ) -> Tensor:
        """Return masks [n, 1, h, w] of a frame, each in its window, with what colours say of them.

        An object that is not there stays away: that is for the decoder to say.
        """
        known = np.array([one is not None for one in shown])
        if not known.any() or not is_many_coloured(self._features.picture(frame)):
            return logits
        none = logits.new_zeros(LEVELS**3)
        odds = torch.stack([none if one is None else one.to(none) for one in shown])
        shape = logits.shape[-2:]
        codes = self._codes_of([(frame, window) for window in windows], shape)
        said = F.avg_pool2d(odds.gather(1, codes).unflatten(1, shape), 3, 1, 1)[:, None]
        heard = to_device(known, logits.device) & (logits > 0).flatten(1).any(1)
        return torch.where(
            heard[:, None, None, None], logits.float().clamp(-SURE, SURE) + said, logits
        )

    def _codes_of(self, views: Sequence[View], shape: torch.Size) -> Tensor:
        """Numbers of the colours of the cells of a grid over each window, [n, h · w]."""
        found = self._codes.find((view, shape) for view in views)
        missing = [view for view in dict.fromkeys(views) if (view, shape) not in found]
        for some in self._features.batches(missing):
            codes = _codes(self._features.cut(some, len(missing)), shape)
            found |= {(view, shape): one for view, one in zip(some, codes, strict=True)}
        self._codes.keep(found)
        return torch.stack([found[view, shape] for view in views])


def _codes(pixels: Tensor, shape: torch.Size) -> Tensor:
    """Numbers of the colours of the cells of a grid over pictures, uint8 [n, H, W, 3]."""
    down, across = (max(1, pixels.shape[i + 1] // (SEEN * shape[i])) for i in (0, 1))
    some = pixels[:, ::down, ::across].permute(0, 3, 1, 2).float()
    cells = F.interpolate(some, tuple(shape), mode="bilinear", antialias=True).flatten(2)
    red, green, blue = (cells * (LEVELS / 256)).to(torch.int64).clamp(0, LEVELS - 1).unbind(1)
    return (red * LEVELS + green) * LEVELS + blue


def _odds(codes: Tensor, mask: Tensor) -> Tensor:
    """Log odds of each colour, less where colours do not tell the object from what is around it."""
    own, other = _shares(codes, mask), _shares(codes, ~mask)
    odds = ((own + RARE) / (other + RARE)).log().clamp(-MOST_ODDS, MOST_ODDS)
    said = odds[codes]
    right = _mean(said > 0, mask) + _mean(said < 0, ~mask) - 1
    return (odds * right.clamp(min=0)).half()


def _shares(codes: Tensor, some: Tensor) -> Tensor:
    """Shares of all colours among some cells, each with its neighbours."""
    counts = torch.zeros(LEVELS**3, device=codes.device).index_add_(0, codes, some.float())
    shares = counts / counts.sum().clamp(min=1)
    for _ in range(2):  # in two dimensions and one: not all devices pool in three
        near = F.avg_pool2d(shares.view(LEVELS, 1, LEVELS, LEVELS), 3, 1, 1)
        shares = F.avg_pool2d(near.view(1, LEVELS, LEVELS**2), (3, 1), 1, (1, 0)).flatten()
    return shares


def _mean(values: Tensor, some: Tensor) -> Tensor:
    """Share of some cells of which something holds."""
    return (values & some).sum() / some.sum().clamp(min=1)
