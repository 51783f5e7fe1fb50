"""Core-seconds per frame of tracking, by part of the network, and peak memory.

    python benchmarks/speed.py --model sam2.1-tiny --size 512 --objects 1,8

Weights are seeded and random, since only time is measured; one thread; objects have their full
memory (7 frames, 16 pointers) before anything counts. Seconds are of the processor, so that other
work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.tracker import VideoTracker
from sam2_plugins.core.variants import get_variant

PARTS = {
    "image encoder": "encode_image",
    "memory attention": "attend_to_memory",
    "mask decoder": "decode",
    "memory encoder": "encode_memory",
}


@contextmanager
def timed_parts(model: Sam2Model) -> Iterator[dict[str, float]]:
    """Add up the processor time of each part while the block runs."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            result = method(*args, **kwargs)
            spent[name] += time.process_time() - began
            return result

        return call

    for name, attribute in PARTS.items():
        setattr(model, attribute, timed(name, getattr(model, attribute)))
    try:
        yield spent
    finally:
        for attribute in PARTS.values():
            delattr(model, attribute)


def measure(model: Sam2Model, objects: int, warm_up: int, frames: int) -> dict[str, float]:
    """Return core-seconds per frame in total and by part."""
    rng = np.random.default_rng(0)
    movie = rng.integers(0, 255, (warm_up + frames, 256, 256, 3), dtype=np.uint8)
    tracker = VideoTracker(model, movie, tile=None)
    for k in range(objects):
        corner = 20 + 20 * k
        tracker.add_prompt(0, k, box=(corner, corner, corner + 50, corner + 50))
    run = tracker.propagate()
    for _ in range(warm_up):
        next(run)
    with timed_parts(model) as spent:
        began = time.process_time()
        for _ in run:
            pass
        total = time.process_time() - began
    return {"total": total / frames, **{name: spent[name] / frames for name in PARTS}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sam2.1-tiny")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--objects", default="1,8", help="numbers of objects, separated by commas")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--warm-up", type=int, default=17, help="frames until memory is full")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_model(get_variant(chosen.model), chosen.size).eval()
    print(f"{chosen.model}, {chosen.size} px, 1 thread: core-seconds per frame")
    print(f"{'objects':>8} {'total':>8} " + " ".join(f"{name:>17}" for name in PARTS))
    for objects in map(int, chosen.objects.split(",")):
        cost = measure(model, objects, chosen.warm_up, chosen.frames)
        parts = " ".join(f"{cost[name]:17.3f}" for name in PARTS)
        print(f"{objects:8d} {cost['total']:8.3f} {parts}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
