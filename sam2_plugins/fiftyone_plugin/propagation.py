"""Track the objects of every movie of a dataset, and go on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TypeAlias

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracker import VideoTracker
from sam2_plugins.fiftyone_plugin.footage import Footage, Video
from sam2_plugins.fiftyone_plugin.marks import cause_of
from sam2_plugins.fiftyone_plugin.metadata import fill_metadata
from sam2_plugins.fiftyone_plugin.objects import find_instances, join
from sam2_plugins.fiftyone_plugin.prompting import read_statements, state
from sam2_plugins.fiftyone_plugin.request import MovieReport, Progress, Request, told
from sam2_plugins.fiftyone_plugin.results import Earlier, ResultWriter

Events: TypeAlias = "Generator[Progress | MovieReport, None, None]"


def run(movies: list[Footage], request: Request) -> Events:
    """Track movies, and yield progress and a report of each.

    A movie that fails does not stop the others. Closing the generator stops within a frame; what
    was done stays, and another run goes on from there.
    """
    model = cached_model(request.model, request.device, request.image_size)
    for number, footage in enumerate(movies):
        started = MovieReport(footage.name, footage.sample_id, "done")
        try:
            for event in _track(model, footage, request, started):
                if isinstance(event, Progress):
                    event = replace(event, movie=number, movies=len(movies))
                yield event
        except Exception as error:
            yield replace(started, state="failed", error=told(error))


def _track(model: Sam2Model, footage: Footage, request: Request, report: MovieReport) -> Events:
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
        tracker = VideoTracker(model, frames, tile=request.tile)
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
                yield Progress(footage.name, 0, 1, done, total)
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
