"""One training step's forward pass: prompts on the first frame, then tracking, with corrections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.model import Decoded, ImageFeatures, Memories, Sam2Model
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START, FOREGROUND, PADDING
from sam2_plugins.core.model.sam2 import PREVIOUS_LOGIT_LIMIT
from sam2_plugins.training.losses import LossWeights, prediction_loss
from sam2_plugins.training.prompting import box_around, click_inside, correction
from sam2_plugins.training.samples import Batch

_Way: TypeAlias = Literal["click", "box", "mask", "pointed"]
_WAYS: tuple[_Way, ...] = ("click", "box", "mask", "pointed")

_MOST_CORRECTIONS = 2
"""Clicks that correct the first frame, one after the other."""


@dataclass(frozen=True)
class PromptMix:
    """How often each way to prompt is drawn, and a correction; `pointed` is a click in a box."""

    click: float = 0.4
    box: float = 0.25
    mask: float = 0.35
    pointed: float = 0.0
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
        here = features[rows]
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
    """Prompt each object in one of the ways; returns all objects together again."""
    share = np.array([mix.click, mix.box, mix.mask, mix.pointed])
    kinds = rng.choice(len(_WAYS), size=len(masks), p=share / share.sum())
    parts: list[tuple[np.ndarray, Decoded]] = []
    losses: list[Tensor] = []
    click_iou = float("nan")
    for kind, way in enumerate(_WAYS):
        index = np.nonzero(kinds == kind)[0]
        if not len(index):
            continue
        some = here[index]
        if way == "mask":
            drawn = masks[index, None].float().to(model.device)
            adopted = model.adopt_mask(some.coarse, some.skips, drawn)
            parts.append((index, adopted))
            continue
        points, labels = (
            t.to(model.device) for t in _prompt_tensors(masks[index].numpy(), way, rng)
        )
        coarse = model.without_memory(some.coarse)
        decoded = model.decode(coarse, some.skips, points, labels)
        loss, quality = prediction_loss(decoded, truth[index], weights)
        losses.append(loss)
        if way == "click":
            click_iou = float(quality.mean())
        for _ in range(_MOST_CORRECTIONS):
            if rng.random() >= mix.correction:
                break
            clamp = decoded.mask.detach().clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
            more_points, more_labels = _correcting_click(decoded, masks[index], rng)
            points, labels = (
                torch.cat((points, more_points), 1),
                torch.cat((labels, more_labels), 1),
            )
            decoded = model.decode(coarse, some.skips, points, labels, clamp, multimask=False)
            losses.append(prediction_loss(decoded, truth[index], weights)[0])
        parts.append((index, decoded))
    return _join(parts), losses, click_iou


def _prompt_tensors(
    masks: np.ndarray, way: _Way, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Points [B, P, 2] and labels [B, P]: the corners of a box, a click in it, or both."""
    prompts = [_prompt(mask, way, rng) for mask in masks]
    points = torch.from_numpy(np.stack([xy for xy, _ in prompts])).float()
    return points, torch.tensor([labels for _, labels in prompts])


def _prompt(mask: np.ndarray, way: _Way, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    labels = [] if way == "click" else [BOX_START, BOX_END]
    labels += [] if way == "box" else [FOREGROUND]
    if not mask.any():
        return np.zeros((len(labels), 2)), [PADDING] * len(labels)
    corners = np.empty((0, 2)) if way == "click" else box_around(mask, rng)
    clicks = np.empty((0, 2)) if way == "box" else np.array([click_inside(mask, rng)])
    return np.concatenate((corners, clicks)), labels


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
