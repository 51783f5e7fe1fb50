"""The training loop: resumable, by steps or by time, on a processor or a graphics card."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.checkpoints import save_model
from sam2_plugins.core.files import naming, replacing
from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.variants import Variant
from sam2_plugins.training.batches import BatchPlan, Material, Pace, batches
from sam2_plugins.training.initialise import initialise
from sam2_plugins.training.learner import Learner
from sam2_plugins.training.parts import choose_parts
from sam2_plugins.training.prompting import PromptMix
from sam2_plugins.training.recipe import Recipe, Task
from sam2_plugins.training.rollout import rollout
from sam2_plugins.training.samples import Batch, SampleSize, make_batch
from sam2_plugins.training.synthetic import KINDS, make_clip

LOG_FIELDS = (
    *("step", "seconds", "waited", "rate", "loss", "click_iou", "next_iou", "last_iou"),
    *("held_next", "held_last"),
)
STATE_FILE, LOG_FILE = "state.pt", "log.csv"

_LOG_EVERY = 20  # steps
_HELD_OUT_SEED = 777_000
_MINUTE = 60.0


def train(
    variant: Variant,
    recipe: Recipe,
    folder: Path,
    *,
    start: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    pace: Pace | None = None,
    material: Material | None = None,
    on_log: Callable[[dict[str, float], float], None] | None = None,
) -> Sam2Model:
    """Train a model, or go on from `folder`, and return it with averaged weights.

    Parameters
    ----------
    start
        State dict of the weights to begin with; fresh ones if None.
    folder
        Where the state is saved now and then, with the averaged weights and a log (CSV).
    seed
        Seeds weights, clips and batches.
    on_log
        Called with a row of the log every 20 steps, and how much of the training is done (0 to 1).

    Raises
    ------
    TrainingError
        If a process that makes batches has ended.
    ExportError
        If the state or the log cannot be written; what was saved last is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    pace, material = pace or Pace(), material or Material()
    run = _Run.begin(variant, recipe, folder, pace, start)
    held_out = _held_out(material, torch.device(pace.device))
    plan = BatchPlan(recipe, material, pace, run.step, run.began, seed)
    rng = np.random.default_rng((seed, run.step))
    if run.progress >= 1:
        return run.finish()
    with closing(batches(plan.made, pace.workers, torch.device(pace.device))) as made:
        for task, batch in made:
            run.learn(task, batch, rng)
            ended = run.progress >= 1
            saves = ended or run.saving_is_due
            scores = run.score(held_out) if saves else {}
            if saves or run.step % _LOG_EVERY == 0:
                row = run.log(scores)
                if on_log:
                    on_log(row, min(1.0, run.progress))
            if saves:
                run.save()
            if ended:
                break
    return run.finish()


