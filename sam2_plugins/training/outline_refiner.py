"""Teaches the outline refiner on masks that nano tracked through synthetic movies.

    python -m sam2_plugins.training.outline_refiner OUT.safetensors --rounds 3 --minutes 20

Each round first tracks movies with the refiner as it is by then, whose masks go into the memory, so
that it learns from its own mistakes. docs/nano.md tells how the file of the package was made.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy import ndimage
from skimage.segmentation import expand_labels
from torch import Tensor

from sam2_plugins.core import VideoTracker
from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.evaluation import prompt_from_mask
from sam2_plugins.core.files import replacing
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import split_label_image
from sam2_plugins.core.model import OutlineRefiner, Sam2Model
from sam2_plugins.core.model.outline_refiner import MASK, PICTURE
from sam2_plugins.core.tracking.outline import Places, closeup_of
from sam2_plugins.training.learner import descend
from sam2_plugins.training.losses import dice_loss
from sam2_plugins.training.samples import soften
from sam2_plugins.training.synthetic import KINDS, MASK_ONLY, make_clip

SIDES = 180, 420
"""Of the movies' frames, in pixels."""

LENGTHS = 4, 11
"""Of the movies, in frames: the first masks of a track are better than the later ones."""

FOLLOWED = 5
"""Objects of a movie, so that there are many movies."""

LEAST_AREA = 60
"""Pixels of an object that is followed."""

LEAST_IOU = 0.3
"""Of a mask from which to learn: what was lost has no outline."""

SOFT = 0.3
"""Share of movies that are as soft as a microscope's often are."""

LOOSE = 0.4
"""Share of movies with outlines that are drawn further out or in than the light tells.

People draw so; the refiner has to keep to the outline that it was shown.
"""

BOXES = 0.25
"""Share of movies that are prompted by boxes: the outline that was shown is nano's own."""

MOST_LESSONS = 60_000
"""Lessons that are kept, of 29 KB each."""


