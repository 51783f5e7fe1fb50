"""Teaches the object finder on synthetic micrographs: where objects are, and where they end.

    python -m sam2_plugins.training.object_finder OUT.safetensors --minutes 72

docs/lineage.md tells how the file that comes with the package was made.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import Tensor

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.files import replacing
from sam2_plugins.core.model import ObjectFinder, Sam2Model
from sam2_plugins.core.model.object_finder import Landscape
from sam2_plugins.training.batches import batches
from sam2_plugins.training.learner import descend
from sam2_plugins.training.samples import SampleSize, cut, resize, soften, vary_contrast
from sam2_plugins.training.synthetic import make_clip
from sam2_plugins.training.synthetic.microscopy import SPECIMENS

LONGEST_CLIP = 8
"""Frames: a colony that has grown is more crowded than a young one."""

GLARING = 0.5
"""Share of fluorescent pictures with grains so bright that all else is dim."""

BORDER_WEIGHT = 4.0
"""Of pixels between two objects: few, and all that tells one object from two."""

CUT_WEIGHT = 3.0
"""Of pixels of objects that the picture's edge cuts: as few, and slivers count as objects."""


_GLOWS = ("fluorescence", "membrane")
_KINDS = (*SPECIMENS, "fluorescence")  # nuclei are what is tracked most


