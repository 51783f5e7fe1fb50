"""From synthetic clips to training batches: crops, flips, contrast, and which objects to follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from sam2_plugins.core.model.fast import map_tensors
from sam2_plugins.training.prompting import PromptMix, Prompts, draw_prompts
from sam2_plugins.training.synthetic import MASK_ONLY, Clip
from sam2_plugins.training.synthetic.noise import log_uniform

# Share of samples in which objects that touch another are followed, where there are any: the
# border between two that look alike is what is learned last.
_AMONG_NEIGHBOURS = 0.6

_SQUEEZED = 0.3
"""Share of samples that show a rectangle, made square."""


@dataclass(frozen=True)
class Batch:
    """B clips of T frames with K objects each, and how each object is prompted.

    Attributes
    ----------
    images
        uint8 [B, T, S, S, 3].
    masks
        bool [B, K, S, S], on the first frame.
    targets
        uint8 [B, K, T, S / 4, S / 4], the share of each low-resolution pixel that is the object,
        in 255ths.
    prompts
        On the first frame; they count the objects of all clips in turn.
    """

    images: Tensor
    masks: Tensor
    targets: Tensor
    prompts: tuple[Prompts, ...]

    def to(self, device: torch.device) -> Batch:
        """Bring everything to a device, without waiting for it."""
        return map_tensors(lambda t: t.to(device, non_blocking=True), self)

    def pin_memory(self) -> Batch:
        """Put everything where a graphics card fetches it without waiting."""
        return map_tensors(lambda t: t.pin_memory() if t.numel() else t, self)


@dataclass(frozen=True)
class SampleSize:
    """How much of a clip one sample takes.

    Attributes
    ----------
    min_area
        Objects smaller than this many low-resolution pixels in the first frame are not followed.
    closest
        Smallest share of a clip's side that a crop shows.
    centred
        Share of samples that are cut around an object.
    soften
        Share of samples that are as soft as a microscope's pictures often are, which take more
        pixels than there is detail.
    """

    size: int
    frames: int
    objects: int
    min_area: float
    closest: float = 0.45
    centred: float = 0.0
    soften: float = 0.0


def make_batch(
    clips: Sequence[Clip], size: SampleSize, mix: PromptMix, rng: np.random.Generator
) -> Batch:
    """Augment clips into one batch; a clip without a fit object is tried again with other crops."""
    samples = [_sample(clip, size, rng) for clip in clips]
    images, masks, targets = (torch.stack(parts) for parts in zip(*samples, strict=True))
    mask_only = np.repeat([clip.kind in MASK_ONLY for clip in clips], masks.shape[1])
    prompts = draw_prompts(masks.flatten(0, 1).numpy(), mix, rng, mask_only)
    return Batch(images, masks, targets, prompts)


def _sample(
    clip: Clip, size: SampleSize, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    chosen: list[int] = []
    for attempt in range(8):
        frames, labels = cut(clip, size, rng, whole=attempt >= 6)
        chosen = _fit_objects(labels[0], size)
        if chosen:
            break
    if not chosen:
        chosen = [int(np.bincount(labels[0].ravel(), minlength=2)[1:].argmax()) + 1]
    if rng.random() < _AMONG_NEIGHBOURS:
        chosen = with_neighbours(labels[0], chosen) or chosen
    picks = rng.permutation(chosen)[: size.objects]
    picks = np.resize(picks, size.objects)
    images = resize(torch.from_numpy(frames).permute(0, 3, 1, 2).float(), size.size)
    if rng.random() < size.soften:
        images = soften(images, rng)
    images = vary_contrast(images, rng).permute(0, 2, 3, 1)
    first = resize(_layers(labels[:1], picks), size.size)[:, 0] > 0.5
    shares = resize(_layers(labels, picks), size.size // 4)
    return images, first, (shares.clamp(0, 1) * 255).round().to(torch.uint8)


def _layers(labels: np.ndarray, picks: np.ndarray) -> Tensor:
    """One layer of 0 and 1 for each picked object and frame: [K, T, H, W]."""
    return torch.from_numpy(np.stack([labels == p for p in picks])).float()


def cut(
    clip: Clip, size: SampleSize, rng: np.random.Generator, whole: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Take a run of frames, forwards or backwards, of a random square, flipped and turned."""
    available, frames = len(clip.frames), size.frames
    stride = 2 if 2 * frames - 1 <= available and rng.random() < 0.3 else 1
    first = rng.integers(available - stride * (frames - 1))
    index = np.arange(frames) * stride + first
    if rng.random() < 0.4:
        index = index[::-1]
    side = min(clip.frames.shape[1:3])
    height, width = clip.frames.shape[1:3]
    if not whole and rng.random() < size.centred and clip.labels[index[0]].any():
        y, x, side = _around_one(clip.labels[index[0]], int(size.closest * side), rng)
    else:
        if not whole and rng.random() < 0.6:
            side = int(side * rng.uniform(size.closest, 1.0))
        y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    rows, columns = slice(y, y + side), slice(x, x + side)
    if not whole and rng.random() < _SQUEEZED:
        # Whole frames are seldom square, and the model sees them so.
        part = int(side * rng.uniform(0.55, 1))
        short = slice((side - part) // 2, (side - part) // 2 + part)
        rows = slice(y + short.start, y + short.stop)
        if rng.random() < 0.5:
            rows, columns = slice(y, y + side), slice(x + short.start, x + short.stop)
    image, label = clip.frames[index, rows, columns], clip.labels[index, rows, columns]
    if rng.random() < 0.5:
        image, label = image[:, :, ::-1], label[:, :, ::-1]
    turns = int(rng.integers(4))
    image, label = (np.rot90(a, turns, (1, 2)) for a in (image, label))
    return np.ascontiguousarray(image), np.ascontiguousarray(label)


def _around_one(labels: np.ndarray, least: int, rng: np.random.Generator) -> tuple[int, int, int]:
    """Corner and side of a square about one object, as windows show objects while tracking."""
    boxes = [box for box in ndimage.find_objects(labels) if box is not None]
    rows, columns = boxes[rng.integers(len(boxes))]
    extent = max(rows.stop - rows.start, columns.stop - columns.start)
    most = min(labels.shape)
    side = int(np.clip(extent * log_uniform(rng, 1.4, 7), least, most))
    corner = [
        int(np.clip((s.start + s.stop - side) / 2 + rng.uniform(-0.25, 0.25) * side, 0, n - side))
        for s, n in zip((rows, columns), labels.shape, strict=True)
    ]
    return corner[0], corner[1], side


def _fit_objects(labels: np.ndarray, size: SampleSize) -> list[int]:
    scale = (size.size / 4) ** 2 / labels.size
    areas = np.bincount(labels.ravel())[1:] * scale
    return [int(i) + 1 for i in np.nonzero(areas >= size.min_area)[0]]


def with_neighbours(labels: np.ndarray, chosen: list[int]) -> list[int]:
    """Those of the chosen labels that have another object within two pixels."""
    highest = ndimage.maximum_filter(labels, 5)
    lowest = ndimage.minimum_filter(np.where(labels == 0, 255, labels), 5)
    near_another = (labels > 0) & ((highest != labels) | (lowest != labels))
    crowded = set(np.unique(labels[near_another]).tolist())
    return [label for label in chosen if label in crowded]


def resize(maps: Tensor, size: int) -> Tensor:
    """Make maps [..., H, W] square, without aliasing where they shrink."""
    if maps.shape[-2:] == (size, size):
        return maps
    shrinks = max(maps.shape[-2:]) > size
    return F.interpolate(maps, size=(size, size), mode="bilinear", antialias=shrinks)


def soften(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Leave out what is finer than a few pixels: the picture made smaller, and larger again."""
    side = images.shape[-1]
    coarse = round(side / log_uniform(rng, 1.3, 5))
    small = F.interpolate(images, size=(coarse, coarse), mode="bilinear", antialias=True)
    return F.interpolate(small, size=(side, side), mode="bicubic").clamp(0, 255)


def vary_contrast(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Change contrast, brightness, polarity and noise of a whole clip alike."""
    x = images / 255
    if rng.random() < 0.15:
        x = 1 - x
    if rng.random() < 0.5:
        x = x.clamp(0, 1) ** float(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.6:
        mean = x.mean()
        x = (x - mean) * float(rng.uniform(0.45, 1.3)) + mean + float(rng.normal(0, 0.08))
    if rng.random() < 0.3:
        noise = rng.standard_normal((len(x), 1, *x.shape[-2:]), dtype=np.float32)
        x = x + torch.from_numpy(noise) * float(rng.uniform(0.005, 0.06))
    return (x.clamp(0, 1) * 255).to(torch.uint8)
