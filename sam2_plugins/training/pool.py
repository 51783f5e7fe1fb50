"""A ring of synthetic clips that a second process keeps refilling while training goes on."""

from __future__ import annotations

import multiprocessing as mp
import os
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.queues import Queue

import numpy as np

from sam2_plugins.training.synthetic import Clip, make_clip


@dataclass(frozen=True)
class ClipShape:
    """Side of a clip in pixels, and its length in frames."""

    size: int
    frames: int


class ClipPool:
    """Clips to draw from. Old ones are replaced as new ones arrive; drawing never waits for them.

    Parameters
    ----------
    capacity
        Clips of each shape that are kept in memory.
    shapes
        Made in turn.
    seed
        Seeds the process that makes them.
    """

    def __init__(
        self, capacity: int, shapes: Sequence[ClipShape], seed: int, warm_up: int = 48
    ) -> None:
        context = mp.get_context("spawn")
        self._queue: Queue[Clip] = context.Queue(maxsize=8)
        self._process = context.Process(
            target=_make_forever, args=(self._queue, shapes, seed), daemon=True
        )
        self._process.start()
        self._capacity = capacity
        self._clips: dict[int, list[Clip]] = {shape.frames: [] for shape in shapes}
        self.made = 0
        for _ in range(warm_up):
            self._put(self._queue.get())

    def draw(self, count: int, frames: int, rng: np.random.Generator) -> list[Clip]:
        """Pick clips that are long enough at random, after taking in what has been made."""
        while True:
            try:
                self._put(self._queue.get_nowait())
            except queue.Empty:
                break
        fit = [clip for length, clips in self._clips.items() if length >= frames for clip in clips]
        return [fit[i] for i in rng.integers(len(fit), size=count)]

    def close(self) -> None:
        """Stop making clips."""
        self._process.terminate()
        self._process.join()

    def _put(self, clip: Clip) -> None:
        clips = self._clips[len(clip.frames)]
        if len(clips) == self._capacity:
            clips.pop(0)
        clips.append(clip)
        self.made += 1


def _make_forever(out: Queue[Clip], shapes: Sequence[ClipShape], seed: int) -> None:
    os.nice(10)
    rng = np.random.default_rng(seed)
    parent = mp.parent_process()
    for shape in cycle(shapes):
        clip = make_clip(rng, shape.size, shape.frames)
        # A killed training does not say good-bye.
        while parent is not None and parent.is_alive():
            try:
                out.put(clip, timeout=5)
                break
            except queue.Full:
                continue
        else:
            out.cancel_join_thread()  # nobody will take what is left, so do not wait for it
            return
