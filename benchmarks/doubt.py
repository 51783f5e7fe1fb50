"""What the rule of doubt finds: ROC of frames with IoU < .5 with the truth, on annotated movies.

    python benchmarks/doubt.py DATA --model nano --roc docs/pictures/doubt-roc.png

DATA is a folder of datasets as `sam2-plugins evaluate` takes them. Each object is prompted once, on
its first frame, with its mask, a click, and its box, one after the other; every later frame on
which the object is there counts. Masks are kept in --cache, so that another rule is tried quickly.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.datasets import find_datasets
from sam2_plugins.core.datasets.dataset import Dataset
from sam2_plugins.core.evaluation.prompting import PROMPT_KINDS
from sam2_plugins.core.evaluation.protocols import Found
from sam2_plugins.core.evaluation.sequence import evaluate_sequence
from sam2_plugins.core.tracking.doubt import DOUBTFUL, doubt_of, neighbours

WRONG = 0.5
"""Below this IoU with the truth, a mask is wrong."""


def track(model: str, dataset: Dataset, kind: str, cache: Path | None) -> Found:
    """Masks by frame, from the cache or by tracking."""
    path = None if cache is None else cache / f"{dataset.name}_{kind}_{model}.pkl"
    if path is not None and path.exists():
        with path.open("rb") as file:
            return pickle.load(file)
    found: list[Found] = []
    evaluate_sequence(load_model(model), dataset, kind, on_masks=found.append)  # type: ignore
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            pickle.dump(found[-1], file)
    return found[-1]


def judge(dataset: Dataset, found: Found) -> list[tuple[float, float]]:
    """Doubt and true IoU of every tracked mask whose object is there."""
    rows = []
    for obj, start in dataset.first_frames.items():
        masks = {f: frame[obj] for f, frame in enumerate(found) if obj in frame and f >= start}
        for frame, mask in masks.items():
            truth = dataset.masks(frame).get(obj) if frame in dataset.truth_frames else None
            if frame != start and truth is not None:
                others = [other for label, other in found[frame].items() if label != obj]
                before, prompted = (masks.get(one) for one in neighbours(frame, [start]))
                doubt = doubt_of(mask, before, prompted, others)
                rows.append((doubt.value, mask.iou_with(truth)))
    return rows


def roc(value: NDArray[np.float64], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of right and of wrong masks that are doubtful, for every threshold, [n, 2]."""
    order = np.argsort(-value, kind="stable")
    found = np.cumsum(wrong[order]) / max(wrong.sum(), 1)
    alarms = np.cumsum(~wrong[order]) / max((~wrong).sum(), 1)
    return np.stack([alarms, found], axis=1)


def area_under(curve: NDArray[np.float64]) -> float:
    widths = np.diff(curve[:, 0], prepend=0)
    return float((widths * curve[:, 1]).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--roc", type=Path, help="picture of the curve")
    options = parser.parse_args()
    judged: dict[str, NDArray[np.float64]] = {}
    for dataset in find_datasets(options.data):
        rows = [
            row
            for kind in PROMPT_KINDS
            for row in judge(dataset, track(options.model, dataset, kind, options.cache))
        ]
        judged[dataset.name] = np.array(rows).reshape(-1, 2)
    judged["all"] = np.concatenate(list(judged.values()))
    print("| movie | masks | wrong | of the wrong, found | of the others, doubtful | area |")
    print("|---|---|---|---|---|---|")
    for name, rows in judged.items():
        value, wrong = rows[:, 0], rows[:, 1] < WRONG
        told = value >= DOUBTFUL
        curve = roc(value, wrong)
        both = 0 < wrong.sum() < len(wrong)
        area = f"{area_under(curve):.2f}" if both else ""
        shares = [f"{told[one].mean():.0%}" if one.any() else "" for one in (wrong, ~wrong)]
        print(f"| {name} | {len(rows)} | {wrong.sum()} | {shares[0]} | {shares[1]} | {area} |")
    at = roc(judged["all"][:, 0], judged["all"][:, 1] < WRONG)
    print(f"At 20 % of the others: {at[at[:, 0] <= 0.2, 1].max():.0%} of the wrong are found.")
    if options.roc:
        draw(at, options.roc)


def draw(curve: NDArray[np.float64], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4.2, 3.6))
    axes.plot(curve[:, 0], curve[:, 1], color="#2a6fdb")
    axes.axvline(0.2, color="#999999", linewidth=0.8, linestyle="--")
    axes.axhline(0.8, color="#999999", linewidth=0.8, linestyle="--")
    axes.set(xlabel="of the masks that are right, doubtful", ylabel="of the wrong masks, found")
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
