"""Prompts as a person would give them, simulated from the true mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START, FOREGROUND, PADDING

BOX_JITTER = 0.08

Way: TypeAlias = Literal["click", "box", "mask", "pointed"]
WAYS: tuple[Way, ...] = ("click", "box", "mask", "pointed")


@dataclass(frozen=True)
class PromptMix:
    """How often each way to prompt is drawn, and a correction; `pointed` is a click in a box."""

    click: float = 0.4
    box: float = 0.25
    mask: float = 0.35
    pointed: float = 0.0
    correction: float = 0.2

    def draw(self, mask_only: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Ways to prompt objects, as indices of `WAYS`; a mask where `mask_only`, bool [N].

        Groups are as large as their share, so that batches of one task differ little in shape: a
        graphics card looks for the quickest way through each shape that it meets first.
        """
        share = np.array([getattr(self, way) for way in WAYS])
        exact = share / share.sum() * len(mask_only)
        sizes = np.floor(exact).astype(int)
        left = len(mask_only) - sizes.sum()
        if left:
            sizes += rng.multinomial(left, (exact - sizes) / (exact - sizes).sum())
        mask = WAYS.index("mask")
        sizes[mask] = max(0, sizes[mask] - mask_only.sum())
        ways = np.full(len(mask_only), mask)
        others = rng.permutation(np.repeat(np.arange(len(WAYS)), sizes))
        ways[~mask_only] = others[: (~mask_only).sum()]
        return ways


@dataclass(frozen=True)
class Prompts:
    """Prompts of one kind for some of the objects of a batch.

    Attributes
    ----------
    objects
        [N] their places in the batch.
    points, labels
        [N, P, 2] in pixels of the model's input and [N, P]; P is 0 where masks are given.
    """

    way: Way
    objects: Tensor
    points: Tensor
    labels: Tensor


def draw_prompts(
    masks: np.ndarray, mix: PromptMix, rng: np.random.Generator, mask_only: np.ndarray | None = None
) -> tuple[Prompts, ...]:
    """Prompt objects in some way each.

    Parameters
    ----------
    masks
        bool [N, S, S].
    mask_only
        bool [N]: these are given as masks whatever the mix, since nothing else would tell them.
    """
    ways = mix.draw(np.zeros(len(masks), bool) if mask_only is None else mask_only, rng)
    groups = []
    for number, way in enumerate(WAYS):
        objects = np.nonzero(ways == number)[0]
        if not len(objects):
            continue
        prompts = [_prompt(masks[i], way, rng) for i in objects]
        groups.append(
            Prompts(
                way,
                torch.from_numpy(objects),
                torch.from_numpy(np.stack([xy for xy, _ in prompts])).float(),
                torch.tensor([labels for _, labels in prompts], dtype=torch.long),
            )
        )
    return tuple(groups)


def _prompt(mask: np.ndarray, way: Way, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Points [P, 2] and their labels: the corners of a box, a click in it, or both."""
    boxed, clicked = way in ("box", "pointed"), way in ("click", "pointed")
    labels = [BOX_START, BOX_END] * boxed + [FOREGROUND] * clicked
    if not mask.any():
        return np.zeros((len(labels), 2)), [PADDING] * len(labels)
    corners = box_around(mask, rng) if boxed else np.empty((0, 2))
    clicks = np.array([click_inside(mask, rng)]) if clicked else np.empty((0, 2))
    return np.concatenate((corners, clicks)), labels


def click_inside(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Pick a pixel (x, y) well inside a mask [H, W]: often its innermost, else one half as deep."""
    rows, columns = ndimage.find_objects(mask.astype(np.uint8))[0]
    depth = ndimage.distance_transform_edt(np.pad(mask[rows, columns], 1))[1:-1, 1:-1]
    deep = depth >= depth.max() * rng.choice([0.99, 0.5, 0.2], p=[0.5, 0.35, 0.15])
    ys, xs = np.nonzero(deep)
    pick = rng.integers(len(ys))
    return float(xs[pick] + columns.start), float(ys[pick] + rows.start)


def box_around(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Corners [[x0, y0], [x1, y1]] of a box drawn by hand around a mask."""
    rows, columns = ndimage.find_objects(mask.astype(np.uint8))[0]
    corners = np.array([[columns.start, rows.start], [columns.stop - 1, rows.stop - 1]], float)
    side = corners[1] - corners[0] + 1
    jitter: np.ndarray = rng.normal(0, BOX_JITTER / 2, (2, 2)).clip(-0.15, 0.15)
    return np.asarray(corners + jitter * side)
