"""Whole movies without a click: how good the objects, links and divisions are that come out.

    python benchmarks/lineage.py DATA

DATA is a folder of datasets as `sam2-plugins evaluate` takes them; those of microscopes are scored,
all objects on all frames. A row is a way to get there:

    overlap     threshold, watershed, links by overlap: see lineage_classical.py
    laptrack    the same objects linked by LapTrack, where it is installed (pip install laptrack)
    nano        `track_all` with the embedded model, nothing set: sam2-plugins track MOVIE --all

Printed is a table in Markdown. Seconds are of one core, reading included. With --synthetic in place
of DATA, fourteen synthetic movies of seven kinds are scored, and the divisions of all of them
together, of the generator that the finder was taught on. `LineageRules` were changed while looking
at those of the seed that is preset and of 78; another --seed makes movies that nothing was set on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lineage_classical as classical
import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.datasets import find_datasets
from sam2_plugins.core.datasets.dataset import Dataset
from sam2_plugins.core.evaluation import ACTS, CtcScores, ctc_scores, label_images
from sam2_plugins.core.evaluation.labelled_tracks import LabelledTracks
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.lineage import track_all
from sam2_plugins.core.lineage.events import parents_of
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.training.synthetic import Clip, make_clip

Link = Callable[[Sequence[classical.Labels], Sequence[NDArray[np.float64]]], classical.Linked]
Way = Callable[[Dataset], tuple[classical.Linked, float]]
"""From a dataset to linked labels, and the seconds that they took."""


def grey_images(dataset: Dataset) -> list[NDArray[np.float64]]:
    """Read all frames as one channel, in the contrast in which the tracker sees them."""
    with open_frames(dataset.frames) as frames:
        return [frame.image.mean(axis=-1) for frame in frames]


Segmented = tuple[list[classical.Labels], list[NDArray[np.float64]], float]
_SEGMENTED: dict[Path, Segmented] = {}


def segmented(dataset: Dataset) -> Segmented:
    """Segment by threshold and watershed, once for all linkers; with the seconds that it took."""
    if dataset.folder not in _SEGMENTED:
        began = time.process_time()
        objects = classical.segment(grey_images(dataset))
        moves = classical.drifts(objects)
        _SEGMENTED[dataset.folder] = objects, moves, time.process_time() - began
    return _SEGMENTED[dataset.folder]


def classically(link: Link) -> Way:
    """Link what threshold and watershed segment."""

    def run(dataset: Dataset) -> tuple[classical.Linked, float]:
        objects, moves, seconds = segmented(dataset)
        began = time.process_time()
        return link(objects, moves), seconds + time.process_time() - began

    return run


def by_model(model: str) -> Way:
    """Track all objects with a model."""

    def run(dataset: Dataset) -> tuple[classical.Linked, float]:
        began = time.process_time()
        with open_frames(dataset.frames) as frames:
            size = frames.height, frames.width
            found = list(track_all(frames, TrackingOptions(model=model)))
        parents = parents_of(event for frame in found for event in frame.events)
        seconds = time.process_time() - began
        return (label_images([frame.masks for frame in found], size), parents), seconds

    return run


WAYS: dict[str, Way] = {
    "overlap": classically(classical.link_by_overlap),
    "laptrack": classically(classical.link_by_laptrack),
    "nano": by_model("nano"),
}


def row(name: str, way: str, scores: CtcScores, seconds: float) -> str:
    """Return a line of the table."""
    measures = (scores.DET, scores.SEG, scores.TRA, scores.division_f1)
    acts = scores.acts
    kinds = ", ".join(f"{acts[act]} {act}" for act in ACTS if acts[act])
    numbers = " | ".join("–" if np.isnan(value) else f"{value:.3f}" for value in measures)
    left = f"{sum(acts.values())}" + (f" ({kinds})" if kinds else "")
    return f"| {name} | {way} | {numbers} | {left} | {seconds:.2f} |"


SPECIMENS = ("fluorescence", "phase", "dic", "brightfield", "spread", "membrane", "microcolony")
SIDE, FRAMES, MOST_OBJECTS = 256, 20, 72


def dividing_movies(each: int = 2, seed: int = 77) -> Iterator[tuple[str, Clip]]:
    """The first movies of each kind in which two divisions or more are seen from begin to end."""
    for kind in SPECIMENS:
        found, number = 0, 0
        while found < each:
            clip = make_clip(np.random.default_rng((seed, number)), SIDE, FRAMES, kind)
            if clip.labels.max() <= MOST_OBJECTS and seen_divisions(clip) >= 2:
                found += 1
                yield f"{kind} {number}", clip
            number += 1


def seen_divisions(clip: Clip) -> int:
    """Mothers that are there on the frame before that on which both daughters appear."""
    there = [set(np.unique(image).tolist()) for image in clip.labels]
    first = {
        one: next(f for f, seen in enumerate(there) if one in seen) for one in set.union(*there)
    }
    litters = [
        (mother, [first.get(one, 0) for one, other in clip.parents.items() if other == mother])
        for mother in set(clip.parents.values())
    ]
    return sum(len(set(f)) == 1 and f[0] > 0 and mother in there[f[0] - 1] for mother, f in litters)


def synthetic(seed: int) -> None:
    """Score nano on all of them, and their divisions together."""
    right, true, ours = 0.0, 0, 0
    for name, clip in dividing_movies(seed=seed):
        began = time.process_time()
        found = list(track_all(clip.frames))
        seconds = (time.process_time() - began) / FRAMES
        parents = parents_of(event for frame in found for event in frame.events)
        labels = label_images([frame.masks for frame in found], clip.labels.shape[1:])
        scores = ctc_scores(labels, LabelledTracks(name, clip.labels, clip.parents), parents)
        true, ours = true + scores.true_divisions, ours + scores.divisions
        right += np.nan_to_num(scores.division_f1) * (scores.true_divisions + scores.divisions) / 2
        print(row(name, "nano", scores, seconds), flush=True)
    f1 = 2 * right / (true + ours)
    print(f"\nDivisions: {right:.0f} of {true} found, {ours - right:.0f} false, F1 {f1:.3f}.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--seed", type=int, default=77, help="of the synthetic movies")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of datasets")
    given = parser.parse_args()
    if given.data is None and not given.synthetic:
        parser.error("give a folder of datasets, or --synthetic")
    print("| movie | way | DET | SEG | TRA | division F1 | corrections left | s per frame |")
    print("|---|---|---|---|---|---|---|---|")
    if given.synthetic:
        synthetic(given.seed)
        return
    found = [one for one in find_datasets(given.data) if one.kind == "microscopy"]
    chosen = [one for one in found if not given.only or one.name in given.only]
    remarks: dict[str, None] = {}
    for dataset in chosen:
        for way in given.ways:
            try:
                (labels, parents), seconds = WAYS[way](dataset)
            except ImportError as error:
                remarks[f"{way} is left out: {error.name} is not installed."] = None
                continue
            scores = ctc_scores(labels, dataset, parents)
            print(row(dataset.name, way, scores, seconds / len(labels)), flush=True)
            remarks |= dict.fromkeys(scores.remarks)
    print("", *remarks, sep="\n")


if __name__ == "__main__":
    main()
