"""The long work of `track` and `demo`: sweep, show progress, write as it goes, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_plugins.cli.console import OUT, frames_progress, table
from sam2_plugins.cli.interrupt import stopping_gently
from sam2_plugins.cli.prompts import summarise_prompts
from sam2_plugins.core.export import WriterGroup
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.plan import Direction, plan_sweeps

if TYPE_CHECKING:
    from sam2_plugins.core.tracker import VideoTracker


@dataclass(frozen=True)
class Range:
    """Which way and how far to track: arguments of `VideoTracker.propagate`."""

    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True)
class ObjectSummary:
    """How one object fared.

    Attributes
    ----------
    prompt
        What was said of it.
    frames_tracked, frames_seen
        On how many frames it was looked for, and found.
    first, last
        Frames where it is seen; None if never.
    mean_iou
        Mean of the IoU that the model predicts for its masks, 0 to 1.
    mean_score
        Mean object score, a logit: above 0, the model believes the object to be there.
    """

    object: ObjectId
    prompt: str
    frames_tracked: int
    frames_seen: int
    first: int | None
    last: int | None
    mean_iou: float
    mean_score: float


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes
    ----------
    frames
        Frames written, in order of time.
    interrupted
        Whether the person stopped it.
    """

    frames: Sequence[int]
    interrupted: bool


def sweep(tracker: VideoTracker, writers: WriterGroup, wanted: Range) -> Outcome:
    """Track, show progress, and write every frame as it comes; Ctrl-C ends it between two frames.

    The writers are closed in any case, so that whatever was done is kept.
    """
    frames: set[int] = set()
    with writers, stopping_gently() as stop, frames_progress() as progress:
        task = progress.add_task("Tracking", total=_steps(tracker, wanted))
        for result in tracker.propagate(wanted.direction, wanted.start, wanted.stop):
            writers.write(result.frame, result.time, result.masks)
            frames.add(result.frame)
            progress.advance(task)
            if stop.requested:
                break
    return Outcome(sorted(frames), stop.requested)


def summarise(tracker: VideoTracker) -> list[ObjectSummary]:
    """Tell how each object fared."""
    return [
        ObjectSummary(
            obj,
            summarise_prompts(prompt for prompt in tracker.prompts if prompt.obj == obj),
            len(masklet),
            masklet.frames_seen,
            masklet.first,
            masklet.last,
            masklet.mean_iou,
            masklet.mean_score,
        )
        for obj, masklet in tracker.masklets().items()
    ]


def show(summaries: Sequence[ObjectSummary]) -> None:
    """Print a table of the objects."""
    numbers = ("frames seen", "from", "to", "predicted IoU", "object score")
    rows = table(("object", "prompt"), numbers)
    for one in summaries:
        rows.add_row(
            str(one.object),
            one.prompt,
            f"{one.frames_seen} of {one.frames_tracked}",
            *("–" if frame is None else str(frame) for frame in (one.first, one.last)),
            f"{one.mean_iou:.2f}",
            f"{one.mean_score:.1f}",
        )
    OUT.print(rows)


def _steps(tracker: VideoTracker, wanted: Range) -> int | None:
    """How many frames `propagate` will yield; None if the movie's end is not known."""
    length = tracker.frames.length
    if length is None and wanted.stop is None:
        return None
    prompted: dict[ObjectId, set[int]] = {}
    for prompt in tracker.prompts:
        prompted.setdefault(prompt.obj, set()).add(prompt.frame)
    known = {obj: sorted(frames) for obj, frames in prompted.items()}
    sweeps = plan_sweeps(known, wanted.direction, wanted.start, wanted.stop, length)
    return sum(bool(sweep.objects(frame)) for sweep in sweeps for frame in sweep.frames)
