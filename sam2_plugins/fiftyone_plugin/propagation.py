"""Tracks the objects of every movie of a dataset, and goes on where an earlier run stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import torch

from sam2_plugins.batch import Progress as Step
from sam2_plugins.batch import connect, run_tasks
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.query import unmet_sentence
from sam2_plugins.core.tracking.run import run as run_tracker
from sam2_plugins.core.tracking.schedule import plan_sweeps
from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker
from sam2_plugins.fiftyone_plugin.footage import Footage, FootageError
from sam2_plugins.fiftyone_plugin.journals import MovieJournal, journal_path
from sam2_plugins.fiftyone_plugin.lineage import track_all
from sam2_plugins.fiftyone_plugin.marks import Cause
from sam2_plugins.fiftyone_plugin.objects import (
    TrackedObject,
    find_objects,
    masks_by_people,
    name_clashes,
    object_name,
)
from sam2_plugins.fiftyone_plugin.prompting import read_prompts
from sam2_plugins.fiftyone_plugin.records import Watched, find_done, keep, replaced_files
from sam2_plugins.fiftyone_plugin.request import MovieReport, Progress, Request, Where, reason
from sam2_plugins.fiftyone_plugin.results import Earlier, Found, ResultWriter

Events: TypeAlias = "Generator[Progress | MovieReport, None, None]"
Steps: TypeAlias = "Generator[Step | MovieReport, None, None]"


def run(movies: Sequence[Footage], request: Request, where: Where | None = None) -> Events:
    """Track movies, and yield progress and a report of each, as `run_movies` does.

    Movies that an earlier run finished are skipped.
    """
    done = set()
    for movie, report in find_done(movies, request):
        done.add(id(movie))
        yield report
    left = [movie for movie in movies if id(movie) not in done]
    if left:
        tasks = [Propagation(str(number), one, request) for number, one in enumerate(left)]
        with closing(run_movies(tasks, where)) as events:
            yield from events


def run_movies(tasks: Sequence[MovieTask], where: Where | None = None) -> Events:
    """Run tasks with the runner of `sam2_plugins.batch`, and yield progress and a report of each.

    A movie that fails does not stop the others; it is tried again after them, with another report.
    Closing the generator stops within a frame; what was done stays, and another run goes on there.
    """
    where = where or Where()
    names = {task.name: task.footage.name for task in tasks}
    shares: dict[str, float] = {}
    ended = 0
    with connect(where.dask, where.workers) as client:
        if client is None:  # an error of the model would be repeated for every movie
            tasks[0].request.options.load_model()
        elif where.dask is None:
            client.run(torch.set_num_threads, 1)
        with ExitStack() as ending, closing(run_tasks(tasks, client=client)) as events:
            if client is not None:
                ending.callback(tasks[0].footage.fields.reload)
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
        """Yield progress, and at last the report, also of a failure."""
        try:
            self.footage.require_there()
            yield from self.steps(self.request.options.load_model())
        except Exception as error:
            yield self.lost(reason(self._deletion() or error))

    def _deletion(self) -> FootageError | None:
        """Return that the movie was deleted, which shows as errors of any kind; None if not."""
        try:
            self.footage.require_there()
        except FootageError as error:
            return error
        return None

    def lost(self, why: str) -> MovieReport:
        """Report a failure."""
        return replace(self.started, state="failed", error=why)

    @property
    def started(self) -> MovieReport:
        """An empty report of the movie."""
        return MovieReport(self.footage.name, self.footage.sample_id, "done")

    @abstractmethod
    def steps(self, model: Sam2Model) -> Steps:
        """Yield progress, and at last the report."""


class Propagation(MovieTask):
    """Tracks the objects of a movie."""

    def steps(self, model: Sam2Model) -> Steps:
        """Track, from where an earlier run stopped, and record that it is done."""
        watched = Watched(self.footage)
        steps = track_all if self.request.all_objects else _track
        for event in steps(model, cast("Footage", watched), self.request, self.started):
            if isinstance(event, MovieReport):
                state = watched.undisturbed()
                if event.state == "done" and state is not None:
                    keep(self.footage, self.request, state, event)
                yield event
            else:
                yield replace(event, name=self.name)


def _track(model: Sam2Model, footage: Footage, request: Request, report: MovieReport) -> Steps:
    with footage.open() as frames:
        frame_size, length = (frames.height, frames.width), frames.length
        footage.fill_metadata(frames)
        earlier = Earlier(footage, request, frame_size)
        prompting = read_prompts(footage, request, frame_size, length, earlier.by_people)
        objects = find_objects(prompting.prompt_labels, earlier.tracks, footage.sample_id)
        tracked = [one for one in objects if one.prompts]
        owned = {id(one.track) for one in objects}
        unprompted = [t for t in earlier.tracks if id(t) not in owned and not t.unprompted]
        report = replace(
            report,
            problems=(
                *earlier.problems,
                *prompting.problems,
                *name_clashes(prompting.prompt_labels, objects),
            ),
            unprompted=tuple(track.name for track in unprompted),
            removed=request.remove_unprompted,
        )
        settings = (*request.settings, *replaced_files(footage))
        causes = {one.who.instance: Cause.of(one.prompts, settings) for one in tracked}
        earlier.settle(objects, causes)
        if request.remove_unprompted:
            earlier.remove(unprompted)
        if not tracked:
            yield replace(report, state="no prompts", error="There are no prompts on its frames.")
            return
        start, stop = footage.range_of(request.first, request.last, length)

        def is_wanted(frame: int) -> bool:
            in_range = (start or 0) <= frame and (stop is None or frame <= stop)
            return in_range and footage.shows(frame)

        options = _through_the_frames_between(request.options, tracked, start, stop)
        plan = _Plan(tracked, options, length)
        steps = None if length is None else plan.steps(is_wanted)
        if steps == []:
            raise FootageError(_nothing_to_do(tracked, request))
        masklets = earlier.masklets(tracked, causes, plan.in_reverse)
        known = {(masklet.obj, frame): mask for masklet in masklets for frame, mask in masklet}
        by_people = masks_by_people(tracked)
        there = known | by_people
        outdated = earlier.outdated(tracked, causes)
        writer = ResultWriter(footage, request, tracked, causes, by_people, outdated)
        journal = MovieJournal(journal_path(footage, request, options), masklets)
        seen, computed, lost = set(), set(), 0
        with writer:
            if steps is not None and all(step in there for step in steps):
                seen = {frame for _, frame in steps}
                lost = sum(not there[step].visible for step in steps)
            else:
                tracker = options.tracker(frames, model)
                for prompt in (prompt for one in tracked for prompt in one.prompts):
                    tracker.add(prompt)
                report = replace(report, problems=(*report.problems, *_unmet(tracker, tracked)))
                total = tracker.count_steps(options.direction, options.start, options.stop) or 0
                kept = [journal] if length != 1 else []  # a single image needs no journal
                with closing(run_tracker(tracker, options, kept)) as results:
                    for done, result in enumerate(results, start=1):
                        if is_wanted(result.frame):
                            fresh = {
                                str(obj): plan.found(tracker, result, str(obj))
                                for obj in result.masks
                                if (obj, result.frame) not in there
                            }
                            if fresh:
                                writer.write(result.frame, fresh)
                                computed.add(result.frame)
                            lost += sum(not mask.visible for mask in result.masks.values())
                            seen.add(result.frame)
                        yield Step(footage.name, done, total)
        journal.delete()  # the database holds all of it now
    yield replace(
        report,
        frames=len(seen),
        computed=len(computed),
        objects=len(tracked),
        lost=lost,
        outdated=tuple(_outdated(tracked, outdated)),
    )


def _through_the_frames_between(
    options: TrackingOptions, objects: Iterable[TrackedObject], first: int | None, last: int | None
) -> TrackingOptions:
    """Return options that begin at the prompts from which the wanted frames are reached.

    Who jumps from a prompt to a range beyond it finds the object elsewhere, or another in its
    place; and such masks would be kept by the next run, over all frames.
    """
    start, stop = first, last
    for one in objects:
        frames = [prompt.frame for prompt in one.prompts]
        before = [frame for frame in frames if first is not None and frame <= first]
        after = [frame for frame in frames if last is not None and frame >= last]
        if start is not None and before and options.direction != "backward":
            start = min(start, max(before))
        if stop is not None and after and options.direction != "forward":
            stop = max(stop, min(after))
    if options.direction == "backward":
        start, stop = stop, start
    return replace(options, start=start, stop=stop)


class _Plan:
    """The frames to which a run tracks each object, and in which direction."""

    def __init__(
        self,
        objects: Iterable[TrackedObject],
        options: TrackingOptions,
        length: int | None,
    ) -> None:
        self._prompted: dict[ObjectId, list[int]] = {}
        for prompt in (prompt for one in objects for prompt in one.prompts):
            self._prompted.setdefault(prompt.obj, []).append(prompt.frame)
        self._sweeps = plan_sweeps(
            self._prompted, options.direction, options.start, options.stop, length
        )

    def steps(self, is_wanted: Callable[[int], bool]) -> list[tuple[ObjectId, int]]:
        """List (object, frame) of the frames that are wanted; the movie's end is known."""
        return [
            (obj, frame)
            for sweep in self._sweeps
            for frame in sweep.frames
            if is_wanted(frame)
            for obj in sweep.objects(frame)
        ]

    def in_reverse(self, instance: str, frame: int) -> bool | None:
        """Whether an object's frame is reached in reverse; None if it is not, or is prompted."""
        if frame in self._prompted[instance]:
            return None
        for sweep in self._sweeps:
            known = not isinstance(sweep.frames, range) or frame in sweep.frames
            if known and instance in sweep.objects(frame):
                return sweep.reverse
        return None

    def found(self, tracker: VideoTracker, result: FrameResult, instance: str) -> Found:
        """Return the mask of an object on a frame."""
        reverse = bool(self.in_reverse(instance, result.frame))
        prompted = self._prompted[instance]
        return Found.of(tracker, result.masks, result.frame, instance, prompted, reverse)


def _unmet(tracker: VideoTracker, objects: Iterable[TrackedObject]) -> Iterator[str]:
    """A line for each click that the mask of its object does not meet."""
    for one in objects:
        for frame in sorted({prompt.frame for prompt in one.prompts}):
            for click in tracker.unmet_clicks(frame, one.who.instance):
                name = object_name(one.who.label, one.who.index)
                yield f"frame {frame + 1}, {name}: {unmet_sentence(click)}"


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
        f"No frame {span} is reached {request.options.direction} from its prompts, which are on "
        f"{', '.join(map(str, prompted[:5]))}. Choose another direction or other frames."
    )
