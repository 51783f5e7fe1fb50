"""Fine-tuning: learn from a person's masks, stop in time, and judge on what was held out."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sam2_plugins import __version__
from sam2_plugins.core.checkpoints import require_model_suffix, save_model
from sam2_plugins.core.errors import TrainingError
from sam2_plugins.core.files import replacing, require_free
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.training.batches import batches
from sam2_plugins.training.finetuning.budget import Budget, memory_budget
from sam2_plugins.training.finetuning.clips import ClipCutter
from sam2_plugins.training.finetuning.movies import AnnotatedMovie
from sam2_plugins.training.finetuning.score import Scores, is_better, mean_j, summary
from sam2_plugins.training.finetuning.split import Split
from sam2_plugins.training.learner import Learner
from sam2_plugins.training.losses import LossWeights
from sam2_plugins.training.parts import Parts, choose_parts
from sam2_plugins.training.prompting import PromptMix
from sam2_plugins.training.rollout import rollout
from sam2_plugins.training.samples import Batch, SampleSize, make_batch

_WEIGHTS = LossWeights(balanced=0.5, focal=1.0)
_CLICKS_AND_BOXES = PromptMix(click=0.6, box=0.4, mask=0.0)
_WARM_UP = 20
STATE_FILE = "state.pt"


@dataclass(frozen=True)
class Settings:
    """How to fine-tune.

    Parameters
    ----------
    parts
        What is trained.
    steps
        At most so many.
    clips, frames, objects
        Size of a batch: clips, frames of each, and objects that are followed in each. Every other
        step takes single frames, for clicks and boxes.
    rate
        Learning rate after the warm-up; it falls to nothing over the steps (cosine).
    average
        Decay of the averaged weights, which are the ones that are judged and kept.
    check_every
        Steps from one look at the stopping part to the next. The state is saved then too.
    patience
        Looks without a gain after which training ends.
    precision
        "bfloat16", "float32", or "auto": bfloat16 where the hardware is made for it (CUDA).
    seed
        Of samples and prompts.
    """

    parts: Parts = Parts.memory
    steps: int = 400
    clips: int = 2
    frames: int = 4
    objects: int = 3
    rate: float = 1e-4
    average: float = 0.95
    check_every: int = 25
    patience: int = 5
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", Parts(self.parts))  # a text names one, too


@dataclass(frozen=True)
class Look:
    """One look at the stopping part.

    Attributes
    ----------
    loss
        Mean since the last look; nan on the first.
    scores
        J by kind of prompt.
    """

    step: int
    loss: float
    scores: Scores


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes
    ----------
    before, after
        J on the held-out part, by kind of prompt.
    best_step
        The step whose weights were judged; 0 if no look was better than the first.
    path
        The model; None if it is not better, for then none is written.
    """

    before: Scores
    after: Scores
    looks: tuple[Look, ...]
    best_step: int
    path: Path | None

    @property
    def better(self) -> bool:
        """Whether it is better on the held-out part; see `is_better`."""
        return self.path is not None


