"""Weights averaged over the steps of a training: those that are scored and kept."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def follow(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move averaged weights towards those after a step, faster while there were few steps.

    Parameters
    ----------
    decay
        What is kept of the average, in the long run.
    step
        Steps before this one.
    """
    kept, new = list(average.parameters()), list(model.parameters())
    get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))(kept, new, step)
