"""How well a model does on sequences with ground truth: prompted once, then left alone.

The prompts are made from the true masks of the prompted frame, and the scores are those of
`core.metrics`, with the rules that each dataset carries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sam2_plugins.core.datasets import Dataset
from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectId, ObjectMask, compose_label_image, split_label_image
from sam2_plugins.core.metrics import Scores, SequenceScores, evaluate
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tiling import Tile

if TYPE_CHECKING:
    from sam2_plugins.core.model import Sam2Model

PromptKind: TypeAlias = Literal["mask", "click", "box"]
PROMPT_KINDS: tuple[PromptKind, ...] = ("mask", "click", "box")


@dataclass(frozen=True)
class SequenceReport:
    """How one sequence went.

    Attributes
    ----------
    name, kind
        The dataset's name; "microscopy" or "natural".
    prompt
        What each object was prompted with.
    prompt_iou
        Mean IoU with the truth on the prompted frame, of the mask that the prompt gave. 1 for
        masks, which are taken as they are.
    scores
        Of the frames after it.
    frames
        Frames tracked, the prompted one included.
    seconds
        Time per frame, reading and all objects included.
    """

    name: str
    kind: str
    prompt: PromptKind
    prompt_iou: float
    scores: SequenceScores
    frames: int
    seconds: float


@dataclass(frozen=True)
class MeanReport:
    """Means over sequences of one kind, each counting the same."""

    kind: str
    sequences: int
    prompt_iou: float
    scores: Scores


def evaluate_sequence(
    model: Sam2Model,
    dataset: Dataset,
    prompt: PromptKind = "mask",
    *,
    tile: Tile = "auto",
    on_frame: Callable[[int, int], None] | None = None,
) -> SequenceReport:
    """Prompt the objects of a dataset once, track them to its end, and score what came out.

    Parameters
    ----------
    on_frame
        Called with the frames done and their number. What it raises stops the evaluation.

    Raises
    ------
    PromptError
        If no object to be scored is on the prompted frame.
    FrameSourceError
        If the frames or the labels cannot be read, or do not fit each other.
    """
    from sam2_plugins.core.tracker import VideoTracker

    settings = dataset.settings
    start, truth = settings["prompt_frame"], dataset.labels
    there = split_label_image(truth[start])
    objects = {obj: there[obj] for obj in settings["objects"] if obj in there}
    if not objects:
        raise PromptError(f"{dataset.name}: no object to be scored is on frame {start}.")
    found: list[Mapping[ObjectId, ObjectMask]] = [{} for _ in truth]
    began = time.perf_counter()
    with open_frames(dataset.frames) as frames:
        tracker = VideoTracker(model, frames, tile=tile)
        answers = {
            obj: tracker.add(prompt_from_mask(prompt, start, obj, mask))
            for obj, mask in objects.items()
        }
        for done, result in enumerate(tracker.propagate(start=start, stop=len(truth) - 1), 1):
            found[result.frame] = result.masks
            if on_frame:
                on_frame(done, len(truth) - start)
    tracked = len(truth) - start
    seconds = (time.perf_counter() - began) / tracked
    return SequenceReport(
        dataset.name,
        dataset.kind,
        prompt,
        fmean(answers[obj].iou_with(mask) for obj, mask in objects.items()),
        evaluate(_LabelImages(found, truth.shape[1:]), truth, **settings),
        tracked,
        seconds,
    )


def mean_by_kind(reports: Sequence[SequenceReport]) -> list[MeanReport]:
    """Average reports by kind of sequence, in the order in which the kinds first come."""
    means = []
    for kind in dict.fromkeys(report.kind for report in reports):
        same = [report for report in reports if report.kind == kind]
        scores = {
            field.name: float(np.nanmean([getattr(report.scores, field.name) for report in same]))
            for field in fields(Scores)
        }
        prompt_iou = fmean(report.prompt_iou for report in same)
        means.append(MeanReport(kind, len(same), prompt_iou, Scores(**scores)))
    return means


def prompt_from_mask(kind: PromptKind, frame: int, obj: ObjectId, mask: ObjectMask) -> Prompt:
    """Say of an object what one who sees it would: a click at its heart, its box, or itself.

    Raises
    ------
    PromptError
        If the mask is empty.
    """
    if mask.box is None:
        raise PromptError(f"Object {obj!r} is not on frame {frame}: there is nothing to prompt.")
    if kind == "click":
        return Prompt.of(frame, obj, points=[innermost_pixel(mask)])
    if kind == "box":
        return Prompt.of(frame, obj, box=mask.box)
    return Prompt.of(frame, obj, mask=mask)


def innermost_pixel(mask: ObjectMask) -> tuple[int, int]:
    """Return the pixel (x, y) of a mask that is farthest from the mask's outline."""
    depth = ndimage.distance_transform_edt(np.pad(mask.crop, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return mask.offset[0] + int(column), mask.offset[1] + int(row)


class _LabelImages(Sequence[NDArray[Any]]):
    """Tracked masks as a stack of label images, each composed when it is asked for."""

    def __init__(
        self, masks: Sequence[Mapping[ObjectId, ObjectMask]], frame_size: tuple[int, int]
    ) -> None:
        self._masks = masks
        self._frame_size = frame_size

    def __len__(self) -> int:
        return len(self._masks)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Sequence[NDArray[Any]]:
        if isinstance(index, slice):
            return _LabelImages(self._masks[index], self._frame_size)
        labelled = {int(obj): mask for obj, mask in self._masks[index].items()}
        return compose_label_image(labelled, self._frame_size)