def finetune(
    model: Sam2Model,
    split: Split,
    out: str | Path,
    settings: Settings | None = None,
    *,
    workers: int = 0,
    overwrite: bool = False,
    card: dict[str, str] | None = None,
    on_budget: Callable[[Budget], None] | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
    on_look: Callable[[Look], None] | None = None,
) -> Report:
    """Fine-tune a model, which is changed in place, and save it if it is better than before.

    A run that was stopped, even killed, goes on where it was last saved, if it is started again
    with the same model, movies and settings: its state is beside `out`, in NAME.run.

    Parameters
    ----------
    out
        The file, .safetensors or .pt.
    workers
        Processes that make batches, the same whatever their number; with 0, this one does.
    overwrite
        Whether a file that this run did not write may be replaced.
    card
        To be put into the file with what is known of the run.
    on_budget
        Called with the most memory that training will take, before it starts.
    on_step
        Called with the steps done and the loss of the last, a single number on the model's device:
        to read it is to wait for a graphics card.
    on_look
        Called with the last look at the stopping part, before the first step and after each look.

    Raises
    ------
    TrainingError
        If the masks do not fit their movies or teach nothing, the saved state is of another run,
        or a process that makes batches has ended.
    ModelError
        If `out` is no name of a model.
    ExportError
        If another file is in the way.
    """
    settings = settings or Settings()
    out = Path(out)
    require_model_suffix(out)
    folder = out.with_suffix(".run")
    require_free([out], overwrite or (folder / STATE_FILE).exists())
    optimiser = torch.optim.AdamW(
        choose_parts(model, settings.parts),
        lr=settings.rate,
        weight_decay=0.01,
        fused=model.device.type == "cuda",
    )
    with closing(ClipCutter(split.train, model.image_size)) as cutter:
        frames = min(settings.frames, cutter.longest)
    if frames == 1 and settings.parts is Parts.memory_alone:
        raise TrainingError(
            "Single frames teach the memory nothing: give movies, more --frames or other --parts."
        )
    if on_budget:
        on_budget(memory_budget(model, settings.clips, frames, settings.objects))
    average = copy.deepcopy(model).requires_grad_(False)
    learner = Learner(model, average, optimiser, settings.average)
    run = _Run.start(learner, split, settings, folder)
    if on_look:
        on_look(run.looks[-1])
    plan = _Plan(split.train, settings, model.image_size, frames, run.done)
    with closing(batches(plan.made, workers, model.device)) as lessons:
        while not run.finished:
            loss = run.step(next(lessons))
            if on_step:
                on_step(run.done, loss)
            if on_look and run.looks[-1].step == run.done:
                on_look(run.looks[-1])
    model.load_state_dict(run.best)
    model.eval()
    after = run.before if run.best_step == 0 else mean_j(model, split.held_out)
    better = run.best_step > 0 and is_better(run.before, after)
    path = None
    if better:
        path = save_model(model, out, {**_card(model, split, run, after), **(card or {})})
    return Report(run.before, after, tuple(run.looks), run.best_step, path)


class _Lesson(NamedTuple):
    """What one step learns from, and what it goes on drawing with."""

    batch: Batch
    mix: PromptMix
    seed: int
    rng: np.random.Generator


@dataclass(frozen=True)
class _Plan:
    """What the processes that make batches need to know; `first` is the step of the first one."""

    movies: tuple[AnnotatedMovie, ...]
    settings: Settings
    image_size: int
    frames: int
    first: int

    def made(self, worker: int, workers: int) -> Iterator[_Lesson]:
        """Yield one worker's share of the lessons of all steps, for ever."""
        with closing(ClipCutter(self.movies, self.image_size)) as cutter:
            for step in count(self.first + worker, workers):
                yield self._lesson(cutter, step)

    def _lesson(self, cutter: ClipCutter, step: int) -> _Lesson:
        settings = self.settings
        # Samples depend on the step alone, so that a run that was killed goes on as it would have.
        rng = np.random.default_rng((settings.seed, step))
        seed = int(rng.integers(1 << 31))
        both = settings.parts is not Parts.memory_alone  # a single frame tells memory nothing
        single = self.frames == 1 or (both and step % 2 == 0)
        frames = 1 if single else self.frames
        objects = settings.objects * (2 if single and self.frames > 1 else 1)
        mix = _CLICKS_AND_BOXES if single else PromptMix()
        clips = cutter.draw(settings.clips, frames, rng)
        sample = SampleSize(self.image_size, frames, objects, min_area=4)
        return _Lesson(make_batch(clips, sample, mix, rng), mix, seed, rng)


