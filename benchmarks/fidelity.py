"""How well an outline that was shown is drawn again: truth on a frame, J one and five frames later.

`python benchmarks/fidelity.py DATA [--model nano …]` gives the true masks of a few frames of each
sequence and follows them. The ceiling is J of the true mask sent through the model's own mask grid
in the window in which its object is seen: no tracking by this model can be finer than that. Moved
is J one frame later of the true mask itself, shifted to where it fits best: what is more is
bending and growing that was followed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import torch
from scipy.signal import fftconvolve

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.datasets import Dataset, find_datasets
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.resample import to_logits, to_object_mask
from sam2_plugins.core.tracking.windows.planner import WindowPlanner, extent_of

STARTS, OBJECTS, LATER = 5, 8, (1, 5)
CEILING, MOVED = 0, -1


def drawn_again(model: Sam2Model, mask: ObjectMask) -> float:
    """J of a mask with itself after it went through the model's mask grid."""
    extent = extent_of(mask)
    assert extent is not None
    planner = WindowPlanner(mask.frame_size, model.image_size, "auto")
    window = planner.window(extent.box, planner.side_for(extent))
    logits = to_logits(mask, window, model.image_size, model.device)[0, 0]
    return to_object_mask(logits, window, mask.frame_size, 1.0, 1.0).iou_with(mask)


def moved(before: ObjectMask, after: ObjectMask) -> float:
    """J of two masks when one is shifted to where it fits the other best."""
    one, other = (mask.crop.astype(float) for mask in (before, after))
    common = fftconvolve(other, one[::-1, ::-1]).max()
    return float(common / (before.area + after.area - common))


def followed(model: Sam2Model, dataset: Dataset) -> Iterator[tuple[int, float]]:
    """J of objects, with how many frames before the truth was given; or `CEILING`, or `MOVED`."""
    annotated = list(dataset.truth_frames)
    last = annotated[-1] - max(LATER)
    starts = [frame for frame in annotated if frame <= last]
    with open_frames(dataset.frames) as frames:
        for start in starts[:: max(1, len(starts) // STARTS)][:STARTS]:
            truth = {obj: mask for obj, mask in dataset.masks(start).items() if mask.visible}
            shown = sorted(truth)[:OBJECTS]
            tracker = VideoTracker(model, frames)
            for obj in shown:
                yield CEILING, drawn_again(model, truth[obj])
                tracker.add_prompt(start, obj, mask=truth[obj])
            for result in tracker.propagate(start=start, stop=start + max(LATER)):
                after = result.frame - start
                if after not in LATER:
                    continue
                true = dataset.masks(result.frame)
                for obj in shown:
                    if obj in true and true[obj].visible:
                        if after == 1:
                            yield MOVED, moved(truth[obj], true[obj])
                        yield after, result.masks[obj].iou_with(true[obj])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", nargs="+", default=["nano"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.model:
        model = load_model(name, "cpu")
        heads = ("masks", "ceiling", "moved", "1 later", "5 later")
        print(f"{name}\n{'sequence':24}" + "".join(f"{head:>9}" for head in heads))
        for dataset in find_datasets(arguments.data):
            values: dict[int, list[float]] = {key: [] for key in (CEILING, MOVED, *LATER)}
            for after, j in followed(model, dataset):
                values[after].append(j)
            row = "".join(f"{fmean(v) if v else float('nan'):9.3f}" for v in values.values())
            print(f"{dataset.name:24}{len(values[CEILING]):9}{row}", flush=True)


if __name__ == "__main__":
    main()
