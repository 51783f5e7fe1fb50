"""Track the objects of every movie of a dataset, and go on where an earlier run stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from sam2_plugins.batch import Progress as Step
from sam2_plugins.batch import connect, run_tasks
from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.errors import told
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Direction, plan_sweeps
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.fiftyone_plugin.footage import Footage, FootageError, Video
from sam2_plugins.fiftyone_plugin.marks import Cause
from sam2_plugins.fiftyone_plugin.metadata import fill_metadata
from sam2_plugins.fiftyone_plugin.objects import Track, TrackedObject, find_objects
from sam2_plugins.fiftyone_plugin.prompting import read_prompts
from sam2_plugins.fiftyone_plugin.request import MovieReport, Progress, Request, Where
from sam2_plugins.fiftyone_plugin.results import Earlier, ResultWriter

Events: TypeAlias = "Generator[Progress | MovieReport, None, None]"
Steps: TypeAlias = "Generator[Step | MovieReport, None, None]"


def run(movies: Sequence[Footage], request: Request, where: Where | None = None) -> Events:
    """Track movies, and yield progress and a report of each, as `run_movies` does."""
    return run_movies([Propagation(str(n), one, request) for n, one in enumerate(movies)], where)


def run_movies(tasks: Sequence[MovieTask], where: Where | None = None) -> Events:
    """Do tasks by the runner of `sam2_plugins.batch`, and yield progress and a report of each.

    A movie that fails does not stop the others; it is tried again after them, with another report.
    Closing the generator stops within a frame; what was done stays, and another run goes on there.
    """
    where = where or Where()
    names = {task.name: task.footage.name for task in tasks}
    shares: dict[str, float] = {}
    ended = 0
    with connect(where.dask, where.workers) as client:
        if client is None:  # what is wrong with the model is wrong with every movie
            request = tasks[0].request
            cached_model(request.model, request.device, request.image_size)
        elif where.dask is None:
            client.run(torch.set_num_threads, 1)
        with closing(run_tasks(tasks, client=client)) as events:
            for event in events:
                if isinstance(event, MovieReport):
                    ended += event.state != "failed"
                    yield event
                    continue
                others = sum(share for name, share in shares.items() if name != event.name)
                total = event.total or 1
                yield Progress(names[event.name], ended, len(tasks), event.done, total, others)
                shares[event.name] = event.done / total
                if event.done == event.total:
                    del shares[event.name]


@dataclass(frozen=True)
class MovieTask(ABC):
    """One movie as a task of `run_tasks`.

    Attributes
    ----------
    name
        No other movie of the run has it.
    """

    name: str
    footage: Footage
    request: Request

    def run(self) -> Steps:
        """Do it: yield progress and at last the report, of a failure too."""
        request = self.request
        try:
            model = cached_model(request.model, request.device, request.image_size)
            yield from self.steps(model)
        except Exception as error:
            yield self.lost(told(error))

    def lost(self, why: str) -> MovieReport:
        """Report a failure."""
        return replace(self.started, state="failed", error=why)

    @property
    def started(self) -> MovieReport:
        """The report that is to be filled in."""
        return MovieReport(self.footage.name, self.footage.sample_id, "done")

    @abstractmethod
    def steps(self, model: Sam2Model) -> Steps:
        """Do the work: yield progress and at last the report."""


class Propagation(MovieTask):
    """Tracks the objects of a movie."""

    def steps(self, model: Sam2Model) -> Steps:
        """Track, from where an earlier run stopped."""
        for event in _track(model, self.footage, self.request, self.started):
            yield event if isinstance(event, MovieReport) else replace(event, name=self.name)


def _track(model: Sam2Model, footage: Footage, request: Request, report: MovieReport) -> Steps:
    with footage.open() as frames:
        frame_size, length = (frames.height, frames.width), frames.length
        if isinstance(footage, Video):
            fill_metadata(footage, frames)
        earlier = Earlier(footage, request, frame_size)
        prompting = read_prompts(footage, request, frame_size, length)
        for frame, label in earlier.by_people:
            prompting.add(frame, label, frame_size, length)
        objects = find_objects(prompting.statements, earlier.tracks, footage.sample_id)
        tracked = [one for one in objects if one.prompts]
        unprompted = _without_prompt(earlier.tracks, objects)
        report = replace(
            report,
            problems=tuple(prompting.problems),
            unprompted=tuple(track.name for track in unprompted),
            removed=request.remove_unprompted,
        )
        causes = {one.who.instance: Cause.of(one.prompts, request.settings) for one in tracked}
        earlier.settle(objects, causes)
        if request.remove_unprompted:
            earlier.remove(unprompted)
        if not tracked:
            yield replace(report, state="no prompts", error="There are no prompts on its frames.")
            return
        tracker = VideoTracker(model, frames, window=request.tile, policy=request.memory)
        for prompt in (prompt for one in tracked for prompt in one.prompts):
            tracker.add(prompt)
        span = _span(footage, request, length)
        reverse = _Reverse(tracker.prompts, request.direction, span, length)
        masklets = earlier.masklets(tracked, causes, reverse)
        tracker.restore(masklets)
        known = {(masklet.obj, frame) for masklet in masklets for frame in masklet.masks}
        total = tracker.count_steps(request.direction, *span) or 0
        if not total:
            raise FootageError(_nothing_to_do(tracked, request))
        seen, computed, lost = set(), set(), 0
        writer = ResultWriter(
            footage,
            request,
            [one.who for one in tracked],
            causes,
            frozenset((str(prompt.obj), prompt.frame) for prompt in tracker.prompts),
            _masks_by_people(tracked),
            earlier.outdated(tracked, causes),
        )
        with writer:
            for done, result in enumerate(tracker.propagate(request.direction, *span), start=1):
                if footage.shows(result.frame):
                    fresh = {
                        obj: mask
                        for obj, mask in result.masks.items()
                        if (obj, result.frame) not in known
                    }
                    if fresh:
                        sides = {obj: bool(reverse(str(obj), result.frame)) for obj in fresh}
                        writer.write(result.frame, fresh, sides)
                        computed.add(result.frame)
                    lost += sum(not mask.visible for mask in result.masks.values())
                    seen.add(result.frame)
                yield Step(footage.name, done, total)
    yield replace(
        report,
        frames=len(seen),
        computed=len(computed),
        objects=len(tracked),
        lost=lost,
        outdated=tuple(_outdated(tracked, writer.outdated)),
    )


class _Reverse:
    """Whether a run reaches an object's frame in reverse; None if it does not, or by a prompt."""

    def __init__(
        self,
        prompts: Iterable[Prompt],
        direction: Direction,
        span: tuple[int | None, int | None],
        length: int | None,
    ) -> None:
        self._prompted: dict[str, list[int]] = {}
        for prompt in prompts:
            self._prompted.setdefault(str(prompt.obj), []).append(prompt.frame)
        self._sweeps = plan_sweeps(self._prompted, direction, *span, length)

    def __call__(self, instance: str, frame: int) -> bool | None:
        if frame in self._prompted[instance]:
            return None
        for sweep in self._sweeps:
            known = not isinstance(sweep.frames, range) or frame in sweep.frames
            if known and instance in sweep.objects(frame):
                return sweep.reverse
        return None


