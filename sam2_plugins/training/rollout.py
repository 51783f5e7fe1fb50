"""One training step's forward pass: prompts on the first frame, then tracking, with corrections."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.model import Decoded, ImageFeatures, Memories, Sam2Model
from sam2_plugins.core.model.sam2 import PREVIOUS_LOGIT_LIMIT
from sam2_plugins.training.corrections import as_recorded, correcting_clicks
from sam2_plugins.training.losses import LossWeights, prediction_loss
from sam2_plugins.training.prompting import PromptMix
from sam2_plugins.training.samples import Batch

_MOST_CORRECTIONS = 2
"""Clicks that correct the first frame, one after the other."""

_MORE_CLICKS = 0.5
"""Chance that a click on a tracked frame is followed by another, up to three."""

_FROM_RECORD = 0.3
"""Share of tracked frames remembered by their mask alone, as after a window has moved."""


@dataclass(frozen=True)
class RolloutResult:
    """Loss to minimise, and the IoU by kind of prediction, for the log: means of one batch.

    Attributes
    ----------
    next_iou, last_iou
        On the frame after the prompt and on the last one; nan for a single frame.
    """

    loss: Tensor
    click_iou: Tensor | float
    next_iou: Tensor | float
    last_iou: Tensor | float


@dataclass
class _Remembered:
    maps: list[Tensor] = field(default_factory=list)
    pointers: list[Tensor] = field(default_factory=list)
    prompted: list[int] = field(default_factory=list)


@dataclass
class _Step:
    """What a step draws with, and the losses of objects with how much their frames count."""

    model: Sam2Model
    mix: PromptMix
    weights: LossWeights
    rng: np.random.Generator
    losses: list[tuple[Tensor, float]] = field(default_factory=list)

    def judge(self, decoded: Decoded, truth: Tensor, weight: float = 1.0) -> Tensor:
        """Note the losses of masks, and return their mean IoU."""
        loss, quality = prediction_loss(decoded, truth, self.weights)
        self.losses.append((loss, weight))
        return quality.mean()

    def mean_loss(self) -> Tensor:
        total = sum(weight * len(row) for row, weight in self.losses)
        return torch.stack([row.sum() * (weight / total) for row, weight in self.losses]).sum()


def rollout(
    model: Sam2Model, batch: Batch, mix: PromptMix, weights: LossWeights, rng: np.random.Generator
) -> RolloutResult:
    """Prompt every object on frame 0 and follow it through the clip.

    Nothing here waits for a graphics card: what is drawn is drawn before (`Batch.prompts`), on the
    card (`correcting_clicks`), or for the batch as a whole (`rng`).
    """
    batch = batch.to(model.device)
    clips, frames = batch.images.shape[:2]
    objects = batch.masks.shape[1]
    features = model.encode_image(model.preprocess(batch.images.flatten(0, 1)))
    by_clip = [m.unflatten(0, (clips, frames)) for m in (features.coarse, *features.skips)]
    targets = batch.targets.flatten(0, 1).float() / 255
    memory, step = _Remembered(), _Step(model, mix, weights, rng)
    click_iou: Tensor | float = math.nan
    tracked_ious: list[Tensor] = []

    for t in range(frames):
        coarse, *skips = (_for_each_object(m[:, t], objects) for m in by_clip)
        here = ImageFeatures(coarse, tuple(skips))
        truth = targets[:, t]
        prompted = t == 0
        # What is lost late was mostly lost before, so that the way there is learned too.
        late = 1 + weights.late * t / max(1, frames - 1)
        if prompted:
            decoded, click_iou = _first_frame(step, here, batch, truth)
        else:
            conditioned = model.attend_to_memory(here.coarse, _as_memories(model, memory, t))
            decoded = model.decode(conditioned, here.skips)
            tracked_ious.append(step.judge(decoded, truth, late))
            if rng.random() < mix.correction:
                decoded = _correct(step, conditioned, here, decoded, truth)
                prompted = True
        if t + 1 < frames:
            sure = prompted or rng.random() < _FROM_RECORD
            memory.maps.append(
                model.encode_memory(here.coarse, decoded.mask, decoded.object_score, sure)
            )
            memory.pointers.append(decoded.pointer)
            if prompted:
                memory.prompted.append(t)
    next_iou, last_iou = (tracked_ious[0], tracked_ious[-1]) if tracked_ious else (math.nan,) * 2
    return RolloutResult(step.mean_loss(), click_iou, next_iou, last_iou)


def _for_each_object(maps: Tensor, objects: int) -> Tensor:
    """Repeat maps of clips [B, ...] for each of their objects: [B * K, ...]."""
    return maps[:, None].expand(-1, objects, *(-1,) * (maps.ndim - 1)).flatten(0, 1)


def _as_memories(model: Sam2Model, memory: _Remembered, now: int) -> Memories:
    """Prompted frames in slot 0 of time, the most recent others by their distance."""
    last = model.variant.num_memories - 1
    prompted = tuple(memory.prompted)
    recent = tuple(f for f in range(max(0, now - last), now) if f not in prompted)
    slots, distances = _times(now, prompted, recent, last, model.device)
    batch = len(memory.maps[0])
    used = (*prompted, *recent)
    return Memories(
        maps=torch.stack([memory.maps[f] for f in used], dim=1),
        slots=slots.expand(batch, -1),
        pointers=torch.stack([memory.pointers[f] for f in used], dim=1),
        distances=distances.expand(batch, -1),
        span=model.variant.max_pointers - 1,
    )


@lru_cache(maxsize=4096)
def _times(
    now: int, prompted: tuple[int, ...], recent: tuple[int, ...], last: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Slots and distances of remembered frames, kept on the device."""
    slots = [last] * len(prompted) + [now - f - 1 for f in recent]
    distances = [float(now - f) for f in (*prompted, *recent)]
    return torch.tensor(slots, device=device), torch.tensor(distances, device=device)


