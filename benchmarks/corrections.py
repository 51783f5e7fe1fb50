"""What corrections do to masks that are there, on annotated movies.

    python benchmarks/corrections.py DATA --model nano

*Rounds*: the offline protocol. In each round every object gets clicks on the frame where it is
worst, and is tracked again. J of each sequence after each round, and the largest fall of an
object's J from one round to the next.

*Clicks*: each object is tracked from its mask on the first frame. Then, on every few frames, and
each time undone, it gets one click at the centre of its largest error, and one that excludes a
place just beside it.

*Series*: on every few frames each object is prompted by a click or a box, and corrected by one
click after another, each at the centre of its largest error.

DATA is a folder of datasets as `sam2-plugins evaluate` takes them; "scenes" are the synthetic ones
of `validation_scenes.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from scipy import ndimage
from validation_scenes import scenes

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.datasets import Dataset, find_datasets
from sam2_plugins.core.evaluation import Protocol, evaluate_sequence, next_click, prompt_from_mask
from sam2_plugins.core.evaluation.prompting import PromptKind
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model

WORSE = 0.02
"""A fall of IoU, or of an object's J, that counts."""
BESIDE = 3
"""Pixels from the true outline to a click that excludes what is beside the object."""


def datasets(data: str) -> Iterator[Dataset]:
    """Annotated movies of a folder, or the synthetic scenes."""
    if data != "scenes":
        yield from find_datasets(Path(data))
        return
    for scene in scenes():
        yield Dataset(
            name=scene.name,
            folder=Path(),
            frames=scene.frames,  # type: ignore[arg-type]  # an array is a source, too
            layout="own",
            read=lambda labels=scene.labels: labels,  # type: ignore[misc]
            kind=scene.kind,  # type: ignore[arg-type]
            objects=scene.objects,
        )


def rounds(model: Sam2Model, data: str, protocol: Protocol) -> None:
    """Print J after each round, and the largest fall of an object's J in a round."""
    print(f"{'sequence':20} J by round, {protocol.clicks} click(s) on the worst frame")
    for dataset in datasets(data):
        done = evaluate_sequence(model, dataset, protocol).rounds
        by_object = [{one.id: one.J for one in each.scores.objects} for each in done]
        falls = [
            (before[obj] - after[obj], obj, number)
            for number, (before, after) in enumerate(pairwise(by_object), 2)
            for obj in after
        ]
        worst, obj, number = max(falls)
        row = " ".join(f"{each.scores.J:.3f}" for each in done)
        many = sum(fall > WORSE for fall, *_ in falls)
        print(
            f"{dataset.name:20} {row}  largest fall {max(worst, 0):.3f} (object {obj}, round "
            f"{number}); more than {WORSE}: {many} of {len(falls)}",
            flush=True,
        )


def clicks(model: Sam2Model, data: str, step: int) -> None:
    """Print IoU before and after one click on tracked frames."""
    head = "clicks  before  after  worse  to 0"
    print(f"{'sequence':20}   at the error: {head}   beside: {head}")
    every: list[list[tuple[float, float]]] = [[], []]
    for dataset in datasets(data):
        found = tracked_clicks(model, dataset, step)
        for all_of_them, these in zip(every, found, strict=True):
            all_of_them.extend(these)
        print(f"{dataset.name:20}" + "".join(map(_summary, found)), flush=True)
    print(f"{'all':20}" + "".join(map(_summary, every)))