@dataclass
class _Run:
    """The state of a fine-tuning, which can be saved at each look."""

    learner: Learner
    split: Split
    settings: Settings
    folder: Path
    identity: str
    losses: list[Tensor] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    before: Scores = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_step: int = 0

    @classmethod
    def start(cls, learner: Learner, split: Split, settings: Settings, folder: Path) -> _Run:
        """Take up what was saved, or look at the model as it is."""
        run = cls(learner, split, settings, folder, _identity(learner.model, split, settings))
        if (folder / STATE_FILE).exists():
            run._load()
        else:
            run.before = mean_j(learner.model, split.held_out)
            run._look()
        return run

    @property
    def done(self) -> int:
        """Steps that are done."""
        return self.learner.steps

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or there has been no gain for too long."""
        since = sum(look.step > self.best_step for look in self.looks)
        return self.done >= self.settings.steps or since >= self.settings.patience

    def step(self, lesson: _Lesson) -> Tensor:
        """Learn from one batch; look at the stopping part when it is time.

        Between looks no number is fetched from the device, so that nothing waits for it.
        """
        settings, model = self.settings, self.learner.model
        torch.manual_seed(lesson.seed)
        model.train()
        with _precision(settings, model.device):
            result = rollout(model, lesson.batch, lesson.mix, _WEIGHTS, lesson.rng)
        self.learner.learn(result.loss, _rate(settings, self.done))
        loss = result.loss.detach()
        self.losses.append(loss)
        if self.done % settings.check_every == 0 or self.done == settings.steps:
            self._look()
        return loss

    def _look(self) -> None:
        """Score the averaged weights, keep them if they are the best, and save everything."""
        loss = float(torch.stack(self.losses).mean()) if self.losses else math.nan
        scores = mean_j(self.learner.average, self.split.stop)
        highest = max((summary(look.scores) for look in self.looks), default=-1.0)
        self.looks.append(Look(self.done, loss, scores))
        self.losses = []
        if summary(scores) > highest:
            self.best_step = self.done
            self.best = {k: v.clone() for k, v in self.learner.average.state_dict().items()}
        self._save()

    def _save(self) -> None:
        with replacing(self.folder / STATE_FILE) as path:
            torch.save(
                {
                    "identity": self.identity,
                    "done": self.done,
                    **self.learner.state(),
                    "best": self.best,
                    "best_step": self.best_step,
                    "before": self.before,
                    "looks": [asdict(look) for look in self.looks],
                },
                path,
            )

    def _load(self) -> None:
        path = self.folder / STATE_FILE
        try:
            state = torch.load(path, map_location=self.learner.model.device, weights_only=True)
        except Exception as error:
            raise TrainingError(f"{path} is damaged: delete it to start anew.") from error
        if state["identity"] != self.identity:
            raise TrainingError(
                f"{self.folder} holds a run with another model, other masks or settings: delete "
                "it to start anew, or choose another --out."
            )
        self.learner.load(state, state["done"])
        self.before = state["before"]
        self.best, self.best_step = state["best"], state["best_step"]
        self.looks = [Look(**look) for look in state["looks"]]


def _rate(settings: Settings, step: int) -> float:
    warm = min(1.0, (step + 1) / _WARM_UP)
    return settings.rate * warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def _precision(settings: Settings, device: torch.device) -> torch.autocast:
    made_for_it = device.type == "cuda" and torch.cuda.is_bf16_supported()
    wanted = settings.precision == "bfloat16" or (settings.precision == "auto" and made_for_it)
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def _identity(model: Sam2Model, split: Split, settings: Settings) -> str:
    """Tell runs apart: by the weights they begin with, the annotations, and the settings."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    for part in (split.train, split.stop, split.held_out):
        for movie in part:
            areas = [
                [frame, *(m.area for m in movie.masks[frame].values())] for frame in movie.frames
            ]
            reading = {name: value for name, value in movie.reading.items() if value is not None}
            known = [movie.name, areas, *([sorted(reading.items())] if reading else [])]
            digest.update(json.dumps(known).encode())
    digest.update(json.dumps([asdict(settings), model.image_size]).encode())
    return digest.hexdigest()


def _card(model: Sam2Model, split: Split, run: _Run, after: Scores) -> dict[str, str]:
    def shown(scores: Scores) -> str:
        return ", ".join(f"{kind} {value:.3f}" for kind, value in scores.items())

    def named(part: Sequence[Any]) -> str:
        return "; ".join(f"{movie.name} ({len(movie.masks)} frames)" for movie in part)

    return {
        "base": model.variant.name,
        "made_by": f"sam2_plugins {__version__}, finetune",
        "trained_parts": run.settings.parts.value,
        "trained_on": named(split.train),
        "stopped_by": named(split.stop),
        "held_out": named(split.held_out),
        "steps": f"{run.best_step} of {run.done}",
        "held_out_j_before": shown(run.before),
        "held_out_j_after": shown(after),
        "licence": model.variant.licence,
    }
