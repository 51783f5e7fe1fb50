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
    """A simulated person, who sees the truth, at work on a movie.

    Parameters
    ----------
    on_frame
        Called with the frames done and their number, in each pass.

    Attributes
    ----------
    efforts
        What was done for each object so far.
    prompt_ious
        IoU of what each object's first prompted frame gave.
    """

    def __init__(
        self, tracker: VideoTracker, dataset: Dataset, protocol: Protocol, on_frame: OnFrame
    ) -> None:
        self._tracker = tracker
        self._dataset = dataset
        self._protocol = protocol
        self._on_frame = on_frame
        self.efforts: dict[int, Effort] = defaultdict(Effort)
        self.prompt_ious: dict[int, float] = {}
        self._prompted: set[tuple[int, int]] = set()
        firsts = dataset.first_frames.items()
        self._starts = {obj: frame for obj, frame in firsts if obj in dataset.masks(frame)}
        self._first, self._length = min(self._starts.values()), len(dataset.truth)

    def rounds(self) -> Iterator[Found]:
        """Carry out the protocol, and yield the masks by frame after every round."""
        if self._protocol.name == "online":
            yield self._online()
            return
        for obj, frame in self._starts.items():
            self._prompt(frame, obj)
        found = self._pass()
        yield found
        for _ in range(1, self._protocol.frames if self._protocol.name == "offline" else 1):
            worst = self._worst_frames(found)
            if not worst:
                return
            for obj, frame in worst.items():
                self._prompt(frame, obj)
            found = self._pass()
            yield found

    def _may_prompt(self, frame: int, obj: int, truth: Mapping[int, ObjectMask]) -> bool:
        """Whether an object is on the frame, and may get a further prompt."""
        left = self.efforts[obj].frames < self._protocol.frames
        return left and obj in truth and (frame, obj) not in self._prompted

    def _prompt(self, frame: int, obj: int) -> ObjectMask:
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

    def _pass(self) -> Found:
        """Track all objects to the end; masks that are still current are not computed again."""
        found: Found = [{} for _ in range(self._length)]
        for result in self._tracker.propagate(start=self._first, stop=self._length - 1):
            found[result.frame] = dict(result.masks)
            self._on_frame(result.frame - self._first + 1, self._length - self._first)
        return found

    def _worst_frames(self, found: Found) -> dict[int, int]:
        """Object to the frame on which its mask is worst, of those where it can be prompted."""
        worst: dict[int, tuple[float, int]] = {}
        for frame in self._dataset.truth_frames:
            truth = self._dataset.masks(frame)
            for obj, start in self._starts.items():
                if frame <= start or not self._may_prompt(frame, obj, truth):
                    continue
                mask = found[frame].get(obj)
                quality = 0.0 if mask is None else mask.iou_with(truth[obj])
                worst[obj] = min(worst.get(obj, (2.0, frame)), (quality, frame))
        return {obj: frame for obj, (quality, frame) in worst.items() if quality < 1}

    def _online(self) -> Found:
        found: Found = [{} for _ in range(self._length)]
        annotated = set(self._dataset.truth_frames)
        for frame in range(self._first, self._length):
            for newcomer in (obj for obj, start in self._starts.items() if start == frame):
                self._prompt(frame, newcomer)
            for result in self._tracker.propagate(start=frame, stop=frame):
                found[frame] = dict(result.masks)
            truth = self._dataset.masks(frame) if frame in annotated else {}
            for obj, mask in list(found[frame].items()):
                known = int(obj)
                may = self._may_prompt(frame, known, truth)
                if may and mask.iou_with(truth[known]) < self._protocol.threshold:
                    found[frame][obj] = self._prompt(frame, known)
            self._on_frame(frame - self._first + 1, self._length - self._first)
        return found