class Lesson(NamedTuple):
    """B pictures and what is true of them.

    Attributes
    ----------
    images
        uint8 [B, S, S, 3].
    presence, depth, weight
        [B, S / 2, S / 2]; see `Landscape`.
    """

    images: Tensor
    presence: Tensor
    depth: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Lessons:
    """Endless batches of samples that are made anew from synthetic clips."""

    size: SampleSize
    batch: int = 8
    seed: int = 0

    def made(self, worker: int, workers: int) -> Iterator[Lesson]:
        """Yield the lessons of one worker."""
        samples = self._samples(np.random.default_rng((self.seed, worker)))
        while True:
            parts = zip(*islice(samples, self.batch), strict=True)
            yield Lesson(*(torch.stack(each) for each in parts))

    def _samples(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        while True:
            kind = str(rng.choice(_KINDS))
            clip = make_clip(rng, 320, int(rng.integers(1, LONGEST_CLIP + 1)), kind)
            for _ in range(3):
                frames, labels = cut(clip, self.size, rng, whole=False)
                if kind in _GLOWS and rng.random() < GLARING:
                    frames = _with_grains(frames, labels, rng)
                yield self._sample(frames, labels, rng)

    def _sample(
        self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[Tensor, ...]:
        side = self.size.size
        images = resize(torch.from_numpy(frames).permute(0, 3, 1, 2).float(), side)
        if rng.random() < self.size.soften:
            images = soften(images, rng)
        image = vary_contrast(images, rng)[0].permute(1, 2, 0)
        truth = torch.from_numpy(np.stack(landscape_of(labels[0])))[None]
        presence, depth, border, edge = resize(truth, side // 2)[0]
        return image, presence, depth, 1 + BORDER_WEIGHT * border + CUT_WEIGHT * edge


def _with_grains(
    frames: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Put bright grains into some objects of a picture [1, H, W, 3], and show it in its range.

    Condensed chromatin, vesicles and dust outshine what they lie in.
    """
    light = frames[0].astype(np.float32)
    rows, columns = np.nonzero(labels[0])
    if not len(rows):
        return frames
    grains = np.zeros(labels[0].shape, np.float32)
    across = np.sqrt(np.median(np.bincount(labels[0].ravel())[1:].clip(1)))
    for _ in range(int(rng.integers(1, 12))):
        at = int(rng.integers(len(rows)))
        # Grains come in groups.
        for _ in range(int(rng.integers(1, 6))):
            y, x = (n + round(rng.normal(0, 0.2 * across)) for n in (rows[at], columns[at]))
            if 0 <= y < grains.shape[0] and 0 <= x < grains.shape[1] and labels[0][y, x]:
                grains[y, x] += rng.uniform(0.3, 1)
    size = max(0.7, across * rng.uniform(0.02, 0.16))
    grains = ndimage.gaussian_filter(grains, size) * (2 * np.pi * size**2)
    bright = light + float(light.max()) * rng.uniform(0.3, 3) * grains[..., None]
    top = float(np.quantile(bright, rng.uniform(0.995, 1)))
    shown = np.clip(bright * (255 / max(top, 1)), 0, 255)
    return shown.astype(np.uint8)[None]


def landscape_of(labels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """What is true of a label image, each [H, W].

    Presence, depth, what lies between two objects, and what belongs to objects that the edge cuts.
    """
    depth = np.zeros(labels.shape, np.float32)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        # Beyond the picture's edge an object goes on.
        padded = np.pad(labels, 1, mode="edge")
        rows, columns = (slice(s.start, s.stop + 2) for s in box)
        inside = ndimage.distance_transform_edt(padded[rows, columns] == number)[1:-1, 1:-1]
        here = labels[box] == number
        depth[box][here] = (inside / inside.max())[here]
    highest = ndimage.maximum_filter(labels, 5)
    lowest = ndimage.minimum_filter(np.where(labels == 0, 255, labels), 5)
    between = (lowest != highest) & (lowest != 255) & (highest != 0)
    edges = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    cut_off = np.isin(labels, edges[edges > 0])
    maps = labels > 0, depth, between, cut_off
    return tuple(np.asarray(each, np.float32) for each in maps)


def loss_of(found: Landscape, lesson: Lesson) -> Tensor:
    """Cross-entropy of presence and depth, between objects more than elsewhere."""
    parts = (found.presence, lesson.presence), (found.depth, lesson.depth)
    losses = [
        F.binary_cross_entropy_with_logits(logits, truth, lesson.weight) for logits, truth in parts
    ]
    # The least cross-entropy of a depth is not 0, which changes no gradient.
    return losses[0] + 2 * losses[1]


def train_object_finder(
    model: Sam2Model,
    minutes: float,
    batch: int = 8,
    rate: float = 2e-3,
    workers: int = 1,
    seed: int = 0,
    start: ObjectFinder | None = None,
    keep: Callable[[ObjectFinder], None] = lambda finder: None,
) -> ObjectFinder:
    """Train a finder on the features of a model, which stays as it is.

    Parameters
    ----------
    start
        Goes on from this finder.
    keep
        Is called with the finder every so often.
    """
    torch.manual_seed(seed)
    finder = start or ObjectFinder(model.variant)
    finder = finder.to(model.device).train()
    optimiser = torch.optim.AdamW(finder.parameters(), rate, weight_decay=0.01)
    size = SampleSize(model.image_size, 1, 1, 0, closest=0.4, soften=0.3)
    begin = time.monotonic()
    with closing(batches(Lessons(size, batch, seed).made, workers, model.device)) as lessons:
        for step, lesson in enumerate(lessons):
            gone = (time.monotonic() - begin) / (60 * minutes)
            if gone >= 1:
                break
            warm = min(1.0, (step + 1) / 50)
            lesson = Lesson(*(part.to(model.device) for part in lesson))
            with torch.no_grad():
                pixels = model.preprocess(lesson.images)
                pixels = pixels.contiguous(memory_format=torch.channels_last)
                features = model.encode_image(pixels)
            loss = loss_of(finder(pixels, features), lesson)
            descend(finder, optimiser, loss, rate * warm * 0.5 * (1 + np.cos(np.pi * gone)))
            if step % 25 == 0:
                keep(finder)
                print(f"{gone:.0%} step {step}: loss {float(loss.detach()):.3f}", flush=True)
    return finder.eval()


def main() -> None:
    """Train a finder on nano's features, and write it every so often."""
    parser = ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=72)
    parser.add_argument("--start", type=Path, help="go on from this finder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=2e-3, help="largest learning rate")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = cached_model("nano", device="cpu")
    start = None
    if given.start:
        start = ObjectFinder(model.variant)
        start.load_state_dict(load_file(given.start))

    def keep(finder: ObjectFinder) -> None:
        with replacing(given.out) as fresh:
            save_file({k: v.contiguous() for k, v in finder.state_dict().items()}, fresh)

    keep(
        train_object_finder(
            model, given.minutes, rate=given.rate, seed=given.seed, start=start, keep=keep
        )
    )


if __name__ == "__main__":
    main()
