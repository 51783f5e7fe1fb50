"""Score models on movies that differ in kind from what nano is trained on, to choose among them.

`python benchmarks/nano_validation.py nano [other.safetensors …]` prints J of each scene of
`validation_scenes.py` from a mask, a click and a box on the first frame, J one frame after a mask,
and means with 95 % intervals (bootstrap over scenes). From the second model on it also prints the
difference from the first, scene by scene, with its interval. `MODEL@REFINER.safetensors` redraws
outlines with another refiner, `MODEL@none` with none. Checkpoints of nano are chosen by the
mean of all alone. `--data DIR` adds the sequences of a folder, as `sam2-plugins evaluate` reads
them. `--held-out` takes clips of training's own generator instead, of another seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from validation_scenes import Scene, scenes

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.checkpoints.companions import load_outline_refiner
from sam2_plugins.core.datasets import find_datasets
from sam2_plugins.core.evaluation import PROMPT_KINDS, PromptKind, prompt_from_mask
from sam2_plugins.core.masks import ObjectMask, split_label_image
from sam2_plugins.core.model import OutlineRefiner, Sam2Model
from sam2_plugins.training.synthetic import KINDS, MASK_ONLY, make_clip

SEED = 777_000  # training seeds its clips with 16 bits
CLIPS, FRAMES, SIZE, OBJECTS = 3, 8, (360, 480), 3
COLUMNS = (*PROMPT_KINDS, "next")

Truth = Callable[[int], Mapping[int, ObjectMask]]


@dataclass(frozen=True)
class Candidate:
    """A model, and what redraws its outlines."""

    model: Sam2Model
    refiner: OutlineRefiner | None

    @classmethod
    def named(cls, name: str) -> Candidate:
        """Load `MODEL` or `MODEL@REFINER`."""
        name, _, file = name.partition("@")
        model = load_model(name, "cpu")
        if not file:
            return cls(model, load_outline_refiner(model))
        if file == "none":
            return cls(model, None)
        refiner = OutlineRefiner().eval()
        refiner.load_state_dict(load_file(file))
        return cls(model, refiner)


def score(
    candidate: Candidate, source: Any, axes: str | None, truth: Truth, objects: tuple[int, ...]
) -> list[float]:
    """Mean J after the first frame from each kind of prompt, and one frame after a mask."""
    row, following = [], float("nan")
    options = {} if axes is None else {"axes": axes}
    with open_frames(source, **options) as frames:
        for prompt in PROMPT_KINDS:
            found = _follow(candidate, frames, truth, objects, prompt)
            row.append(fmean(j for later in found for j in later) if found else float("nan"))
            if found and prompt == "mask":
                following = fmean(found[0])
    return [*row, following]


def _follow(
    candidate: Candidate, frames: Any, truth: Truth, objects: tuple[int, ...], prompt: PromptKind
) -> list[list[float]]:
    """J of the objects that are there, frame by frame after the first."""
    tracker = VideoTracker(candidate.model, frames, refiner=candidate.refiner)
    first = truth(0)
    for obj in objects:
        tracker.add(prompt_from_mask(prompt, 0, obj, first[obj]))
    found = []
    for result in tracker.propagate():
        true = truth(result.frame)
        there = [obj for obj in objects if obj in true and true[obj].visible]
        if result.frame and there:
            found.append([result.masks[obj].iou_with(true[obj]) for obj in there])
    return found


def held_out_clips() -> Iterator[Scene]:
    """Clips of each kind that training makes, the same every time."""
    for number, kind in enumerate(KINDS):
        for i in range(0 if kind in MASK_ONLY else CLIPS):
            clip = make_clip(np.random.default_rng((SEED, number, i)), SIZE, FRAMES, kind)
            large = [o for o, mask in split_label_image(clip.labels[0]).items() if mask.area >= 60]
            objects = sorted(large, key=lambda obj: (obj * 7919) % 101)[:OBJECTS]
            yield Scene(f"{kind} {i}", kind, clip.frames, clip.labels, tuple(objects))


def sequences(
    made: Iterable[Scene], folder: Path | None
) -> Iterator[tuple[str, str, Any, str | None, Truth, tuple]]:
    """Scenes, and the sequences of a folder."""
    for scene in made:
        labels = scene.labels

        def truth(frame: int, labels: np.ndarray = labels) -> Mapping[int, ObjectMask]:
            return split_label_image(labels[frame])

        yield scene.name, scene.kind, scene.frames, "TYXC", truth, scene.objects
    for dataset in find_datasets(folder) if folder else ():
        objects = dataset.objects or tuple(dataset.masks(0))
        yield dataset.name, dataset.kind, dataset.frames, None, dataset.masks, objects[:6]


def interval(values: np.ndarray) -> str:
    """Mean of values with a 95 % interval by bootstrap."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(4000, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{values.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["nano"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--held-out", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    material = list(sequences(held_out_clips() if arguments.held_out else scenes(), arguments.data))
    kinds = np.array([kind for _, kind, *_ in material])
    reference: np.ndarray | None = None
    for name in arguments.models:
        candidate = Candidate.named(name)
        print(f"{name}\n{'scene':26}" + "".join(f"{column:>8}" for column in COLUMNS))
        rows = []
        for title, _, *rest in material:
            rows.append(score(candidate, *rest))
            print(f"{title:26}" + "".join(f"{value:8.3f}" for value in rows[-1]), flush=True)
        table = np.array(rows)
        overall = np.nanmean(table[:, : len(PROMPT_KINDS)], 1)
        for kind in dict.fromkeys(kinds):
            part = np.nanmean(table[kinds == kind], 0)
            print(f"{kind:26}" + "".join(f"{value:8.3f}" for value in part))
        print(f"mean of all               {interval(overall)}")
        if reference is not None:
            print(f"better than the first by  {interval(overall - reference)}", flush=True)
        reference = overall if reference is None else reference


if __name__ == "__main__":
    main()
