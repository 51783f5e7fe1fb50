"""Mean IoU of the memory policies on scenes made for what they promise, with a real model.

    python benchmarks/memory_policies.py --model nano --seeds 3

"twins": two equal discs cross each other. "returns": a disc is hidden for 12 frames while an equal
one stays, and comes back elsewhere. One mask on frame 0; frames on which the object is hidden count
1 if nothing is predicted, else 0.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.memory.policies import policies
from sam2_plugins.core.tracking.tracker import VideoTracker

SIDE, RADIUS, FRAMES = 160, 11, 40
Path = list["tuple[float, float] | None"]


def twins(rng: np.random.Generator) -> list[Path]:
    """One goes right, one goes left, a little below it."""
    drop = float(rng.uniform(4, 12))
    right: Path = [(15 + 3.3 * t, 75.0) for t in range(FRAMES)]
    left: Path = [(145 - 3.3 * t, 75.0 + drop) for t in range(FRAMES)]
    return [right, left]


def returns(rng: np.random.Generator) -> list[Path]:
    """One is hidden from frame 14 to 25, and comes back 30 pixels away; another one stays."""
    x, y = rng.uniform(35, 60, 2)
    hidden: Path = [
        None if 14 <= t < 26 else (x + 1.0 * t, y + (30 if t >= 26 else 0)) for t in range(FRAMES)
    ]
    return [hidden, [(x + 75.0, y)] * FRAMES]


def film(paths: list[Path], rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    movie = rng.normal(40, 6, (FRAMES, SIDE, SIDE))
    for path in reversed(paths):
        for t, at in enumerate(path):
            if at is not None:
                inside = np.hypot(columns - at[0], rows - at[1]) <= RADIUS
                movie[t][inside] = 170 + rng.normal(0, 6, inside.sum())
    return movie.clip(0, 255).astype(np.uint8)


def disc(at: tuple[float, float] | None) -> ObjectMask:
    if at is None:
        return ObjectMask.empty((SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return ObjectMask.from_array(np.hypot(columns - at[0], rows - at[1]) <= RADIUS)


def score(model: Sam2Model, policy: str, movie: np.ndarray, path: Path) -> float:
    tracker = VideoTracker(model, movie, policy=policy)
    tracker.add_prompt(0, 1, mask=disc(path[0]))
    overlaps = [r.masks[1].iou_with(disc(path[r.frame])) for r in tracker.propagate()]
    return float(np.mean(overlaps[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(chosen.model)
    print(f"{'scene':10}" + "".join(f"{name:>12}" for name in policies()))
    for scene in (twins, returns):
        scores: dict[str, list[float]] = {name: [] for name in policies()}
        for seed in range(chosen.seeds):
            rng = np.random.default_rng(seed)
            paths = scene(rng)
            movie = film(paths, rng)
            for name in policies():
                scores[name].append(score(model, name, movie, paths[0]))
        means = "".join(f"{np.mean(scores[name]):12.3f}" for name in policies())
        print(f"{scene.__name__:10}{means}", flush=True)


if __name__ == "__main__":
    main()
