"""What the embedded checkpoint is trained on, step by step, as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sam2_plugins.training.losses import LossWeights
from sam2_plugins.training.rollout import PromptMix
from sam2_plugins.training.samples import SampleSize


@dataclass(frozen=True)
class Task:
    """One kind of batch.

    Parameters
    ----------
    clips
        Clips per batch.
    sample
        What is taken of each.
    """

    clips: int
    sample: SampleSize
    mix: PromptMix = field(default_factory=PromptMix)
    weights: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True)
class Stage:
    """A stretch of training, up to step `until`, in which tasks take turns."""

    until: int
    tasks: tuple[Task, ...]


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


_ALL_ALIKE = LossWeights(winner=0.0)
_EASING = LossWeights(balanced=1.0, focal=0.5)
_FOCAL = LossWeights(balanced=0.5, focal=1.0)
_CLICKS = PromptMix(click=0.6, box=0.4, mask=0.0, correction=0.1)
_POINTING = PromptMix(click=0.45, box=0.25, mask=0.0, pointed=0.3, correction=0.1)
_CHOOSING = LossWeights(balanced=0.5, focal=1.0, iou=0.5, choice=0.5)
_STILL = Task(
    4, SampleSize(256, 1, 9, min_area=8, closest=0.2, centred=0.7, soften=0.4), _POINTING, _CHOOSING
)
_MOVIE = Task(3, SampleSize(192, 5, 3, min_area=8, centred=0.4, soften=0.3), weights=_CHOOSING)
_CORRECTING = PromptMix(click=0.4, box=0.2, mask=0.2, pointed=0.2, correction=0.5)
_CORRECTED_STILL = replace(_STILL, mix=replace(_CORRECTING, mask=0.0))
_CORRECTED_MOVIE = replace(_MOVIE, mix=_CORRECTING)
_LONG_MOVIE = replace(_CORRECTED_MOVIE, clips=2, sample=replace(_MOVIE.sample, size=256, frames=7))

NANO = Recipe(
    stages=(
        Stage(1000, (Task(12, SampleSize(128, 1, 5, min_area=10), _CLICKS, _ALL_ALIKE),)),
        Stage(2700, (Task(6, SampleSize(128, 4, 3, min_area=8), weights=_EASING),)),
        Stage(3150, (Task(4, SampleSize(192, 5, 3, min_area=8), weights=_FOCAL),)),
        Stage(
            4400,
            (
                Task(4, SampleSize(256, 1, 9, min_area=8), _CLICKS, _FOCAL),
                Task(4, SampleSize(256, 1, 9, min_area=8), _CLICKS, _FOCAL),
                Task(3, SampleSize(192, 5, 3, min_area=8), weights=_FOCAL),
            ),
        ),
    )
)

# For weights that know their trade: begins lower, and falls for longer. What one frame teaches
# comes first; at the end, tracking and corrections have their share, or they are forgotten.
SEQUEL = Recipe(
    stages=(
        Stage(2500, (_STILL, _STILL, _STILL, _MOVIE)),
        Stage(4000, (_STILL, _MOVIE)),
        Stage(5200, (_CORRECTED_STILL, _CORRECTED_MOVIE, _CORRECTED_STILL, _LONG_MOVIE)),
    ),
    peak_rate=4e-4,
    decay=0.6,
    ema=0.999,
)

_MANY_CORRECTIONS = PromptMix(correction=0.5)

SMOKE = Recipe(
    stages=(
        Stage(6, (Task(2, SampleSize(64, 1, 2, min_area=4), _CLICKS, _ALL_ALIKE),)),
        Stage(12, (Task(2, SampleSize(64, 3, 2, min_area=4), _MANY_CORRECTIONS, _FOCAL),)),
    ),
    warm_up=2,
)
