"""A ring of synthetic clips that a second process keeps refilling while training goes on."""

from __future__ import annotations

import multiprocessing as mp
import os
import queue
from multiprocessing.queues import Queue

import numpy as np

from sam2_plugins.training.synthetic import Clip, make_clip


class ClipPool:
    """Clips to draw from. Old ones are replaced as new ones arrive; drawing never waits for them.

    Parameters
    ----------
    capacity
        Clips kept in memory.
    size, frames
        Side in pixels and length of each clip.
    seed
        Seeds the process that makes them.
    """

    def __init__(self, capacity: int, size: int, frames: int, seed: int, warm_up: int = 48) -> None:
        context = mp.get_context("spawn")
        self._queue: Queue[Clip] = context.Queue(maxsize=8)
        self._process = context.Process(
            target=_make_forever, args=(self._queue, size, frames, seed), daemon=True
        )
        self._process.start()
        self._capacity = capacity
        self._clips: list[Clip] = []
        self._next = 0
        self.made = 0
        for _ in range(warm_up):
            self._put(self._queue.get())

    def draw(self, count: int, rng: np.random.Generator) -> list[Clip]:
        """Pick clips at random, after taking in what has been made meanwhile."""
        while True:
            try:
                self._put(self._queue.get_nowait())
            except queue.Empty:
                break
        return [self._clips[i] for i in rng.integers(len(self._clips), size=count)]

    def close(self) -> None:
        """Stop making clips."""
        self._process.terminate()
        self._process.join()

    def _put(self, clip: Clip) -> None:
        if len(self._clips) < self._capacity:
            self._clips.append(clip)
        else:
            self._clips[self._next % self._capacity] = clip
        self._next += 1
        self.made += 1


def _make_forever(out: Queue[Clip], size: int, frames: int, seed: int) -> None:
    os.nice(10)
    rng = np.random.default_rng(seed)
    parent = mp.parent_process()
    clip = make_clip(rng, size, frames)
    # A killed training does not say good-bye.
    while parent is not None and parent.is_alive():
        try:
            out.put(clip, timeout=5)
        except queue.Full:
            continue
        clip = make_clip(rng, size, frames)
