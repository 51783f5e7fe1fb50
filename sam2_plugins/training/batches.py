"""Batches, made whole by other processes while training goes on; and those of synthetic clips."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from sam2_plugins.core.errors import Sam2PluginsError, TrainingError
from sam2_plugins.core.operating_system import lower_priority
from sam2_plugins.training.recipe import Recipe, Task
from sam2_plugins.training.samples import Batch, make_batch
from sam2_plugins.training.synthetic import MASK_ONLY, Clip, Photos, make_clip

Made = TypeVar("Made")

_READY = 2  # batches that each worker has ready
_FRESH = 0.15  # clips that are made anew for each that a batch takes


@dataclass(frozen=True)
class ClipShape:
    """Side of a clip in pixels, and its length in frames."""

    size: int
    frames: int


CLIPS: tuple[ClipShape, ...] = (
    ClipShape(256, 10),
    ClipShape(256, 10),
    ClipShape(256, 10),
    ClipShape(448, 2),
)
"""Movies, and larger pictures for what is learned from one frame: seen from near and far."""

LONG_CLIPS: tuple[ClipShape, ...] = (ClipShape(256, 16), ClipShape(256, 13))


class ClipPool:
    """Clips to draw from, of several lengths; old ones are replaced as new ones are made.

    Parameters
    ----------
    capacity
        Clips of each shape that are kept in memory.
    shapes
        Made in turn.
    photos
        Pictures whose surfaces natural clips take.
    """

    def __init__(
        self,
        capacity: int,
        shapes: Sequence[ClipShape],
        rng: np.random.Generator,
        photos: Photos | None = None,
        warm_up: int = 24,
    ) -> None:
        self._capacity, self._rng, self._photos = capacity, rng, photos
        self._shapes = cycle(shapes)
        self._clips: dict[int, list[Clip]] = {shape.frames: [] for shape in shapes}
        self._owed = 0.0
        for _ in range(max(warm_up, len(shapes))):
            self._make()

    def draw(self, count: int, frames: int) -> list[Clip]:
        """Pick clips that are long enough at random, after some have been made anew.

        A mask teaches nothing on the frame where it is given, so that single frames are not taken
        of clips that are known by masks alone.
        """
        self._owed += _FRESH * count
        while self._owed >= 1:
            self._owed -= 1
            self._make()
        while not (fit := self._fit(frames)):
            self._make()
        return [fit[i] for i in self._rng.integers(len(fit), size=count)]

    def _fit(self, frames: int) -> list[Clip]:
        long = [clip for length, clips in self._clips.items() if length >= frames for clip in clips]
        return [clip for clip in long if frames > 1 or clip.kind not in MASK_ONLY]

    def _make(self) -> None:
        shape = next(self._shapes)
        clips = self._clips[shape.frames]
        clips.append(make_clip(self._rng, shape.size, shape.frames, photos=self._photos))
        del clips[: -self._capacity]


@dataclass(frozen=True)
class Pace:
    """Where, how long and how much at once a recipe is trained.

    Parameters
    ----------
    device
        "cuda" or "cpu".
    workers
        Processes that make batches; 0 makes them in this one.
    minutes
        Train for so long, whatever the number of steps: the learning rate falls by the clock.
    scale
        Clips of a batch, as a multiple of the recipe's.
    save_every
        Steps between saved states; by the clock, a state is saved each minute.
    """

    device: str = "cpu"
    workers: int = 1
    minutes: float | None = None
    scale: int = 1
    save_every: int = 100

    def progress(self, recipe: Recipe, step: int, began: float) -> float:
        """How much of a training is done, from 0 on, by its steps or by the clock."""
        if self.minutes is None:
            return step / recipe.steps
        return (time.time() - began) / (60 * self.minutes)


@dataclass(frozen=True)
class Material:
    """What batches are made of.

    Parameters
    ----------
    clips
        Shapes of clips that are made in turn.
    capacity
        Clips of each shape that a worker keeps.
    held_out
        Clips of each kind on which the averaged weights are scored whenever the state is saved.
    """

    clips: Sequence[ClipShape] = CLIPS
    capacity: int = 80
    photos: Photos | None = None
    held_out: int = 1


@dataclass(frozen=True)
class BatchPlan:
    """What the processes that make batches need to know.

    Attributes
    ----------
    first
        Step of the first batch.
    began
        Time at which training began.
    """

    recipe: Recipe
    material: Material
    pace: Pace = field(default_factory=Pace)
    first: int = 0
    began: float = 0.0
    seed: int = 0

    def made(self, worker: int, workers: int) -> Iterator[tuple[Task, Batch]]:
        """Yield one worker's share of the tasks of all steps and their batches, for ever."""
        material = self.material
        rng = np.random.default_rng((self.seed, self.first, worker))
        pool = ClipPool(material.capacity, material.clips, rng, material.photos)
        for step in count(self.first + worker, workers):
            # The batch of a step is made ahead of it.
            progress = self.pace.progress(self.recipe, step, self.began)
            task = self.recipe.task(step, progress)
            clips = pool.draw(task.clips * self.pace.scale, task.sample.frames)
            yield task, make_batch(clips, task.sample, task.mix, rng)


def usual_workers(device: torch.device, on_a_processor: int) -> int:
    """Workers where no number is given: only a graphics card is worth all cores but one."""
    return max(1, (os.cpu_count() or 2) - 1) if device.type == "cuda" else on_a_processor


class _Share(IterableDataset[Made | Sam2PluginsError]):
    """What one worker makes, and the error that ends it."""

    def __init__(self, make: Callable[[int, int], Iterator[Made]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Made | Sam2PluginsError]:
        info = get_worker_info()
        if info is None:
            yield from self._make(0, 1)
            return
        lower_priority()
        try:
            yield from self._make(info.id, info.num_workers)
        except Sam2PluginsError as error:
            # Raised here, it would come to the other side with a traceback as its text.
            yield error


def batches(
    make: Callable[[int, int], Iterator[Made]], workers: int, device: torch.device
) -> Generator[Made, None, None]:
    """Yield what workers make, in turn.

    Parameters
    ----------
    make
        Yields the share of a worker, given its number and how many there are: with W of them, each
        makes every W-th. It is pickled, as what it yields is.
    workers
        Processes that make batches; with 0, this one does.
    device
        Where they are going to: for a graphics card they are put into pinned memory.

    Raises
    ------
    TrainingError
        If a worker has ended.
    """
    loader = DataLoader(
        _Share(make),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=_READY if workers else None,
        pin_memory=device.type == "cuda",
    )
    found = iter(loader)
    try:
        while True:
            try:
                made = next(found)
            except (RuntimeError, OSError, EOFError) as error:
                if not workers:
                    raise
                raise TrainingError(
                    "A process that makes training clips has ended, so training stops "
                    f"({str(error) or type(error).__name__}). Go on from what was saved (`train` "
                    "with --resume), and with fewer --workers if memory ran out."
                ) from error
            if isinstance(made, Sam2PluginsError):
                raise made
            yield made
    finally:
        _end(found)


def _end(found: Iterator[object]) -> None:
    """End the workers. Some are in the middle of a batch, and how they die is nobody's concern."""
    shut_down = getattr(found, "_shutdown_workers", None)
    if shut_down is not None:
        with suppress(RuntimeError):
            shut_down()
