"""How well an outline that was shown is drawn again: truth on a frame, J one and five frames later.

`python benchmarks/fidelity.py DATA [--model nano …]` gives the true masks of a few frames of each
sequence and follows them. The ceiling is J of the true mask sent through the model's own mask grid
in the window in which its object is seen: no tracking by this model can be finer than that.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import torch

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.datasets import Dataset, find_datasets
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.resample import to_logits, to_object_mask
from sam2_plugins.core.tracking.windows.planner import WindowPlanner, extent_of

STARTS, OBJECTS, LATER = 5, 8, (1, 5)


def drawn_again(model: Sam2Model, mask: ObjectMask) -> float:
    """J of a mask with itself after it went through the model's mask grid."""
    extent = extent_of(mask)
    assert extent is not None
    planner = WindowPlanner(mask.frame_size, model.image_size, "auto")
    window = planner.window(extent.box, planner.side_for(extent))
    logits = to_logits(mask, window, model.image_size, model.device)[0, 0]
    return to_object_mask(logits, window, mask.frame_size, 1.0, 1.0).iou_with(mask)


def followed(model: Sam2Model, dataset: Dataset) -> Iterator[tuple[int, float]]:
    """J of objects, with how many frames before the truth was given; 0 is the ceiling."""
    annotated = list(dataset.truth_frames)
    last = annotated[-1] - max(LATER)
    starts = [frame for frame in annotated if frame <= last]
    with open_frames(dataset.frames) as frames:
        for start in starts[:: max(1, len(starts) // STARTS)][:STARTS]:
            truth = {obj: mask for obj, mask in dataset.masks(start).items() if mask.visible}
            shown = sorted(truth)[:OBJECTS]
            tracker = VideoTracker(model, frames)
            for obj in shown:
                yield 0, drawn_again(model, truth[obj])
                tracker.add_prompt(start, obj, mask=truth[obj])
            for result in tracker.propagate(start=start, stop=start + max(LATER)):
                after = result.frame - start
                if after not in LATER:
                    continue
                true = dataset.masks(result.frame)
                for obj in shown:
                    if obj in true and true[obj].visible:
                        yield after, result.masks[obj].iou_with(true[obj])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", nargs="+", default=["nano"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.model:
        model = load_model(name, "cpu")
        print(f"{name}\n{'sequence':24}{'masks':>8}{'ceiling':>9}{'1 later':>9}{'5 later':>9}")
        for dataset in find_datasets(arguments.data):
            values: dict[int, list[float]] = {0: []} | {after: [] for after in LATER}
            for after, j in followed(model, dataset):
                values[after].append(j)
            row = "".join(f"{fmean(v) if v else float('nan'):9.3f}" for v in values.values())
            print(f"{dataset.name:24}{len(values[0]):8}{row}", flush=True)


if __name__ == "__main__":
    main()
