"""How good the mask of a single click is, on many objects of a folder of sequences with truth.

`python benchmarks/clicks.py DATA [--model nano …]` clicks once on each object of a few frames of
each sequence, at its innermost pixel, and prints the mean IoU and the share of objects that were
missed (IoU below a half). `evaluate-model` asks for the objects of the first frame only, which may
be two; this asks for enough of them to tell models apart.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", nargs="+", default=["nano"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.model:
        model = load_model(name, "cpu")
        print(f"{name}\n{'sequence':24}{'clicks':>8}{'IoU':>8}{'missed':>8}")
        for dataset in find_datasets(arguments.data):
            ious = click_ious(model, dataset)
            missed = fmean(iou < 0.5 for iou in ious)
            print(f"{dataset.name:24}{len(ious):8}{fmean(ious):8.3f}{missed:8.2f}", flush=True)


if __name__ == "__main__":
    main()
