"""track_all: from a movie to all of its objects, in one call."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from sam2_plugins.core.lineage.lineage_tracker import LineageFrame, LineageTracker
from sam2_plugins.core.lineage.rules import LineageRules
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.proposals import Propose


def track_all(
    frames: Any,
    options: TrackingOptions | None = None,
    *,
    propose: Propose | None = None,
    like: Sequence[ObjectMask] = (),
    every: int = 1,
    rules: LineageRules | None = None,
) -> Generator[LineageFrame, None, None]:
    """Track all objects of a movie, with newcomers, divisions and ends, and yield frame by frame.

    Parameters
    ----------
    frames
        A `FrameSource`, or whatever `open_frames` takes.
    options
        Model, device, window, memory, first and last frame; nano if None. The direction is
        forward.
    propose
        Returns the masks of a frame, for proposals from elsewhere; see `from_label_images`.
    like
        Masks of a few objects, whose size the others have too.
    every
        Objects are looked for on every n-th frame.
    rules
        What it takes to decide.

    Examples
    --------
    >>> for frame in track_all("movie.tif"):
    ...     print(frame.frame, len(frame.masks), *frame.events)
    """
    chosen = options or TrackingOptions(model="nano")
    tracker = chosen.tracker(frames)
    lineage = LineageTracker(tracker, propose or tracker.proposer(like), rules)
    yield from lineage.run(chosen.start or 0, chosen.stop, every)


def from_label_images(images: Sequence[Any]) -> Propose:
    """Take the labels of images [H, W], one per frame, for proposals: of Cellpose, StarDist, ….

    All are as sure as can be.
    """
    import numpy as np

    def propose(frame: int) -> list[ObjectMask]:
        if not 0 <= frame < len(images):
            return []
        labels = np.asarray(images[frame])
        return [
            ObjectMask.from_array(labels == label, iou=1.0) for label in np.unique(labels) if label
        ]

    return propose