@dataclass
class _Run:
    """What learns, and what the log is made of."""

    recipe: Recipe
    folder: Path
    pace: Pace
    learner: Learner
    began: float = field(default_factory=time.time)
    saved: float = field(default_factory=time.time)
    rows: list[dict[str, Tensor | float]] = field(default_factory=list)
    last: float = field(default_factory=time.perf_counter)

    @classmethod
    def begin(
        cls,
        variant: Variant,
        recipe: Recipe,
        folder: Path,
        pace: Pace,
        start: Mapping[str, Tensor] | None,
    ) -> _Run:
        """Take up what was saved in a folder, or begin anew."""
        if pace.device == "cuda":
            torch.set_float32_matmul_precision("high")
            # It makes a plan for each shape that it meets, which takes longer than it saves.
            torch.backends.cuda.enable_cudnn_sdp(False)
        model = build_model(variant)
        if start is None:
            initialise(model)
        else:
            model.load_state_dict(start)
        choose_parts(model, recipe.parts)
        # Convolutions are quicker so, and layer norms over channels need no copy.
        model.to(pace.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = build_model(variant)
        average.to(pace.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        average.load_state_dict(model.state_dict())
        average.requires_grad_(False)
        optimiser = torch.optim.AdamW(
            _groups(model, recipe.weight_decay), betas=(0.9, 0.98), fused=pace.device == "cuda"
        )
        model.train()
        run = cls(recipe, folder, pace, Learner(model, average, optimiser, recipe.ema))
        if (folder / STATE_FILE).exists():
            run._resume()
        return run

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self.learner.steps

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to a little over 1."""
        return self.pace.progress(self.recipe, self.step, self.began)

    @property
    def saving_is_due(self) -> bool:
        """Whether it is time to save the state again."""
        if self.pace.minutes is None:
            return self.step % self.pace.save_every == 0
        return time.time() - self.saved >= _MINUTE

    def learn(self, task: Task, batch: Batch, rng: np.random.Generator) -> None:
        """Take one step; no number is fetched from the device, so nothing waits for it."""
        waited = time.perf_counter() - self.last
        rate = self.recipe.rate(self.step, min(1.0, self.progress))
        model = self.learner.model
        model.image_size = task.sample.size
        with self._precision():
            result = rollout(model, batch, task.mix, task.weights, rng)
        self.learner.learn(result.loss, rate)
        now = time.perf_counter()
        self.rows.append(
            {
                "seconds": now - self.last,
                "waited": waited,
                "rate": rate,
                **vars(result),
                "loss": result.loss.detach(),
            }
        )
        self.last = now

    @torch.no_grad()
    def score(self, held_out: Sequence[Batch]) -> dict[str, float]:
        """IoU one frame after a mask, and on the last frame, of clips that are never learned."""
        if not held_out:
            return {}
        mix, rng = PromptMix(click=0, box=0, mask=1, correction=0), np.random.default_rng(0)
        with self._precision():
            weights = self.recipe.stages[-1].tasks[0].weights
            model = self.learner.average
            found = [rollout(model, batch, mix, weights, rng) for batch in held_out]
        return {
            "held_next": _mean([f.next_iou for f in found]),
            "held_last": _mean([f.last_iou for f in found]),
        }

    def log(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Write the means since the last row."""
        row = {name: _mean([r[name] for r in self.rows]) for name in LOG_FIELDS[1:-2]}
        row |= {"step": self.step, "held_next": math.nan, "held_last": math.nan, **scores}
        self.rows = []
        path = self.folder / LOG_FILE
        new = not path.exists()
        with naming(path), path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            if new:
                writer.writeheader()
            writer.writerow({k: round(row[k], 6) for k in LOG_FIELDS})
        return row

    def save(self) -> None:
        """Save all that is needed to go on; by the clock, each minute's averaged weights too."""
        state = {
            "step": self.step,
            "elapsed": time.time() - self.began,
            **self.learner.state(),
        }
        with replacing(self.folder / STATE_FILE) as path:
            torch.save(state, path)
        if self.pace.minutes is not None:
            minute = round((time.time() - self.began) / _MINUTE)
            save_model(self.learner.average, self.folder / f"minute-{minute:02d}.safetensors")
        self.saved = time.time()
        self.last = time.perf_counter()

    def finish(self) -> Sam2Model:
        """The averaged weights, where they can be saved."""
        kept = self.learner.average
        kept.image_size = kept.variant.image_size
        return kept.cpu().eval()

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.pace.device, torch.bfloat16, enabled=self.pace.device == "cuda")

    def _resume(self) -> None:
        path = self.folder / STATE_FILE
        state = torch.load(path, map_location=self.pace.device, weights_only=True)
        self.learner.load(state, int(state["step"]))
        self.began = time.time() - float(state.get("elapsed", 0.0))


def _held_out(material: Material, device: torch.device) -> list[Batch]:
    """The same clips every time, one batch of each kind, which no seed of a training makes."""
    if not material.held_out:
        return []
    size = SampleSize(256, 8, 3, min_area=8)
    mix = PromptMix(click=0, box=0, mask=1)
    made = []
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng((_HELD_OUT_SEED, number))
        clips = [make_clip(rng, 256, 8, kind) for _ in range(material.held_out)]
        made.append(make_batch(clips, size, mix, rng).to(device))
    return made


def _groups(model: Sam2Model, decay: float) -> list[dict[str, Any]]:
    """Only matrices decay; norms, biases and embeddings do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2 and min(p.shape[:2]) > 1]
    chosen = {id(p) for p in matrices}
    others = [p for p in trained if id(p) not in chosen]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _mean(values: Sequence[Tensor | float]) -> float:
    """Mean of what is known: a batch without a click has no IoU of clicks."""
    known = [number for value in values if not math.isnan(number := float(value))]
    return sum(known) / len(known) if known else math.nan
