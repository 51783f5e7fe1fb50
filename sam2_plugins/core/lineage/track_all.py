"""track_all: from a movie to all of its objects, in one call."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sam2_plugins.core.checkpoints.companions import load_object_finder
from sam2_plugins.core.datasets import load_label_stack
from sam2_plugins.core.errors import FrameSourceError, TrackingError
from sam2_plugins.core.files import content_digest
from sam2_plugins.core.lineage.lineage_tracker import LineageFrame, LineageTracker
from sam2_plugins.core.lineage.rules import LineageRules
from sam2_plugins.core.lineage.run import LineageJournal, run_all
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.journal import require_journal
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.proposals import Propose
from sam2_plugins.core.tracking.run import looks_of
from sam2_plugins.core.tracking.schedule import require_range
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.tracking.windows.scale_search import is_photograph


@dataclass(frozen=True)
class AllObjects:
    """How all objects of a movie are found.

    Attributes
    ----------
    every
        Objects are looked for on every n-th frame; in between they are tracked.
    labels
        Path of label images, one per frame, whose labels are the proposals: of Cellpose, StarDist,
        a threshold. None: objects are found by the model.
    rules
        What it takes to decide.
    """

    every: int = 1
    labels: str | None = None
    rules: LineageRules = field(default_factory=LineageRules)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise TrackingError(
                f"Objects are looked for on every n-th frame: n is 1 or more, not {self.every}."
            )

    def lineage(self, tracker: VideoTracker, stop: int | None = None) -> LineageTracker:
        """Make what keeps up with all objects of a tracker's movie.

        Objects that were prompted already are kept, and are examples of the size of the others.

        Parameters
        ----------
        stop
            Last frame that will be tracked: label images may end there.
        """
        if self.labels is not None:
            images, length = load_label_stack(self.labels), tracker.frames.length
            tracked = length if stop is None else stop + 1
            if length is not None and len(images) not in (length, tracked):
                raise FrameSourceError(
                    f"{self.labels} has {len(images)} label images, and the movie {length} frames, "
                    "so which belong together is not clear: give one for each frame, from the "
                    "movie's first to the last that is tracked."
                )
            propose = from_label_images(list(images))
        else:
            prompted = [(prompt.frame, prompt.obj) for prompt in tracker.prompts]
            masks = [tracker.mask(frame, obj) for frame, obj in prompted]
            propose = tracker.proposer([mask for mask in masks if mask is not None])
        return LineageTracker(tracker, propose, self.rules)


def note_on(tracker: VideoTracker, frame: int) -> str:
    """Return what a person should know of all objects of such a movie; "" if nothing."""
    taught = load_object_finder(tracker.model) is not None
    if taught and is_photograph(tracker.frame(frame).image):
        return (
            "This looks like a photograph, and nano was taught on cells and nuclei: what it finds "
            "may be anything. Take a published checkpoint, such as sam2.1-tiny."
        )
    return ""


def track_all(
    frames: Any,
    options: TrackingOptions | None = None,
    how: AllObjects | None = None,
    journal: str | Path | None = None,
) -> Generator[LineageFrame, None, None]:
    """Track all objects of a movie, with newcomers, divisions and ends, and yield frame by frame.

    Parameters
    ----------
    frames
        A `FrameSource`, or whatever `open_frames` takes.
    options
        Model, device, window, memory, first and last frame; nano if None. The direction has to be
        forward.
    journal
        A file in which the run is kept: when it was cut off, the same call goes on to the same
        lineage. A run of another movie, or with other options, takes its place; any other file
        stays. None: it is not kept.

    Raises
    ------
    TrackingError
        If the range does not fit the movie, or the direction is another.
    ExportError
        If the journal's name is that of another file.

    Examples
    --------
    >>> for frame in track_all("movie.tif"):
    ...     print(frame.frame, len(frame.masks), *frame.events)
    """
    if journal is not None:
        journal = Path(journal).expanduser()
        require_journal(journal)
    chosen, everything = options or TrackingOptions(model="nano"), how or AllObjects()
    if chosen.direction != "forward":
        raise TrackingError("All objects are tracked forward: newcomers come later.")
    tracker, first = chosen.tracker(frames), chosen.start or 0
    require_range(chosen.start, chosen.stop, tracker.frames.length)
    lineage = everything.lineage(tracker, chosen.stop)
    if journal is None:
        yield from run_all(lineage, first, chosen.stop, everything.every)
        return
    # A person may give one name to the runs of several movies, whose first frames may all be black.
    length = tracker.frames.length if tracker.frames.seekable else None
    quarters = () if length is None else (length // 4, length // 2, 3 * length // 4, length - 1)
    labels = everything.labels
    of = {
        "movie": looks_of(tracker, [first, *sorted(set(quarters))]),
        "options": chosen.identity(),
        "labels": None if labels is None else content_digest(Path(labels)),
    }
    kept = LineageJournal(journal)
    yield from run_all(lineage, first, chosen.stop, everything.every, kept, of=of)


def from_label_images(images: Sequence[Any]) -> Propose:
    """Take the labels of images [H, W], one per frame, for proposals, as sure as can be."""

    def propose(frame: int) -> list[ObjectMask]:
        if not 0 <= frame < len(images):
            return []
        labels = np.asarray(images[frame])
        numbers = [number for number in np.unique(labels) if number]
        return [ObjectMask.from_array(labels == number, iou=1.0) for number in numbers]

    return propose
