"""The long work of `track` and `demo`: sweep, show progress, write as it goes, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sam2_plugins.cli.console import OUT, frames_progress, table
from sam2_plugins.cli.interrupt import stopping_gently
from sam2_plugins.cli.prompts import summarise_prompts
from sam2_plugins.core.export import WriterGroup
from sam2_plugins.core.tracking.schedule import Direction

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.tracker import VideoTracker


@dataclass(frozen=True)
class Range:
    """Which way and how far to track: arguments of `VideoTracker.propagate`."""

    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None


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
    steps = tracker.count_steps(wanted.direction, wanted.start, wanted.stop)
    with writers, stopping_gently() as stop, frames_progress() as progress:
        task = progress.add_task("Tracking", total=steps)
        for result in tracker.propagate(wanted.direction, wanted.start, wanted.stop):
            writers.write(result.frame, result.time, result.masks)
            frames.add(result.frame)
            progress.advance(task)
            if stop.requested:
                break
    return Outcome(sorted(frames), stop.requested)


def summarise(tracker: VideoTracker) -> list[dict[str, Any]]:
    """Tell what was said of each object, and how it fared: the fields of `MaskletSummary`."""
    return [
        {
            "prompt": summarise_prompts(prompt for prompt in tracker.prompts if prompt.obj == obj),
            **asdict(masklet.summary()),
        }
        for obj, masklet in tracker.masklets().items()
    ]


def show(summaries: Sequence[dict[str, Any]]) -> None:
    """Print a table of the objects."""
    numbers = ("frames seen", "from", "to", "predicted IoU", "object score")
    rows = table(("object", "prompt"), numbers)
    for one in summaries:
        rows.add_row(
            str(one["object"]),
            one["prompt"],
            f"{one['frames_seen']} of {one['frames_tracked']}",
            *("–" if one[end] is None else str(one[end]) for end in ("first", "last")),
            f"{one['mean_iou']:.2f}",
            f"{one['mean_score']:.1f}",
        )
    OUT.print(rows)
