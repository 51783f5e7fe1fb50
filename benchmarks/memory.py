"""Resident memory while three objects are tracked through a long movie.

    python benchmarks/memory.py [--frames 2000] [--objects 3]

Prints a line every 100 frames. Exit code 1 if memory grew by 20 MB or more after the first 100.
What grows is judged without the pages of mapped files (the code of libraries), which the kernel
drops and reads again as it likes, 100 MB at a time; both figures are printed.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator

import numpy as np
import psutil
import torch

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.tracking.tracker import VideoTracker

LIMIT_MB = 20


def movie(frames: int, objects: int, size: int = 256) -> Iterator[np.ndarray]:
    """Bright discs that go round on noise, made frame by frame."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    for t in range(frames):
        image = rng.integers(0, 30, (size, size), dtype=np.uint8)
        for k in range(objects):
            cx, cy = centre(t, k, objects, size)
            image[(x - cx) ** 2 + (y - cy) ** 2 < 200] = 200
        yield image


def centre(t: int, k: int, objects: int, size: int) -> tuple[float, float]:
    angle = 2 * np.pi * (k / objects + t / 300)
    return size * (0.5 + 0.3 * np.cos(angle)), size * (0.5 + 0.3 * np.sin(angle))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--model", default="nano")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tracker = VideoTracker(load_model(chosen.model), movie(chosen.frames, chosen.objects))
    for k in range(chosen.objects):
        tracker.add_prompt(0, k, points=[centre(0, k, chosen.objects, 256)])
    process = psutil.Process()
    after_100 = last = 0.0
    seen = 0
    for result in tracker.propagate():
        seen += sum(mask.visible for mask in result.masks.values())
        if (result.frame + 1) % 100 == 0:
            gc.collect()
            info = process.memory_info()
            last = (info.rss - getattr(info, "shared", 0)) / 1e6
            after_100 = after_100 or last
            print(
                f"frame {result.frame + 1:5d}  resident {info.rss / 1e6:6.1f} MB, "
                f"without files {last:6.1f} MB  masks seen {seen}",
                flush=True,
            )
    growth = last - after_100
    print(f"growth after the first 100 frames: {growth:.1f} MB (limit {LIMIT_MB})")
    return int(growth >= LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
