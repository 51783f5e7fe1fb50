"""How good the mask of a single click is, on many objects of a folder of sequences with truth.

`python benchmarks/clicks.py DATA [--model nano …]` clicks once on each object of a few frames of
each sequence, at its innermost pixel, and prints the mean IoU and the share of objects that were
missed (IoU below a half). `evaluate-model` asks for the objects of the first frame only, which may
be two; this asks for enough of them to tell models apart.

`--neighbours` clicks on all objects of those frames in turn, as one session, without and with the
option of that name, and prints both, and the objects whose mask it changed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import torch

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.datasets import Dataset, find_datasets
from sam2_plugins.core.evaluation import prompt_from_mask
from sam2_plugins.core.model import Sam2Model

FRAMES, OBJECTS = 6, 10


def click_ious(model: Sam2Model, dataset: Dataset) -> list[float]:
    """IoU of each click's mask with the truth, each object prompted as if it were alone."""
    annotated = dataset.truth_frames
    ious: list[float] = []
    with open_frames(dataset.frames) as frames:
        for frame in annotated[:: max(1, len(annotated) // FRAMES)][:FRAMES]:
            truth = {obj: mask for obj, mask in dataset.masks(frame).items() if mask.visible}
            tracker = VideoTracker(model, frames)
            for obj in sorted(truth)[:OBJECTS]:
                found = tracker.add(prompt_from_mask("click", frame, obj, truth[obj]))
                ious.append(found.iou_with(truth[obj]))
                tracker.reset()
    return ious


def together(model: Sam2Model, dataset: Dataset, count: int) -> dict[str, tuple[float, ...]]:
    """IoU of each click's mask without and with the others', all objects of a frame in turn."""
    annotated = dataset.truth_frames
    found: dict[str, tuple[float, ...]] = {}
    with open_frames(dataset.frames) as frames:
        for frame in annotated[:: max(1, len(annotated) // count)][:count]:
            truth = {obj: mask for obj, mask in dataset.masks(frame).items() if mask.visible}
            both = [VideoTracker(model, frames, neighbours=on) for on in (False, True)]
            for tracker in both:
                for obj, mask in sorted(truth.items()):
                    tracker.add(prompt_from_mask("click", frame, obj, mask))
            for obj, mask in sorted(truth.items()):
                masks = [tracker.mask(frame, obj) or mask for tracker in both]
                ious = tuple(one.iou_with(mask) for one in masks)
                found[f"object {obj}, frame {frame}"] = ious
    return found


def print_neighbours(model: Sam2Model, dataset: Dataset, count: int) -> None:
    """Print what the clicks on other objects do."""
    found = together(model, dataset, count)
    without, with_them = (fmean(ious[i] for ious in found.values()) for i in (0, 1))
    print(f"{dataset.name:24}{len(found):8}{without:9.3f}{with_them:8.3f}", end="")
    changed = [f"{who} {a:.2f} → {b:.2f}" for who, (a, b) in found.items() if a != b]
    print("  ", "; ".join(changed) or "none changed", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", nargs="+", default=["nano"])
    parser.add_argument("--neighbours", action="store_true")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each sequence")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.model:
        model = load_model(name, "cpu")
        if arguments.neighbours:
            print(f"{name}\n{'sequence':24}{'clicks':>8}{'without':>9}{'with':>8}")
            for dataset in find_datasets(arguments.data):
                print_neighbours(model, dataset, arguments.frames)
            continue
        print(f"{name}\n{'sequence':24}{'clicks':>8}{'IoU':>8}{'missed':>8}")
        for dataset in find_datasets(arguments.data):
            ious = click_ious(model, dataset)
            missed = fmean(iou < 0.5 for iou in ious)
            print(f"{dataset.name:24}{len(ious):8}{fmean(ious):8.3f}{missed:8.2f}", flush=True)


if __name__ == "__main__":
    main()
