"""One video to track, and the settings for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sam2_plugins.core.lineage import AllObjects
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.schedule import Direction


@dataclass(frozen=True)
class Job:
    """One video to track.

    Attributes
    ----------
    name
        Of its folder of results.
    source
        A path or URL that `open_frames` takes, as the workers see it.
    direction, start, stop
        Arguments of `VideoTracker.propagate`.
    reading
        Further arguments of `open_frames`: axes, channels, limits, z, stream, fps, channels_by.
    lives
        First and last frame of objects that are born or end in the movie.
    mothers
        Daughters and their mothers, as a person has marked them.
    names
        What a person called the objects, if not by their ids.
    made_on
        What each file of prompts says of its movie: another one is refused.
    everything
        How all objects are found, prompted or not; None: only those that are prompted are tracked.
    """

    name: str
    source: str
    prompts: tuple[Prompt, ...]
    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    lives: Mapping[ObjectId, tuple[int | None, int | None]] = field(default_factory=dict)
    mothers: Mapping[ObjectId, ObjectId] = field(default_factory=dict)
    names: Mapping[ObjectId, str] = field(default_factory=dict)
    made_on: tuple[Mapping[str, Any], ...] = ()
    everything: AllObjects | None = None


@dataclass(frozen=True)
class Settings(TrackingOptions):
    """How all videos of a batch are tracked; direction and range are those of each job.

    Attributes
    ----------
    formats
        Names of `batch.folder.FILES`.
    threads
        Torch threads of a worker; None: torch's own choice.
    """

    formats: tuple[str, ...] = ("tiff", "csv")
    threads: int | None = None

    def options(self, job: Job) -> TrackingOptions:
        """Return how one of the videos is tracked."""
        span = {"direction": job.direction, "start": job.start, "stop": job.stop}
        return TrackingOptions.of(vars(self) | span)