@dataclass
class Lessons:
    """What to learn from.

    Attributes
    ----------
    closeups
        uint8 [3, 2, SIDE, SIDE] each; see `OutlineRefiner`.
    truth
        uint8 [SIDE, SIDE] each: the share of each pixel that is the object, in 255ths.
    """

    closeups: list[Tensor] = field(default_factory=list)
    truth: list[Tensor] = field(default_factory=list)

    def add(self, closeups: Tensor, truth: Tensor) -> None:
        """Keep a lesson, and forget the oldest of too many."""
        self.closeups.append(closeups.round().to(torch.uint8))
        self.truth.append(truth.round().to(torch.uint8))
        del self.closeups[:-MOST_LESSONS], self.truth[:-MOST_LESSONS]

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw lessons, turned and mirrored, with other contrast: closeups and truth, as floats."""
        rows = rng.integers(len(self.truth), size=count)
        closeups = torch.stack([self.closeups[row] for row in rows]).float()
        truth = torch.stack([self.truth[row] for row in rows]).float() / 255
        quarters = int(rng.integers(4))
        closeups, truth = (each.rot90(quarters, (-2, -1)) for each in (closeups, truth))
        if rng.random() < 0.5:
            closeups, truth = closeups.flip(-1), truth.flip(-1)
        spread = 0.2 * torch.randn(count, 1, 1, 1) + 0.15 * torch.randn(count, 3, 1, 1)
        inverted = torch.where(torch.rand(count, 1, 1, 1) < 0.15, -1.0, 1.0)
        pictures = closeups[:, :, PICTURE] * spread.exp() * inverted
        noise = torch.randn_like(pictures) * 6 * torch.rand(count, 1, 1, 1)
        return torch.stack((pictures + noise, closeups[:, :, MASK]), 2), truth


def record(
    model: Sam2Model, refiner: OutlineRefiner, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Track the objects of one movie, and yield their closeups, each with the truth."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    clip = make_clip(rng, int(rng.integers(*SIDES)), int(rng.integers(*LENGTHS)), kind)
    frames, labels = clip.frames, clip.labels
    if rng.random() < SOFT:
        images = soften(torch.from_numpy(frames).permute(0, 3, 1, 2).float(), rng)
        frames = images.permute(0, 2, 3, 1).to(torch.uint8).numpy()
    if rng.random() < LOOSE:
        labels = _loosened(labels, rng)
    masks = split_label_image(labels[0])
    large = [obj for obj, mask in masks.items() if mask.area >= LEAST_AREA]
    chosen = [large[n] for n in rng.permutation(len(large))[:FOLLOWED]]
    if not chosen:
        return
    boxes = kind not in MASK_ONLY and rng.random() < BOXES
    seen: list[tuple[Places, Tensor]] = []
    with open_frames(frames, axes="TYXC") as source:
        tracker = VideoTracker(model, source, refiner=refiner)
        assert tracker.outlines is not None
        tracker.outlines.observer = lambda places, closeups: seen.append((places, closeups))
        for obj in chosen:
            tracker.add(prompt_from_mask("box" if boxes else "mask", 0, obj, masks[obj]))
        for result in tracker.propagate():
            if len(seen) != 1 or len(seen[0][1]) != len(chosen):
                seen.clear()  # not all objects at once: which is which is not known
                continue
            places, closeups = seen.pop()
            for row, obj in enumerate(chosen):
                truth = torch.from_numpy((labels[result.frame] == obj).astype(np.float32))
                near = 255 * closeup_of(truth[None, None], places[row : row + 1])[0, 0]
                if _iou(closeups[row, 0, MASK] > 127, near > 127) >= LEAST_IOU:
                    yield closeups[row], near


def _iou(one: Tensor, other: Tensor) -> float:
    return float((one & other).sum() / (one | other).sum().clamp(min=1))


def _loosened(labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw all outlines of a movie further out, or in, by a share of the objects' width."""
    width = float(np.sqrt(np.median(np.bincount(labels[0].ravel())[1:].clip(1))))
    by = width * float(rng.uniform(-0.08, 0.12))
    loose = np.zeros_like(labels)
    for frame, drawn in zip(labels, loose, strict=True):
        if by > 0:
            drawn[:] = expand_labels(frame, by)
        else:
            edge = ndimage.maximum_filter(frame, 3) != ndimage.minimum_filter(frame, 3)
            drawn[:] = np.where(ndimage.distance_transform_edt(~edge) > -by, frame, 0)
    return loose


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy and dice of masks [n, 1, SIDE, SIDE]."""
    found = logits[:, 0].sigmoid()
    dice = dice_loss(found, truth).mean()
    return F.binary_cross_entropy_with_logits(logits[:, 0], truth) + dice


def learn(
    refiner: OutlineRefiner,
    lessons: Lessons,
    minutes: float,
    rate: float,
    rng: np.random.Generator,
    batch: int = 32,
) -> None:
    """Teach a refiner for some minutes, at a rate that falls."""
    optimiser = torch.optim.AdamW(refiner.parameters(), rate, weight_decay=0.01)
    refiner.train()
    begin, step, total = time.monotonic(), 0, 0.0
    while (gone := (time.monotonic() - begin) / (60 * minutes)) < 1:
        warm = min(1.0, (step + 1) / 100)
        closeups, truth = lessons.draw(batch, rng)
        loss = loss_of(refiner(closeups), truth)
        descend(refiner, optimiser, loss, rate * warm * min(1.0, (1 - gone) / 0.7))
        step, total = step + 1, total + float(loss.detach())
        if step % 100 == 0:
            print(f"{gone:.0%} step {step}: loss {total / 100:.4f}", flush=True)
            total = 0.0
    refiner.eval()


def main() -> None:
    """Record and learn in turns, and write the refiner after each."""
    parser = ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=20, help="of a round; a third records")
    parser.add_argument("--start", type=Path, help="go on from this refiner")
    parser.add_argument(
        "--share",
        type=float,
        default=1.0,
        help="of what is learned in the weights that are written; the rest is the start's",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=2e-3, help="largest learning rate")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    rng = np.random.default_rng(given.seed)
    model = cached_model("nano", device="cpu")
    refiner = OutlineRefiner().eval()
    if given.start:
        refiner.load_state_dict(load_file(given.start))
    start = {name: weight.clone() for name, weight in refiner.state_dict().items()}
    lessons = Lessons()
    for turn in range(given.rounds):
        begin = time.monotonic()
        while time.monotonic() - begin < 20 * given.minutes:
            for closeups, truth in record(model, refiner, rng):
                lessons.add(closeups, truth)
        print(f"round {turn}: {len(lessons.truth)} lessons", flush=True)
        learn(refiner, lessons, given.minutes * 2 / 3, given.rate, rng)
        with replacing(given.out) as fresh:
            learned = refiner.state_dict().items()
            save_file({k: start[k].lerp(v, given.share).contiguous() for k, v in learned}, fresh)


if __name__ == "__main__":
    main()
