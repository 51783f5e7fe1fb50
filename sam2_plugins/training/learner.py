"""Weights that learn, and their average over the steps: what is scored and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sam2_plugins.core.model import Sam2Model

_LONGEST_GRADIENT = 1.0


@dataclass
class Learner:
    """A model with its optimiser.

    Attributes
    ----------
    decay
        What a step keeps of the average, in the long run; it follows faster at first.
    """

    model: Sam2Model
    average: Sam2Model
    optimiser: torch.optim.Optimizer
    decay: float
    steps: int = 0

    def learn(self, loss: Tensor, rate: float) -> None:
        """Take one step."""
        descend(self.model, self.optimiser, loss, rate)
        kept, new = list(self.average.parameters()), list(self.model.parameters())
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        get_ema_multi_avg_fn(decay)(kept, new, self.steps)
        self.steps += 1

    def state(self) -> dict[str, Any]:
        """What is needed to go on; the number of steps is beside it."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load(self, state: dict[str, Any], steps: int) -> None:
        """Go on from a state after so many steps."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = steps


def descend(model: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """Take one step of an optimiser of a model's weights."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), _LONGEST_GRADIENT)
    optimiser.step()
