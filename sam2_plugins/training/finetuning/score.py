"""J of a model on annotated movies: every object prompted once, then left alone."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch

from sam2_plugins.core.evaluation import PROMPT_KINDS, PromptKind, prompt_from_mask
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.training.finetuning.movies import AnnotatedMovie

Scores = dict[PromptKind, float]

TOLERATED = 0.02
"""J that one way to prompt may lose where the others win more."""


def mean_j(
    model: Sam2Model, movies: Sequence[AnnotatedMovie], kinds: Sequence[PromptKind] = PROMPT_KINDS
) -> Scores:
    """Return J for each way to prompt: the mean over objects of their mean IoU with the truth.

    An object is prompted on the first frame that has it, and judged on every later annotated one
    that has it; where it was clicked or boxed, on the prompted frame too.
    """
    training = model.training
    model.eval()
    try:
        found: dict[PromptKind, list[float]] = {kind: [] for kind in kinds}
        for movie in movies:
            for kind in kinds:
                found[kind] += _of_movie(model, movie, kind)
    finally:
        model.train(training)
    return {kind: fmean(values) for kind, values in found.items() if values}


def summary(scores: Scores) -> float:
    """One number: the mean over the ways to prompt."""
    return fmean(scores.values())


def is_better(before: Scores, after: Scores) -> bool:
    """Whether J rose on the whole, and for no way to prompt fell by more than `TOLERATED`."""
    fell = any(after[kind] < value - TOLERATED for kind, value in before.items())
    return summary(after) > summary(before) and not fell


def _of_movie(model: Sam2Model, movie: AnnotatedMovie, kind: PromptKind) -> list[float]:
    ious: dict[ObjectId, list[float]] = {}
    with torch.random.fork_rng(devices=[]), movie.open() as frames:
        tracker = VideoTracker(model, frames)
        prompted: dict[ObjectId, int] = {}
        for frame in movie.frames:
            for obj, mask in movie.masks[frame].items():
                if obj not in prompted:
                    prompted[obj] = frame
                    answer = tracker.add(prompt_from_mask(kind, frame, obj, mask))
                    if kind != "mask":
                        ious.setdefault(obj, []).append(answer.iou_with(mask))
        if movie.frames[-1] > movie.frames[0]:
            for result in tracker.propagate(start=movie.frames[0], stop=movie.frames[-1]):
                for obj, truth in movie.masks.get(result.frame, {}).items():
                    if prompted[obj] < result.frame and obj in result.masks:
                        ious.setdefault(obj, []).append(result.masks[obj].iou_with(truth))
    return [fmean(values) for values in ious.values()]
