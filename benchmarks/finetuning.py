"""Fine-tune a model on the first frames of one sequence, and judge it on the rest.

    python benchmarks/finetuning.py DATASET [--frames 15] [--model nano] [--out FILE]

DATASET is a folder with frames/ and masks/. Prints J of the rest before and after, by kind of
prompt; the rest is neither learned from nor used to choose when to stop.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from sam2_plugins.core import load_model
from sam2_plugins.training.finetuning import (
    Parts,
    Settings,
    finetune,
    read_project,
    split_movies,
    summary,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--frames", type=int, default=15)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--parts", default=Settings().parts.value)
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--rate", type=float, default=Settings().rate)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    split = split_movies(read_project(given.dataset), first_frames=given.frames)
    settings = Settings(parts=Parts(given.parts), steps=given.steps, rate=given.rate)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        report = finetune(
            load_model(given.model),
            split,
            given.out or Path(folder) / "tuned.safetensors",
            settings,
            on_budget=lambda budget: print(f"memory: {budget}", flush=True),
            on_look=lambda look: print(
                f"step {look.step}: loss {look.loss:.3f}, "
                + ", ".join(f"{kind} {j:.3f}" for kind, j in look.scores.items()),
                flush=True,
            ),
        )
        minutes = (time.perf_counter() - began) / 60
    frames = [movie.frames for movie in split.held_out]
    print(f"held out: frames {frames[0][0]} to {frames[0][-1]}; {minutes:.1f} minutes")
    for kind, before in report.before.items():
        print(f"J, {kind}: {before:.3f} before, {report.after[kind]:.3f} after")
    print(f"mean: {summary(report.before):.3f} before, {summary(report.after):.3f} after")
    print(f"best step {report.best_step}; {'better' if report.better else 'not better: not saved'}")


if __name__ == "__main__":
    main()