def _without_prompt(tracks: Sequence[Track], objects: Sequence[TrackedObject]) -> list[Track]:
    owned = {id(one.track) for one in objects}
    return [track for track in tracks if id(track) not in owned]


def _masks_by_people(objects: Iterable[TrackedObject]) -> frozenset[tuple[str, int]]:
    """(instance, frame) of what has a person's mask in the field of results."""
    return frozenset(
        (one.who.instance, label.frame)
        for one in objects
        for label in one.statements
        if not label.field and label.cue is not None and label.cue.mask is not None
    )


def _outdated(
    objects: Iterable[TrackedObject], frames: Mapping[str, Collection[int]]
) -> Iterator[str]:
    for one in objects:
        if left := sorted(frames[one.who.instance]):
            yield f"{one.who.name}, frames {left[0] + 1} to {left[-1] + 1}"


def _nothing_to_do(objects: Sequence[TrackedObject], request: Request) -> str:
    prompted = sorted({prompt.frame + 1 for one in objects for prompt in one.prompts})
    span = f"from {request.first or 1} to {request.last or 'the end'}"
    return (
        f"No frame {span} is reached {request.direction} from its prompts, which are on "
        f"{', '.join(map(str, prompted[:5]))}. Choose another direction or other frames."
    )


def _span(footage: Footage, request: Request, length: int | None) -> tuple[int | None, int | None]:
    """The wanted frames within those of the movie, in the order of the direction."""
    first, last = footage.span
    end = last if length is None else min(length - 1, length - 1 if last is None else last)
    if request.first is not None:
        if end is not None and request.first - 1 > end:
            raise FootageError(
                f"The first frame is to be {request.first}, and it ends with frame {end + 1}."
            )
        first = max(first, request.first - 1)
    if request.last is not None:
        if request.last - 1 < footage.span[0]:
            raise FootageError(
                f"The last frame is to be {request.last}, and it begins with frame {first + 1}."
            )
        last = request.last - 1 if end is None else min(end, request.last - 1)
    start = None if first == 0 else first
    return (last, start) if request.direction == "backward" else (start, last)
