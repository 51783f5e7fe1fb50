"""Whether time per object falls where objects are many, and what tracks share that run at once.

`python benchmarks/density.py 16 49 196 --tracks 4` follows so many discs, in rows, over a frame of
512 × 512 with nano, all in one tracker; then so many of them in trackers of their own that share
their encoded frames, as the tracks of Label Studio do, against one. Processor time, one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.feature_cache import FeatureStore
from sam2_plugins.core.tracking.profiling import PARTS

SIDE, ROWS, COLUMNS = 512, *np.mgrid[:512, :512]
Discs = list[list[NDArray[np.bool_]]]


def movie(objects: int, across: float, frames: int) -> tuple[NDArray[np.uint8], Discs]:
    """Bright discs on noise that drift apart, and where each is on each frame."""
    rng = np.random.default_rng(0)
    per_row = int(np.ceil(np.sqrt(objects)))
    at = (np.indices((per_row, per_row)).reshape(2, -1).T[:objects] + 0.5) * SIDE / per_row
    at, drift = at + rng.uniform(-2, 2, at.shape), rng.uniform(-0.7, 0.7, at.shape)
    discs = [
        [np.hypot(ROWS - y, COLUMNS - x) <= across / 2 for y, x in at + frame * drift]
        for frame in range(frames)
    ]
    noise = rng.normal(60, 6, (frames, SIDE, SIDE))
    bright = np.array([np.any(here, axis=0) for here in discs])
    return (noise + 90 * bright).clip(0, 255).astype(np.uint8), discs


@contextmanager
def clocked(model: Sam2Model) -> Iterator[dict[str, float]]:
    """Processor seconds of each part of the network, and of everything, while the block runs."""
    spent = dict.fromkeys(PARTS, 0.0)
    for part, attribute in PARTS.items():
        method = getattr(model, attribute)

        def timed(*args, method=method, part=part, **options):  # type: ignore[no-untyped-def]
            began = time.process_time()
            result = method(*args, **options)
            spent[part] += time.process_time() - began
            return result

        setattr(model, attribute, timed)
    began = time.process_time()
    yield spent
    spent["total"] = time.process_time() - began
    for attribute in PARTS.values():
        delattr(model, attribute)


def follow(
    model: Sam2Model, frames: NDArray[np.uint8], discs: Discs, groups: Sequence[range], warm: int
) -> tuple[dict[str, float], float, float]:
    """Track groups of discs, each in a tracker of its own: seconds by part, windows, mean J."""
    store = FeatureStore(512)
    source = open_frames(frames, axes="TYX")
    trackers = [VideoTracker(model, source, shared_features=store, movie=0) for _ in groups]
    for tracker, group in zip(trackers, groups, strict=True):
        for disc in group:
            tracker.add_prompt(0, disc, mask=discs[0][disc])
    runs = [tracker.propagate() for tracker in trackers]
    for run in runs:
        list(islice(run, 1 + warm))
    encoded = sum(tracker.frames_encoded for tracker in trackers)
    with clocked(model) as spent:
        for _ in range(warm + 1, len(frames)):
            last = {obj: mask for run in runs for obj, mask in next(run).masks.items()}
    encoded = sum(tracker.frames_encoded for tracker in trackers) - encoded
    js = [mask.iou_with(ObjectMask.from_array(discs[-1][int(obj)])) for obj, mask in last.items()]
    return spent, encoded / (len(frames) - 1 - warm), float(np.mean(js))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objects", type=int, nargs="+")
    parser.add_argument("--across", type=float, default=22, help="of a disc, in pixels")
    parser.add_argument("--tracks", type=int, nargs="*", default=[])
    parser.add_argument("--warm-up", type=int, default=2, help="frames that do not count")
    parser.add_argument("--frames", type=int, default=2, help="frames that count")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, warm = load_model("nano", "cpu"), arguments.warm_up

    def row(name: str, groups: Sequence[range]) -> None:
        count = sum(len(group) for group in groups)
        frames, discs = movie(count, arguments.across, 1 + warm + arguments.frames)
        spent, windows, j = follow(model, frames, discs, groups, warm)
        each = {part: 1000 * s / count / arguments.frames for part, s in spent.items()}
        parts = ", ".join(f"{part} {ms:.1f}" for part, ms in each.items() if part != "total")
        total = f"{each['total']:6.1f} ms per object and frame"
        print(f"{name:>14}: {total}; windows {windows:.0f}; J {j:.3f}; {parts}", flush=True)

    for count in arguments.objects:
        row(f"{count} objects", [range(count)])
    for count in arguments.tracks:
        row(f"{count} tracks", [range(one, one + 1) for one in range(count)])


if __name__ == "__main__":
    main()
