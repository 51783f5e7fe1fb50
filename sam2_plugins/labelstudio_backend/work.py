"""What pictures, stacks and videos are filled with: files, tracks, and jobs that end in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sam2_plugins.core.files import digest_of
from sam2_plugins.core.frames import FrameSource
from sam2_plugins.labelstudio_backend.errors import LabelStudioError, MediaError, NothingToDo
from sam2_plugins.labelstudio_backend.jobs import Job, Jobs, Steps
from sam2_plugins.labelstudio_backend.label_config import Media
from sam2_plugins.labelstudio_backend.media import MediaStore
from sam2_plugins.labelstudio_backend.request import TaskRequest
from sam2_plugins.labelstudio_backend.settings import Settings
from sam2_plugins.labelstudio_backend.tracking import (
    TRACK,
    Movie,
    MovieFacts,
    Prompts,
    Tracked,
    Tracks,
)

Results = list[dict[str, Any]]
Answered = Mapping[str, Sequence[str]]
"""Id of a person's region to those of the regions that stand for it now."""
Write = Callable[[Tracked], tuple[Results, Answered]]

MOVIES_KEPT = 100
"""Movies whose size and times are kept, so that a request for a running track opens no file."""


@dataclass(frozen=True)
class Filled:
    """What was made for one video or picture of a task.

    Attributes
    ----------
    ious
        The model's own estimates, for the score.
    note
        For the annotator.
    is_whole
        Whether nothing is missing.
    goes_on
        Whether what is missing is being made.
    left
        Id of a person's region that could not be answered to the reason.
    """

    results: Results
    answered: Answered
    ious: Sequence[float | None]
    note: str = ""
    is_whole: bool = True
    goes_on: bool = False
    left: Mapping[str, str] = field(default_factory=dict)


class Work:
    """What all requests share."""

    def __init__(self, settings: Settings) -> None:
        self.jobs = Jobs()
        self.media = MediaStore(settings)
        self.tracks = Tracks(settings.folder / "tracks", int(settings.track_gigabytes * 1e9))
        self._facts: dict[str, MovieFacts] = {}
        self._lock = threading.Lock()

    def open(self, request: TaskRequest, media: Media) -> Movie:
        """Return a video, or a picture or the pages of a stack as one."""
        urls = media.address if media.is_stack else [media.address]
        if not isinstance(urls, list) or not urls:
            raise NothingToDo(f"The task's {media.key!r} is no list of pictures.")
        about = request.task_id, request.server, request.until
        paths = [self.media.get(url, *about) for url in urls]
        fingerprint = self.media.fingerprint(*paths)

        def opened() -> FrameSource:
            frames = self.media.open(paths if media.is_stack else paths[0])
            if self.media.fingerprint(*paths) != fingerprint:
                frames.close()
                raise MediaError(f"{paths[0].name} was replaced just now: send it again.")
            return frames

        return Movie(fingerprint, opened)

    def facts_of(self, movie: Movie) -> MovieFacts:
        """Return the size and times of a movie, for which its frames are opened once."""
        facts = self._facts.get(movie.fingerprint) or MovieFacts.of(movie.frames)
        with self._lock:
            self._facts[movie.fingerprint] = facts
            if len(self._facts) > MOVIES_KEPT:
                self._facts.pop(next(iter(self._facts)))
        return facts

    def follow(
        self, request: TaskRequest, movie: Movie, prompts: Prompts, write: Write, again: str
    ) -> Filled:
        """Track what a person drew."""
        most, options = request.settings.max_frames, request.settings.tracking
        files = self.tracks.files(movie, prompts, options)

        def steps(tracked: Tracked) -> Generator[None, None, None]:
            with movie.frames:
                yield from self.tracks.follow(movie, prompts, files, options, most, tracked)

        what = sorted(path.stem for path in files.values())
        return self.wait(request, what, steps, sorted(prompts), write, again)

    def wait(
        self,
        request: TaskRequest,
        what: Sequence[Any],
        steps: Steps,
        objects: Sequence[str],
        write: Write,
        again: str,
    ) -> Filled:
        """Answer in time what a job makes: everything, or what there is.

        Parameters
        ----------
        what
            With project, task, objects and reach, all that the job depends on.
        again
            What an annotator does to send the same once more.
        """
        about = {"project": request.project, "task": request.task_id, "objects": objects}
        key = digest_of(json.dumps([about, what, request.settings.max_frames]))
        somebody = request.until < float("inf")
        job = self.jobs.join(key, about, steps, request.author(objects), anew=somebody)
        if request.interactive:
            job.tracked.urgency = TRACK
        job.wait(request.until - time.monotonic(), somebody)
        if job.state == "failed":
            raise LabelStudioError(job.error)
        # Before the masks are taken: more of them may come between.
        is_whole = job.state == "done"
        results, answered = write(job.tracked)
        frames = job.tracked.masks.snapshot().values()
        ious = [mask.iou for masks in frames for mask in masks.values() if mask.visible]
        goes_on = not is_whole and not job.stop.is_set()
        note = _note(job, is_whole, again, request.api is not None)
        return Filled(results, answered, ious, note, is_whole, goes_on)


def _note(job: Job, is_whole: bool, again: str, is_stored: bool) -> str:
    """Return the message to an annotator about a track."""
    frames = f"{job.tracked.done} of {job.tracked.total} frames are tracked"
    if is_whole:
        return f"Tracked. Where it is wrong: move the box, then {again}."
    if job.stop.is_set():
        return f"{frames}: it was stopped. To go on, {again}."
    later = ", and is stored as a prediction when it is done" if is_stored else ""
    return f"{frames}; the rest goes on{later}. To see more, {again}."
