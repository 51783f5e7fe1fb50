"""What the embedded checkpoint is trained on, step by step, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from sam2_plugins.training.losses import LossWeights
from sam2_plugins.training.rollout import PromptMix
from sam2_plugins.training.samples import SampleSize


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one kind of batch.

    Parameters
    ----------
    until
        Step at which the stage ends.
    clips
        Clips per batch.
    sample
        What is taken of each.
    """

    until: int
    clips: int
    sample: SampleSize
    mix: PromptMix = field(default_factory=PromptMix)
    weights: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True)
class Recipe:
    """Stages and the optimiser's settings.

    Parameters
    ----------
    peak_rate
        Learning rate after the warm-up.
    decay
        Share of the steps, at the end, over which the rate falls to nothing. Until then it stays,
        so that a run can be made longer.
    ema
        Decay of the averaged weights, which are the ones that are kept.
    """

    stages: tuple[Stage, ...]
    peak_rate: float = 6e-4
    decay: float = 0.3
    warm_up: int = 60
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    ema: float = 0.998

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.stages[-1].until


_FOCAL = LossWeights(balanced=0.5, focal=1.0, dice=1.0)

NANO = Recipe(
    stages=(
        Stage(
            until=1000,
            clips=12,
            sample=SampleSize(size=128, frames=1, objects=5, min_area=10),
            mix=PromptMix(click=0.6, box=0.4, mask=0.0, correction=0.1),
            weights=LossWeights(winner=0.0),
        ),
        Stage(
            until=2700,
            clips=6,
            sample=SampleSize(size=128, frames=4, objects=3, min_area=8),
            weights=LossWeights(balanced=1.0, focal=0.5),
        ),
        Stage(
            until=3430,
            clips=4,
            sample=SampleSize(size=192, frames=5, objects=3, min_area=8),
            weights=_FOCAL,
        ),
        Stage(
            until=3630,
            clips=3,
            sample=SampleSize(size=256, frames=6, objects=3, min_area=8),
            weights=_FOCAL,
        ),
    )
)

SMOKE = Recipe(
    stages=(
        Stage(
            until=6,
            clips=2,
            sample=SampleSize(size=64, frames=1, objects=2, min_area=4),
            mix=PromptMix(click=0.6, box=0.4, mask=0.0, correction=0.5),
            weights=LossWeights(winner=0.0),
        ),
        Stage(
            until=12,
            clips=2,
            sample=SampleSize(size=64, frames=3, objects=2, min_area=4),
            mix=PromptMix(correction=0.5),
            weights=_FOCAL,
        ),
    ),
    warm_up=2,
)
