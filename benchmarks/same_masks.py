"""Whether a model's masks on a device are those of a processor, on sequences with truth.

`python benchmarks/same_masks.py DATA --device cuda` follows the objects of each sequence's first
annotated frame from their true masks, on both, and prints their IoU: on average, of the worst frame
(a mean over its objects), of the worst mask, and how many are below .99. A card's masks are made
without graphs, too: how many pixels these change is printed last.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.datasets import Dataset, find_datasets
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.model.fast import without_graphs

ALIKE = 0.99


def followed(
    model: Sam2Model, dataset: Dataset, length: int, objects: int
) -> list[list[ObjectMask]]:
    """Masks of the objects on each frame."""
    first = next(iter(dataset.truth_frames))
    truth = {obj: mask for obj, mask in dataset.masks(first).items() if mask.visible}
    with open_frames(dataset.frames) as frames:
        tracker = VideoTracker(model, frames)
        for obj in sorted(truth)[:objects]:
            tracker.add_prompt(first, obj, mask=truth[obj])
        results = islice(tracker.propagate("forward"), length)
        return [[result.masks[obj] for obj in tracker.objects] for result in results]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--objects", type=int, default=12)
    given = parser.parse_args()
    here, there = load_model(given.model, "cpu"), load_model(given.model, given.device)
    print(f"{'sequence':24}{'masks':>7}{'mean':>8}{'frame':>8}{'mask':>8}{'< .99':>7}{'pixels':>8}")
    for dataset in find_datasets(given.data):
        wanted = followed(here, dataset, given.frames, given.objects)
        found = followed(there, dataset, given.frames, given.objects)
        with without_graphs():
            plain = followed(there, dataset, given.frames, given.objects)
        ious = np.array(
            [
                [a.iou_with(b) for a, b in zip(*pair, strict=True)]
                for pair in zip(wanted, found, strict=True)
            ]
        )
        pixels = sum(
            a.area + b.area - 2 * a.intersection_with(b)
            for pair in zip(found, plain, strict=True)
            for a, b in zip(*pair, strict=True)
        )
        worst = f"{ious.mean(1).min():8.4f}{ious.min():8.4f}{(ious < ALIKE).sum():7d}{pixels:8d}"
        print(f"{dataset.name:24}{ious.size:7d}{ious.mean():8.4f}{worst}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
