"""Objects tracked through a movie, sweep by sweep, frame by frame."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.prompts import Click
from sam2_plugins.core.tracking.frame_step import FrameStep
from sam2_plugins.core.tracking.join import Joiner
from sam2_plugins.core.tracking.query import Output
from sam2_plugins.core.tracking.resample import to_frame_logits
from sam2_plugins.core.tracking.schedule import Direction, Sweep, plan_sweeps
from sam2_plugins.core.tracking.tracked_object import TrackedObject
from sam2_plugins.core.tracking.tracked_objects import TrackedObjects
from sam2_plugins.core.tracking.windows.follow import Follower


@dataclass(frozen=True)
class FrameResult:
    """What is known of one frame after a step of propagation.

    Attributes
    ----------
    frame, time
        0-based index, and seconds.
    masks
        By object; empty where an object is not in the frame. Only objects that the step concerns.
    computed
        Objects whose mask was computed in this step; those of the others followed from the prompts
        already, and are the same as before.
    unmet
        Clicks (x, y, label) on this frame that a mask goes against, by object.
    logits
        [H, W] by object, if the tracker was made with `keep_logits`.
    """

    frame: int
    time: float
    masks: dict[ObjectId, ObjectMask]
    computed: frozenset[ObjectId] = frozenset()
    unmet: dict[ObjectId, tuple[Click, ...]] = field(default_factory=dict)
    logits: dict[ObjectId, Tensor] = field(default_factory=dict)


class Propagation:
    """Brings the objects of a tracker from their prompts through the movie."""

    def __init__(
        self,
        objects: TrackedObjects,
        step: FrameStep,
        follower: Follower,
        length: int | None,
        keep_logits: bool,
    ) -> None:
        self._objects = objects
        self._operations = step.operations
        self._features = step.operations.features
        self._step = step
        self._follower = follower
        self._joiner = Joiner(step, follower)
        self._length = length
        self._keep_logits = keep_logits

    def plan(self, direction: Direction, start: int | None, stop: int | None) -> list[Sweep]:
        """Plan sweeps from the prompts there are; see `plan_sweeps`."""
        prompted = {tracked.obj: tuple(tracked.prompted) for tracked in self._objects}
        if not prompted:
            raise TrackingError("There is nothing to track: add a prompt first.")
        lives = {tracked.obj: tracked.life for tracked in self._objects}
        return plan_sweeps(prompted, direction, start, stop, self._length, lives)

    def run(self, sweeps: Iterable[Sweep]) -> Generator[FrameResult, None, None]:
        """Track along sweeps, then join them where they met, and yield frame by frame."""
        for sweep in sweeps:
            for frame in sweep.frames:
                objects = [self._objects[o] for o in sweep.objects(frame) if o in self._objects]
                if not objects:
                    continue
                try:
                    self._features.time(frame)
                except IndexError:
                    break
                yield self._visit(frame, objects, sweep)
        for tracked in self._objects:
            for frame, changed in self._joiner.join(tracked):
                yield self._result(frame, [tracked], {tracked.obj} if changed else ())

    def due(self, sweeps: Iterable[Sweep]) -> list[bool]:
        """Whether a mask has to be tracked for each result of `run`, but for those of joins."""
        return [
            any(self._objects[o].is_due(frame) for o in objects)
            for sweep in sweeps
            for frame in sweep.frames
            if (objects := sweep.objects(frame))
        ]

    def logits(self, outputs: Mapping[ObjectId, Output]) -> dict[ObjectId, Tensor]:
        """Logits [H, W] by object."""
        return {
            obj: to_frame_logits(output.logits[0, 0], output.window, self._operations.frame_size)
            for obj, output in outputs.items()
        }

    def _visit(self, frame: int, objects: list[TrackedObject], sweep: Sweep) -> FrameResult:
        """Bring every object to a frame: by its prompt, from the record, or by tracking it."""
        outputs = prompted_outputs(objects, frame)
        due = [o for o in objects if o.is_due(frame) and self._features.readable(frame)]
        self._follower.prepare(due, frame, sweep.reverse)
        found = self._step.track(frame, due, sweep.reverse)
        computed = set()
        for tracked in due:
            new = found[tracked.obj]
            if not self._joiner.keeps(tracked, frame, new.mask, sweep):
                tracked.accept(new.mask, new.memory)
                outputs[tracked.obj] = new.output
                computed.add(tracked.obj)
        return self._result(frame, objects, computed, outputs)

    def _result(
        self,
        frame: int,
        objects: Iterable[TrackedObject],
        computed: Iterable[ObjectId],
        outputs: Mapping[ObjectId, Output] | None = None,
    ) -> FrameResult:
        objects = list(objects)
        return FrameResult(
            frame,
            self._features.time(frame),
            masks={t.obj: m for t in objects if (m := t.record.get(frame)) is not None},
            computed=frozenset(computed),
            unmet={t.obj: clicks for t in objects if (clicks := t.unmet(frame))},
            logits=self.logits(outputs or {}) if self._keep_logits else {},
        )


def prompted_outputs(objects: Iterable[TrackedObject], frame: int) -> dict[ObjectId, Output]:
    """What the network gave for the objects that were prompted on a frame."""
    return {t.obj: t.prompted[frame].prediction.output for t in objects if frame in t.prompted}
