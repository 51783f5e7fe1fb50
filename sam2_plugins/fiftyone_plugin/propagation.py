"""Track the objects of every movie of a dataset, and go on where an earlier run stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from sam2_plugins.batch import Progress as Step
from sam2_plugins.batch import connect, run_tasks
from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.errors import told
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.fiftyone_plugin.footage import Footage, Video
from sam2_plugins.fiftyone_plugin.marks import cause_of
from sam2_plugins.fiftyone_plugin.metadata import fill_metadata
from sam2_plugins.fiftyone_plugin.objects import find_instances, join
from sam2_plugins.fiftyone_plugin.prompting import read_statements, state
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
        frame_size = (frames.height, frames.width)
        if isinstance(footage, Video):
            fill_metadata(footage.dataset, footage.sample_id, frames)
        earlier = Earlier(footage, request, frame_size)
        ours = [s for frame, label in earlier.by_people for s in state(frame, label, frame_size)]
        said = [*ours, *read_statements(footage, request, frame_size)]
        objects = join(said, footage.sample_id, earlier.indices)
        if not objects:
            yield replace(report, state="no prompts", error="There are no prompts on its frames.")
            return
        causes = {who: cause_of(prompts, request.settings) for who, prompts in objects.items()}
        tracker = VideoTracker(model, frames, window=request.tile, policy=request.memory)
        for prompts in objects.values():
            for prompt in prompts:
                tracker.add(prompt)
        masklets = earlier.masklets(causes)
        tracker.restore(masklets)
        known = {(masklet.obj, frame) for masklet in masklets for frame in masklet.masks}
        keyframes = frozenset((str(p.obj), p.frame) for p in tracker.prompts)
        direction, *span = request.direction, *_span(footage, request)
        total = tracker.count_steps(direction, *span) or 0
        seen, computed, lost = set(), set(), 0
        by_people = frozenset(
            (instance, one.frame)
            for instance, one in zip(find_instances(said, footage.sample_id), ours, strict=False)
            if one.cue.mask is not None
        )
        with ResultWriter(footage, request, causes, keyframes, by_people) as writer:
            for done, result in enumerate(tracker.propagate(direction, *span), start=1):
                if footage.shows(result.frame):
                    fresh = {
                        obj: mask
                        for obj, mask in result.masks.items()
                        if (obj, result.frame) not in known
                    }
                    if fresh:
                        writer.write(result.frame, fresh)
                        computed.add(result.frame)
                    lost += sum(not mask.visible for mask in result.masks.values())
                    seen.add(result.frame)
                yield Step(footage.name, done, total)
    yield replace(report, frames=len(seen), computed=len(computed), objects=len(objects), lost=lost)


def _span(footage: Footage, request: Request) -> tuple[int | None, int | None]:
    """The asked for frames within those of the movie, in the order of the direction."""
    first, last = footage.span
    if request.first is not None:
        first = max(first, request.first - 1)
    if request.last is not None:
        last = request.last - 1 if last is None else min(last, request.last - 1)
    start = None if first == 0 else first
    return (last, start) if request.direction == "backward" else (start, last)