def tracked_clicks(
    model: Sam2Model, dataset: Dataset, step: int
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """IoU before and after a click at the largest error, and after one beside the object."""
    at_error, beside = [], []
    with open_frames(dataset.frames) as frames:
        tracker = VideoTracker(model, frames)
        for obj, frame in dataset.first_frames.items():
            tracker.add(prompt_from_mask("mask", frame, obj, dataset.masks(frame)[obj]))
        for _ in tracker.propagate():
            pass
        for frame in dataset.truth_frames[step::step]:
            truths = dataset.masks(frame)
            for obj, start in dataset.first_frames.items():
                mask, truth = tracker.mask(frame, obj), truths.get(obj)
                if frame <= start or mask is None or truth is None or not truth.visible:
                    continue
                before = mask.iou_with(truth)
                click = next_click(truth, mask)
                if click is not None:
                    after = tracker.add_prompt(frame, obj, points=[click[0]], labels=[click[1]])
                    at_error.append((before, after.iou_with(truth)))
                    tracker.undo_prompt()
                if (place := just_beside(truth, frame)) is not None:
                    after = tracker.add_prompt(frame, obj, points=[place], labels=[0])
                    beside.append((before, after.iou_with(truth)))
                    tracker.undo_prompt()
    return at_error, beside


def series(model: Sam2Model, data: str, step: int, count: int) -> None:
    """Print IoU after a first prompt, and after each of the clicks that correct its mask."""
    first: PromptKind
    for first in ("click", "box"):
        print(f"{'a ' + first + ', corrected':20} IoU after each click, falls of more than {WORSE}")
        every: list[list[float]] = []
        for dataset in datasets(data):
            found = list(_series(model, dataset, step, first, count))
            print(f"{dataset.name:20}{_told(found)}", flush=True)
            every += found
        print(f"{'all':20}{_told(every)}", flush=True)


def _series(
    model: Sam2Model, dataset: Dataset, step: int, first: PromptKind, count: int
) -> Iterator[list[float]]:
    """IoU of an object on a frame after its first prompt, and after each click."""
    with open_frames(dataset.frames) as frames:
        for frame in list(dataset.truth_frames)[::step]:
            for obj, truth in dataset.masks(frame).items():
                if not truth.visible:
                    continue
                tracker = VideoTracker(model, frames)
                found = tracker.add(prompt_from_mask(first, frame, obj, truth))
                ious = [found.iou_with(truth)]
                for _ in range(count):
                    if (click := next_click(truth, found)) is None:
                        break
                    found = tracker.add_prompt(frame, obj, points=[click[0]], labels=[click[1]])
                    ious.append(found.iou_with(truth))
                yield ious


def _told(found: Sequence[Sequence[float]]) -> str:
    """Mean IoU after each click, the last staying where nothing is left to correct, and falls."""
    longest = max(map(len, found))
    filled = [[*ious, *[ious[-1]] * (longest - len(ious))] for ious in found]
    means = " ".join(f"{fmean(ious):.3f}" for ious in zip(*filled, strict=True))
    steps = [before - after for ious in found for before, after in pairwise(ious)]
    return f" {len(found):4} objects  {means}  worse {fmean(s > WORSE for s in steps):.1%}"


def just_beside(truth: ObjectMask, seed: int) -> tuple[int, int] | None:
    """A pixel (x, y) a little outside of an object; None if there is none in the frame."""
    distance = ndimage.distance_transform_edt(~truth.to_array())
    rows, columns = np.nonzero((distance >= BESIDE) & (distance < BESIDE + 1))
    if not rows.size:
        return None
    one = int(np.random.default_rng(seed).integers(rows.size))
    return int(columns[one]), int(rows[one])


def _summary(pairs: Sequence[tuple[float, float]]) -> str:
    if not pairs:
        return f"{0:24}{'':28}"
    before, after = (fmean(side) for side in zip(*pairs, strict=True))
    worse = fmean(b - a > WORSE for b, a in pairs)
    lost = fmean(b > 0 and a == 0 for b, a in pairs)
    return f"{len(pairs):22}{before:8.3f}{after:7.3f}{worse:7.1%}{lost:6.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="a folder, or scenes")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--part", nargs="+", default=["rounds", "clicks"])
    parser.add_argument("--clicks", type=int, default=3, help="of a series, or a round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--step", type=int, default=5, help="frames between two clicks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.model, "cpu")
    if "clicks" in options.part:
        clicks(model, options.data, options.step)
    if "series" in options.part:
        series(model, options.data, options.step, options.clicks)
    if "rounds" in options.part:
        rounds(model, options.data, Protocol("offline", "click", options.clicks, options.rounds))


if __name__ == "__main__":
    main()
