"""What the embedded checkpoint is trained on, step by step, as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sam2_plugins.training.losses import LossWeights
from sam2_plugins.training.parts import Parts
from sam2_plugins.training.prompting import PromptMix
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
    parts
        What is trained; the rest stays as it is.
    """

    stages: tuple[Stage, ...]
    peak_rate: float = 6e-4
    decay: float = 0.3
    warm_up: int = 60
    weight_decay: float = 0.02
    ema: float = 0.998
    parts: Parts = Parts.all

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return self.stages[-1].until

    def task(self, step: int, progress: float) -> Task:
        """Task of a step when so much of the training, 0 to 1, is done."""
        done = min(progress * self.steps, self.steps - 1)
        tasks = next(stage.tasks for stage in self.stages if done < stage.until)
        return tasks[step % len(tasks)]

    def rate(self, step: int, progress: float) -> float:
        """Learning rate of a step when so much of the training is done."""
        warm = min(1.0, (step + 1) / self.warm_up)
        left = (1 - progress) / self.decay
        return self.peak_rate * warm * max(0.0, min(1.0, left))


_ALL_ALIKE = LossWeights(winner=0.0)
_EASING = LossWeights(balanced=1.0, focal=0.5)
_FOCAL = LossWeights(balanced=0.5, focal=1.0)
_CLICKS = PromptMix(click=0.6, box=0.4, mask=0.0, correction=0.1)
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

# For weights that know their trade. What is shown must be drawn again as it was: one or two frames
# after a mask, on many objects; then over eight frames, the late ones counting double, with clicks
# on tracked frames. Stills keep what one frame teaches; some movies are larger than the model's
# own size, so that it may be run so.
_CHOOSING = LossWeights(balanced=0.25, focal=1.0, iou=0.5, choice=0.5, outline=0.5, late=1.0)
_STILL = Task(
    4,
    SampleSize(256, 1, 9, min_area=8, closest=0.2, centred=0.7, soften=0.4),
    PromptMix(click=0.45, box=0.25, mask=0.0, pointed=0.3, correction=0.4),
    _CHOOSING,
)
_NEXT = Task(
    5,
    SampleSize(256, 3, 4, min_area=8, closest=0.3, centred=0.6, soften=0.3),
    PromptMix(click=0.05, box=0.05, mask=0.85, pointed=0.05, correction=0.1),
    _CHOOSING,
)
_MOVIE = Task(
    2,
    SampleSize(256, 8, 4, min_area=8, closest=0.3, centred=0.5, soften=0.3),
    PromptMix(click=0.2, box=0.15, mask=0.5, pointed=0.15, correction=0.1),
    _CHOOSING,
)
_LARGE = replace(_MOVIE, sample=replace(_MOVIE.sample, size=320, frames=6, objects=3))

SEQUEL = Recipe(
    stages=(Stage(5200, (_NEXT, _MOVIE, _STILL, _MOVIE, _NEXT, _LARGE, _STILL, _MOVIE)),),
    peak_rate=5e-4,
    decay=0.85,
    ema=0.997,
)

# For weights that find an object on one frame, and lose parts of it over many: the memory alone
# learns, by clips as long as they can be, so that all that depends on one frame stays as it is.
_LONG = Task(
    1,
    SampleSize(256, 12, 5, min_area=8, closest=0.3, centred=0.6, soften=0.3),
    PromptMix(click=0.1, box=0.1, mask=0.7, pointed=0.1, correction=0.04),
    _CHOOSING,
)
_LONGER = replace(_LONG, sample=replace(_LONG.sample, frames=16, objects=4))

STEADY = Recipe(
    stages=(Stage(700, (_LONG, _LONGER, replace(_NEXT, clips=3), _LONG)),),
    peak_rate=1e-4,
    decay=1.0,
    warm_up=20,
    ema=0.99,
    parts=Parts.memory_alone,
)

_MANY_CORRECTIONS = PromptMix(correction=0.5)

SMOKE = Recipe(
    stages=(
        Stage(6, (Task(2, SampleSize(64, 1, 2, min_area=4), _CLICKS, _ALL_ALIKE),)),
        Stage(12, (Task(2, SampleSize(64, 3, 2, min_area=4), _MANY_CORRECTIONS, _FOCAL),)),
    ),
    warm_up=2,
)
