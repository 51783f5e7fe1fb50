"""The training loop: resumable, with averaged weights, logged to a table."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.variants import Variant
from sam2_plugins.training.initialise import initialise
from sam2_plugins.training.pool import ClipPool, ClipShape
from sam2_plugins.training.recipe import Recipe, Task
from sam2_plugins.training.rollout import rollout
from sam2_plugins.training.samples import make_batch

LOG_FIELDS = ("step", "seconds", "rate", "loss", "click_iou", "last_iou", "clips")
STATE_FILE, LOG_FILE = "state.pt", "log.csv"

CLIPS = (ClipShape(256, 8), ClipShape(448, 2))
"""Movies, and larger pictures for what is learned from one frame: seen from near and from far."""


def train(
    variant: Variant,
    recipe: Recipe,
    folder: Path,
    *,
    start: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    save_every: int = 100,
    pool_size: int = 1200,
    clips: Sequence[ClipShape] = CLIPS,
    on_log: Callable[[dict[str, float]], None] | None = None,
) -> Sam2Model:
    """Train a model, or go on from `folder`, and return it with averaged weights.

    Parameters
    ----------
    start
        State dict of the weights to begin with; fresh ones if None.
    folder
        Where the state is saved every `save_every` steps, with a log (CSV).
    seed
        Seeds weights, clips and batches.
    on_log
        Called with a row of the log every 20 steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    # On processors convolutions are quicker so; the weights are the same.
    model = build_model(variant)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is None:
        initialise(model)
    else:
        model.load_state_dict(start)
    average = build_model(variant)
    average.load_state_dict(model.state_dict())
    optimiser = torch.optim.AdamW(_groups(model, recipe.weight_decay), betas=(0.9, 0.98))
    first = _resume(folder, model, average, optimiser)
    rng = np.random.default_rng((seed, first))
    pool = ClipPool(pool_size, clips, seed=hash((seed, first)) & 0xFFFF)
    model.train()
    try:
        rows: list[dict[str, float]] = []
        for step in range(first, recipe.steps):
            rows.append(_step(model, optimiser, recipe, step, pool, rng))
            _follow(average, model, min(recipe.ema, (1 + step) / (10 + step)))
            if (step + 1) % 20 == 0 or step + 1 == recipe.steps:
                row = {k: _mean([r[k] for r in rows]) for k in LOG_FIELDS}
                row["step"] = step + 1
                _log(folder / LOG_FILE, row)
                rows = []
                if on_log:
                    on_log(row)
            if (step + 1) % save_every == 0 or step + 1 == recipe.steps:
                _save(folder, step + 1, model, average, optimiser)
    finally:
        pool.close()
    return average.eval()


def load_average(variant: Variant, folder: Path) -> Sam2Model:
    """Return the averaged weights of a run that may still be going on."""
    model = build_model(variant)
    state = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    model.load_state_dict(state["average"])
    return model.eval()


def _step(
    model: Sam2Model,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    step: int,
    pool: ClipPool,
    rng: np.random.Generator,
) -> dict[str, float]:
    began = time.perf_counter()
    task = _task(recipe, step)
    rate = _rate(recipe, step)
    for group in optimiser.param_groups:
        group["lr"] = rate
    model.image_size = task.sample.size
    batch = make_batch(pool.draw(task.clips, task.sample.frames, rng), task.sample, rng)
    result = rollout(model, batch, task.mix, task.weights, rng)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(result.loss)
    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
    optimiser.step()
    return {
        "step": step,
        "seconds": time.perf_counter() - began,
        "rate": rate,
        "loss": float(result.loss.detach()),
        "click_iou": result.click_iou,
        "last_iou": result.last_iou,
        "clips": pool.made,
    }


def _task(recipe: Recipe, step: int) -> Task:
    tasks = next(stage.tasks for stage in recipe.stages if step < stage.until)
    return tasks[step % len(tasks)]


def _rate(recipe: Recipe, step: int) -> float:
    if step < recipe.warm_up:
        return recipe.peak_rate * (step + 1) / recipe.warm_up
    left = (recipe.steps - step) / (recipe.decay * recipe.steps)
    return recipe.peak_rate * min(1.0, left)


def _groups(model: Sam2Model, decay: float) -> list[dict[str, Any]]:
    """Only matrices decay; norms, biases and embeddings do not."""
    matrices = [p for p in model.parameters() if p.ndim >= 2 and min(p.shape[:2]) > 1]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


def _save(
    folder: Path, step: int, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    state = {
        "step": step,
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    part = folder / (STATE_FILE + ".part")
    torch.save(state, part)
    part.replace(folder / STATE_FILE)


def _resume(
    folder: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> int:
    path = folder / STATE_FILE
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _mean(values: list[float]) -> float:
    """Mean of what is known: a batch without a click has no IoU of clicks."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _log(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, LOG_FIELDS)
        if new:
            writer.writeheader()
        writer.writerow({k: round(row[k], 5) for k in LOG_FIELDS})
