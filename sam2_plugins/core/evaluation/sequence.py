"""One model on one sequence: the protocol carried out, and every round scored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import torch

from sam2_plugins.core.datasets import Dataset
from sam2_plugins.core.datasets.dataset import label_images
from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.evaluation.metrics import SequenceScores, evaluate
from sam2_plugins.core.evaluation.prompting import PromptKind
from sam2_plugins.core.evaluation.protocols import Annotator, Found, Protocol
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.operating_system import peak_megabytes
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.tracking.windows.planner import WindowChoice

ENOUGH = 0.75
"""J from which on an object counts as done."""


@dataclass(frozen=True)
class Round:
    """The state after a pass.

    Attributes
    ----------
    prompted_frames, clicks
        Means over the objects.
    """

    prompted_frames: float
    clicks: float
    scores: SequenceScores


@dataclass(frozen=True)
class ObjectReport:
    """The prompts and scores of one object.

    Attributes
    ----------
    clicks_to_reach
        Clicks after which its J was `ENOUGH`, at the first round where it was; None if at none.
    """

    id: int
    prompted_frames: int
    clicks: int
    clicks_to_reach: int | None
    J: float
    F: float
    JF: float


@dataclass(frozen=True)
class SequenceReport:
    """The result of one sequence.

    Attributes
    ----------
    name, kind
        The dataset's name; "microscopy" or "natural".
    protocol, prompt
        How, and with what each object was prompted.
    prompt_iou
        Mean IoU with the truth on the first prompted frame, of the mask that the prompt gave. 1
        for masks, which are taken as they are.
    scores
        Of the frames after it, at the end.
    frames
        Frames tracked, the prompted one included.
    seconds
        Time per frame, reading and all objects and rounds included.
    peak_megabytes
        Most memory that the process (on a CUDA device: the device) held so far.
    rounds
        After each pass of an offline evaluation; otherwise one.
    objects
        What each object took.
    """

    name: str
    kind: str
    protocol: str
    prompt: PromptKind
    prompt_iou: float
    scores: SequenceScores
    frames: int
    seconds: float
    peak_megabytes: float
    rounds: tuple[Round, ...]
    objects: tuple[ObjectReport, ...]


def evaluate_sequence(
    model: Sam2Model,
    dataset: Dataset,
    protocol: Protocol | PromptKind = "mask",
    *,
    window: WindowChoice = "auto",
    policy: Sam2Policy | str = "sam2",
    on_frame: Callable[[int, int], None] | None = None,
    on_masks: Callable[[Found], None] | None = None,
) -> SequenceReport:
    """Carry out a protocol on a dataset, and score the result.

    Parameters
    ----------
    protocol
        A kind of prompt stands for: one of it per object on the first frame, and nothing more.
    on_frame
        Called with the frames done and their number, in each pass. What it raises stops the
        evaluation.
    on_masks
        Called with the final masks by frame.

    Raises
    ------
    PromptError
        If no object to be scored is on its prompted frame.
    FrameSourceError
        If the frames or the labels cannot be read, or do not fit each other.
    """
    if isinstance(protocol, str):
        protocol = Protocol("semi", protocol, clicks=1)
    starts = dataset.first_frames
    if not any(obj in dataset.masks(frame) for obj, frame in starts.items()):
        where = ", ".join(map(str, sorted(set(starts.values())))) or "any"
        raise PromptError(
            f"{dataset.name}: no object to be scored is on the frame of its prompt ({where}). "
            "Choose other objects, or another frame."
        )
    length, first = len(dataset.truth), min(starts.values())
    done: list[Round] = []
    efforts = []
    found: Found = []
    began = time.perf_counter()
    spent = 0.0
    with dataset.open() as frames:
        tracker = VideoTracker(model, frames, window=window, policy=policy)
        annotator = Annotator(tracker, dataset, protocol, on_frame or (lambda *_: None))
        for found in annotator.rounds():
            spent += time.perf_counter() - began
            efforts.append(dict(annotator.efforts))
            done.append(
                Round(
                    fmean(effort.frames for effort in efforts[-1].values()),
                    fmean(effort.clicks for effort in efforts[-1].values()),
                    _score(found, dataset, tracker.frame_size),
                )
            )
            began = time.perf_counter()
    if on_masks:
        on_masks(found)
    objects = [_object_report(one.id, done, efforts) for one in done[-1].scores.objects]
    on_card = model.device.type == "cuda"
    peak = torch.cuda.max_memory_allocated(model.device) / 1e6 if on_card else peak_megabytes()
    return SequenceReport(
        name=dataset.name,
        kind=dataset.kind,
        protocol=protocol.name,
        prompt=protocol.prompt,
        prompt_iou=fmean(annotator.prompt_ious.values()),
        scores=done[-1].scores,
        frames=length - first,
        seconds=spent / (length - first),
        peak_megabytes=peak,
        rounds=tuple(done),
        objects=tuple(objects),
    )


def _score(found: Found, dataset: Dataset, frame_size: tuple[int, int]) -> SequenceScores:
    """Score as label images, unless the truth itself has masks that overlap."""
    if dataset.overlaps:
        masks = [{int(obj): mask for obj, mask in frame.items()} for frame in found]
        return evaluate(masks, dataset.truth, **dataset.settings)
    return evaluate(label_images(found, frame_size), dataset.truth, **dataset.settings)


def _object_report(obj: int, done: list[Round], efforts: list) -> ObjectReport:
    by_round = [next(one for one in r.scores.objects if one.id == obj) for r in done]
    reached = (
        effort[obj].clicks
        for effort, scores in zip(efforts, by_round, strict=True)
        if scores.J >= ENOUGH
    )
    effort, last = efforts[-1][obj], by_round[-1]
    return ObjectReport(
        obj, effort.frames, effort.clicks, next(reached, None), last.J, last.F, last.JF
    )
