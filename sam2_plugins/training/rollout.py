"""One training step's forward pass: prompts on the first frame, then tracking, with corrections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.model import Decoded, ImageFeatures, Memories, Sam2Model
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START, FOREGROUND, PADDING
from sam2_plugins.core.model.sam2 import PREVIOUS_LOGIT_LIMIT
from sam2_plugins.training.losses import LossWeights, prediction_loss
from sam2_plugins.training.prompting import box_around, click_inside, correction
from sam2_plugins.training.samples import Batch


@dataclass(frozen=True)
class PromptMix:
    """How often each way to prompt is drawn."""

    click: float = 0.4
    box: float = 0.25
    mask: float = 0.35
    correction: float = 0.2


@dataclass(frozen=True)
class RolloutResult:
    """Loss to minimise, and the IoU by kind of prediction, for the log."""

    loss: Tensor
    click_iou: float
    last_iou: float


@dataclass
class _Remembered:
    maps: list[Tensor]
    pointers: list[Tensor]
    frames: list[int]
    prompted: list[int]


def rollout(
    model: Sam2Model, batch: Batch, mix: PromptMix, weights: LossWeights, rng: np.random.Generator
) -> RolloutResult:
    """Prompt every object on frame 0 and follow it through the clip."""
    clips, frames = batch.images.shape[:2]
    objects = batch.masks.shape[1]
    features = model.encode_image(model.preprocess(batch.images.flatten(0, 1)))
    # Prompts are drawn from the masks by numpy, so they stay where they are.
    masks, targets = batch.masks.flatten(0, 1), batch.targets.flatten(0, 1).to(model.device)
    owner = torch.arange(clips, device=model.device).repeat_interleave(objects)
    memory = _Remembered([], [], [], [])
    losses: list[Tensor] = []
    click_iou = last_iou = float("nan")

    for t in range(frames):
        rows = owner * frames + t
        here = ImageFeatures(
            features.coarse[rows], (features.skips[0][rows], features.skips[1][rows])
        )
        truth = targets[:, t]
        prompted = t == 0
        if prompted:
            decoded, first_losses, click_iou = _first_frame(
                model, here, masks[:, 0], truth, mix, weights, rng
            )
            losses += first_losses
        else:
            coarse = model.attend_to_memory(here.coarse, _as_memories(model, memory, t))
            decoded = model.decode(coarse, here.skips)
            loss, quality = prediction_loss(decoded, truth, weights)
            losses.append(loss)
            last_iou = float(quality.mean())
            if rng.random() < mix.correction:
                decoded = _correct(model, coarse, here, decoded, masks[:, t], rng)
                losses.append(prediction_loss(decoded, truth, weights)[0])
                prompted = True
        if t + 1 < frames:
            memory.maps.append(
                model.encode_memory(here.coarse, decoded.mask, decoded.object_score, prompted)
            )
            memory.pointers.append(decoded.pointer)
            memory.frames.append(t)
            if prompted:
                memory.prompted.append(t)
    return RolloutResult(torch.cat(losses).mean(), click_iou, last_iou)


def _as_memories(model: Sam2Model, memory: _Remembered, now: int) -> Memories:
    """Prompted frames in slot 0 of time, the most recent others by their distance."""
    last = model.variant.num_memories - 1
    recent = [f for f in memory.frames if f not in memory.prompted][-last:]
    used = [*memory.prompted, *recent]
    slots = [last] * len(memory.prompted) + [min(now - f, last) - 1 for f in recent]
    batch = len(memory.maps[0])
    device = model.device
    distances = torch.tensor([now - f for f in used], dtype=torch.float32, device=device)
    return Memories(
        maps=torch.stack([memory.maps[f] for f in used], dim=1),
        slots=torch.tensor(slots, device=device).expand(batch, -1),
        pointers=torch.stack([memory.pointers[f] for f in used], dim=1),
        distances=distances.expand(batch, -1),
        span=model.variant.max_pointers - 1,
    )


def _first_frame(
    model: Sam2Model,
    here: ImageFeatures,
    masks: Tensor,
    truth: Tensor,
    mix: PromptMix,
    weights: LossWeights,
    rng: np.random.Generator,
) -> tuple[Decoded, list[Tensor], float]:
    """Prompt each object in one of three ways; returns all objects together again."""
    share = np.array([mix.click, mix.box, mix.mask])
    kinds = rng.choice(3, size=len(masks), p=share / share.sum())
    parts: list[tuple[np.ndarray, Decoded]] = []
    losses: list[Tensor] = []
    click_iou = float("nan")
    for kind in range(3):
        index = np.nonzero(kinds == kind)[0]
        if not len(index):
            continue
        some = ImageFeatures(here.coarse[index], (here.skips[0][index], here.skips[1][index]))
        if kind == 2:
            drawn = masks[index, None].float().to(model.device)
            adopted = model.adopt_mask(some.coarse, some.skips, drawn)
            parts.append((index, adopted))
            continue
        points, labels = (
            t.to(model.device) for t in _prompt_tensors(masks[index].numpy(), kind, rng)
        )
        coarse = model.without_memory(some.coarse)
        decoded = model.decode(coarse, some.skips, points, labels)
        loss, quality = prediction_loss(decoded, truth[index], weights)
        losses.append(loss)
        if kind == 0:
            click_iou = float(quality.mean())
        if rng.random() < mix.correction:
            clamp = decoded.mask.detach().clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
            more_points, more_labels = _correcting_click(decoded, masks[index], rng)
            decoded = model.decode(
                coarse,
                some.skips,
                torch.cat((points, more_points), 1),
                torch.cat((labels, more_labels), 1),
                clamp,
                multimask=False,
            )
            losses.append(prediction_loss(decoded, truth[index], weights)[0])
        parts.append((index, decoded))
    return _join(parts), losses, click_iou


def _prompt_tensors(
    masks: np.ndarray, kind: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    if kind == 0:
        points = np.array([[click_inside(m, rng)] if m.any() else [(0.0, 0.0)] for m in masks])
        labels = np.array([[FOREGROUND if m.any() else PADDING] for m in masks])
    else:
        points = np.stack([box_around(m, rng) if m.any() else np.zeros((2, 2)) for m in masks])
        labels = np.array([[BOX_START, BOX_END] if m.any() else [PADDING] * 2 for m in masks])
    return torch.from_numpy(points).float(), torch.from_numpy(labels)


def _correcting_click(
    decoded: Decoded, masks: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Clicks [B, 1, 2] and labels [B, 1] where the low-resolution mask is wrong."""
    got = (decoded.mask[:, 0] > 0).cpu().numpy()
    wanted = masks[:, 2::4, 2::4].numpy()
    clicks = [correction(w, g, rng) for w, g in zip(wanted, got, strict=True)]
    points = torch.tensor([[(x * 4 + 2, y * 4 + 2)] for (x, y), _ in clicks])
    labels = torch.tensor([[label] for _, label in clicks])
    return points.float().to(decoded.mask.device), labels.to(decoded.mask.device)


def _correct(
    model: Sam2Model,
    coarse: Tensor,
    here: ImageFeatures,
    decoded: Decoded,
    masks: Tensor,
    rng: np.random.Generator,
) -> Decoded:
    """Click on a tracked frame, with the tracked mask as the starting point."""
    points, labels = _correcting_click(decoded, masks, rng)
    previous = decoded.mask.detach().clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
    return model.decode(coarse, here.skips, points, labels, previous)


def _join(parts: list[tuple[np.ndarray, Decoded]]) -> Decoded:
    """Put groups of objects back into their order; candidates are not needed any more."""
    order = torch.from_numpy(np.argsort(np.concatenate([index for index, _ in parts])))

    def together(name: str) -> Tensor:
        return torch.cat([getattr(d, name) for _, d in parts])[order]

    mask = together("mask")
    return Decoded(
        candidates=mask,
        ious=together("iou")[:, None],
        mask=mask,
        iou=together("iou"),
        pointer=together("pointer"),
        object_score=together("object_score"),
    )
