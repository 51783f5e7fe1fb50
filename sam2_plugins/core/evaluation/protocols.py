"""Protocols of evaluation: prompted once, or corrected by a simulated person.

Semi-supervised evaluation as in DAVIS, and the promptable video segmentation of Ravi et al. 2024,
section 6.1 and appendix: offline (passes, each correcting the worst frame) and online (one pass, a
bad frame is corrected as it is met).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sam2_plugins.core.datasets import Dataset
from sam2_plugins.core.evaluation.prompting import PromptKind, next_click, prompt_from_mask
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.tracking.tracker import VideoTracker

ProtocolName: TypeAlias = Literal["semi", "offline", "online"]

Found: TypeAlias = list[dict[ObjectId, ObjectMask]]
OnFrame: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True)
class Protocol:
    """The protocol of the simulated person.

    Attributes
    ----------
    prompt
        What a prompted frame begins with; the clicks that follow correct what came of it.
    clicks
        Interactions on a prompted frame, the first included. A mask leaves nothing to correct.
    frames
        Prompted frames of an object at most (offline and online).
    threshold
        Online, a frame with a lower IoU is prompted.
    """

    name: ProtocolName = "semi"
    prompt: PromptKind = "click"
    clicks: int = 3
    frames: int = 8
    threshold: float = 0.75


@dataclass(frozen=True)
class Effort:
    """The prompts given for one object."""

    frames: int = 0
    clicks: int = 0


class Annotator:
    """A simulated person, who sees the truth.

    Attributes
    ----------
    efforts
        What was done for each object so far.
    prompt_ious
        IoU of what each object's first prompted frame gave.
    """

    def __init__(self, tracker: VideoTracker, dataset: Dataset, protocol: Protocol) -> None:
        self._tracker = tracker
        self._dataset = dataset
        self._protocol = protocol
        self.efforts: dict[int, Effort] = defaultdict(Effort)
        self.prompt_ious: dict[int, float] = {}
        self._prompted: set[tuple[int, int]] = set()

    def may_prompt(self, frame: int, obj: int, truth: Mapping[int, ObjectMask]) -> bool:
        """Whether an object is on the frame, and may get a further prompt."""
        left = self.efforts[obj].frames < self._protocol.frames
        return left and obj in truth and (frame, obj) not in self._prompted

    def prompt(self, frame: int, obj: int) -> ObjectMask:
        """Prompt an object on a frame, and correct the resulting mask."""
        truth = self._dataset.masks(frame)[obj]
        known = obj in self._tracker.objects
        found = self._tracker.mask(frame, obj) if known else None
        kind, left = self._protocol.prompt, self._protocol.clicks
        if kind != "click":
            found = self._tracker.add(prompt_from_mask(kind, frame, obj, truth))
            left = 0 if kind == "mask" else left - 1
        done = 0 if kind == "click" else 1
        for _ in range(left):
            click = next_click(truth, found)
            if click is None:
                break
            (x, y), label = click
            found = self._tracker.add_prompt(frame, obj, points=[(x, y)], labels=[label])
            done += 1
        effort = self.efforts[obj]
        self.efforts[obj] = Effort(effort.frames + 1, effort.clicks + done)
        self._prompted.add((frame, obj))
        mask = found if found is not None else truth
        self.prompt_ious.setdefault(obj, mask.iou_with(truth))
        return mask


def rounds(
    annotator: Annotator,
    tracker: VideoTracker,
    dataset: Dataset,
    protocol: Protocol,
    on_frame: OnFrame,
) -> Iterator[Found]:
    """Carry out a protocol, and yield the masks by frame after every round."""
    starts = {
        obj: frame for obj, frame in dataset.first_frames.items() if obj in dataset.masks(frame)
    }
    if protocol.name == "online":
        yield _online(annotator, tracker, dataset, protocol, starts, on_frame)
        return
    for obj, frame in starts.items():
        annotator.prompt(frame, obj)
    found = _pass(tracker, dataset, starts, on_frame)
    yield found
    for _ in range(1, protocol.frames if protocol.name == "offline" else 1):
        worst = _worst_frames(annotator, dataset, starts, found)
        if not worst:
            return
        for obj, frame in worst.items():
            annotator.prompt(frame, obj)
        found = _pass(tracker, dataset, starts, on_frame)
        yield found


def _pass(
    tracker: VideoTracker, dataset: Dataset, starts: Mapping[int, int], on_frame: OnFrame
) -> Found:
    """Track all objects to the end; masks that are still current are not computed again."""
    length, first = len(dataset.truth), min(starts.values())
    found: Found = [{} for _ in range(length)]
    for result in tracker.propagate(start=first, stop=length - 1):
        found[result.frame] = dict(result.masks)
        on_frame(result.frame - first + 1, length - first)
    return found


def _worst_frames(
    annotator: Annotator, dataset: Dataset, starts: Mapping[int, int], found: Found
) -> dict[int, int]:
    """Object to the frame on which its mask is worst, of those where it can be prompted."""
    worst: dict[int, tuple[float, int]] = {}
    for frame in dataset.truth_frames:
        truth = dataset.masks(frame)
        for obj, start in starts.items():
            if frame <= start or not annotator.may_prompt(frame, obj, truth):
                continue
            mask = found[frame].get(obj)
            quality = 0.0 if mask is None else mask.iou_with(truth[obj])
            worst[obj] = min(worst.get(obj, (2.0, frame)), (quality, frame))
    return {obj: frame for obj, (quality, frame) in worst.items() if quality < 1}


def _online(
    annotator: Annotator,
    tracker: VideoTracker,
    dataset: Dataset,
    protocol: Protocol,
    starts: Mapping[int, int],
    on_frame: OnFrame,
) -> Found:
    length, first = len(dataset.truth), min(starts.values())
    found: Found = [{} for _ in range(length)]
    annotated = set(dataset.truth_frames)
    for frame in range(first, length):
        for newcomer in (obj for obj, start in starts.items() if start == frame):
            annotator.prompt(frame, newcomer)
        for result in tracker.propagate(start=frame, stop=frame):
            found[frame] = dict(result.masks)
        truth = dataset.masks(frame) if frame in annotated else {}
        for obj, mask in list(found[frame].items()):
            known = int(obj)
            if (
                annotator.may_prompt(frame, known, truth)
                and mask.iou_with(truth[known]) < protocol.threshold
            ):
                found[frame][obj] = annotator.prompt(frame, known)
        on_frame(frame - first + 1, length - first)
    return found