def _first_frame(
    step: _Step, here: ImageFeatures, batch: Batch, truth: Tensor
) -> tuple[Decoded, Tensor | float]:
    """Answer each object's prompt; returns all objects together again, and the IoU of clicks."""
    model = step.model
    masks = batch.masks.flatten(0, 1)
    parts: list[tuple[Tensor, Decoded]] = []
    click_iou: Tensor | float = math.nan
    for prompts in batch.prompts:
        index = prompts.objects
        features, *skips = (m.index_select(0, index) for m in (here.coarse, *here.skips))
        some = ImageFeatures(features, tuple(skips))
        if prompts.way == "mask":
            given = masks.index_select(0, index)[:, None].float()
            parts.append((index, model.adopt_mask(some.coarse, some.skips, given)))
            continue
        points, labels = prompts.points, prompts.labels
        wanted = truth.index_select(0, index)
        coarse = model.without_memory(some.coarse)
        decoded = model.decode(coarse, some.skips, points, labels)
        iou = step.judge(decoded, wanted)
        if prompts.way == "click":
            click_iou = iou
        for _ in range(_MOST_CORRECTIONS):
            if step.rng.random() >= step.mix.correction:
                break
            previous = decoded.mask.detach().clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
            points, labels = _and_click(points, labels, decoded, wanted)
            decoded = model.decode(coarse, some.skips, points, labels, previous, multimask=False)
            step.judge(decoded, wanted)
        parts.append((index, decoded))
    return _join(parts), click_iou


def _correct(
    step: _Step, conditioned: Tensor, here: ImageFeatures, decoded: Decoded, truth: Tensor
) -> Decoded:
    """Click on a tracked frame, up to three times, as the tracker takes it.

    The first click refines the mask that was recorded, further ones the answer before.
    """
    model = step.model
    previous = as_recorded(decoded.mask.detach(), model.image_size)
    points = conditioned.new_zeros(len(truth), 0, 2, dtype=torch.float32)
    labels = torch.zeros(len(truth), 0, dtype=torch.long, device=truth.device)
    for _ in range(3):
        points, labels = _and_click(points, labels, decoded, truth)
        decoded = model.decode(conditioned, here.skips, points, labels, previous)
        step.judge(decoded, truth)
        if step.rng.random() >= _MORE_CLICKS:
            break
        previous = decoded.mask.detach().clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
    return decoded


def _and_click(
    points: Tensor, labels: Tensor, decoded: Decoded, truth: Tensor
) -> tuple[Tensor, Tensor]:
    """Add a correcting click to the points before."""
    more_points, more_labels = correcting_clicks(decoded.mask.detach(), truth)
    return torch.cat((points, more_points), 1), torch.cat((labels, more_labels), 1)


def _join(parts: Iterable[tuple[Tensor, Decoded]]) -> Decoded:
    """Put groups of objects back into their order; candidates are not needed any more."""
    parts = list(parts)
    order = torch.cat([index for index, _ in parts]).argsort()

    def together(name: str) -> Tensor:
        return torch.cat([getattr(d, name) for _, d in parts]).index_select(0, order)

    mask = together("mask")
    return Decoded(
        candidates=mask,
        ious=together("iou")[:, None],
        mask=mask,
        iou=together("iou"),
        pointer=together("pointer"),
        object_score=together("object_score"),
    )
