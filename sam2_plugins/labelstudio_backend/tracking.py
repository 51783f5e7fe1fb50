"""Where prompts become masks: on a picture, and through a movie, frame by frame.

All work takes turns on one processor. Tracks are kept on disk, and taken up again.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.files import digest_of
from sam2_plugins.core.frames import FrameSource
from sam2_plugins.core.lineage import AllObjects, LineageJournal, note_on, run_all
from sam2_plugins.core.masks import MaskTable, ObjectId, ObjectMask
from sam2_plugins.core.masks.journal import read_journal
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.feature_cache import FeatureStore
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.run import TrackJournal, make_room, run
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.tracking.turns import Turns

log = logging.getLogger(__name__)

Prompts = Mapping[str, Sequence[Prompt]]
"""The prompts of each object, by its id."""

FEATURE_MEGABYTES = 512
"""Encoded frames that the tracks of all movies share: 30 of a network that sees 1024 pixels."""
PICTURES_KEPT, PICTURE_MEGABYTES = 8, 64
"""Pictures that keep their features, so that the next click is quick; megabytes of each."""
CLICK, TRACK, BATCH = 0, 1, 2
"""Whose turn comes first: an annotator's click, an annotator's track, then tasks of a batch."""


@dataclass
class Tracked:
    """What a track has come to so far; written by one thread, read by others.

    Attributes
    ----------
    masks
        By frame, from 0 on, and object.
    parents
        Daughter to mother.
    note
        What a person should know of all this.
    """

    masks: MaskTable[int, str] = field(default_factory=MaskTable)
    parents: dict[str, str] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    note: str = ""
    urgency: int = BATCH

    def add(self, frame: int, masks: Mapping[str, ObjectMask]) -> None:
        """Add the masks of a step."""
        self.masks.add(frame, masks)
        self.done += 1


@dataclass(frozen=True)
class MovieFacts:
    """What is known of a movie without its frames.

    Attributes
    ----------
    size
        Height and width in pixels.
    times
        When each frame is shown, in seconds of the file's own clock, [n].
    """

    size: tuple[int, int]
    times: NDArray[np.float64]

    @classmethod
    def of(cls, frames: FrameSource) -> MovieFacts:
        """Read them."""
        return cls((frames.height, frames.width), frames.times + frames.start_time)


@dataclass
class Movie:
    """A video, or a picture or the pages of a stack as one.

    Attributes
    ----------
    fingerprint
        Differs for every other movie, and for other versions of it.
    open
        Opens its frames.
    """

    fingerprint: str
    open: Callable[[], FrameSource]

    @cached_property
    def frames(self) -> FrameSource:
        """Its frames, opened when they are first used."""
        return self.open()


class StoredTrack(TrackJournal):
    """An object's masks on disk, and its memories for as long as the track is not whole.

    The object has the file's name, so that its masks are found whatever a region is called.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, {path.stem})

    def restore(self, tracker: VideoTracker) -> None:
        """Take an earlier run's masks; a damaged file is deleted, and made again."""
        try:
            if self.memory_path.exists():
                super().restore(tracker)
            else:  # a whole track: there is nothing to go on with
                kept = read_journal(self.path)
                masklets = [kept.masklet(obj) for obj in kept.objects if obj in tracker.objects]
                tracker.restore(masklets)
                self._known = {(m.obj, frame) for m in masklets for frame in m.masks}
        except ExportError as error:
            log.warning("%s It is made again.", error)
            self.delete()


class Tracks:
    """All tracks of a backend: in turns on one processor, on disk, each frame encoded once.

    Objects do not move each other, so each has a file of its own, by movie, model and its prompts:
    a correction of one leaves the others as they were, and a second request computes nothing.

    Parameters
    ----------
    folder
        Of the tracked masks.
    room
        Bytes; beyond them, tracks that were not read for the longest are deleted.

    Attributes
    ----------
    lane
        Gives a turn on the processor for every frame.
    """

    def __init__(self, folder: Path, room: int) -> None:
        self.lane = Turns()
        self._folder = folder
        self._room = room
        self._in_use: set[Path] = set()
        self._lock = threading.Lock()
        self._features = FeatureStore(FEATURE_MEGABYTES)
        self._pictures: OrderedDict[str, VideoTracker] = OrderedDict()

    @contextmanager
    def picture(
        self, movie: Movie, options: TrackingOptions, urgency: int
    ) -> Iterator[VideoTracker]:
        """Give a turn with the tracker of a picture, which has the features of the last clicks."""
        key = f"{options.identity()} {movie.fingerprint}"
        with self.lane.turn(urgency):
            if key not in self._pictures:
                tracker = options.tracker(movie.frames, cache_megabytes=PICTURE_MEGABYTES)
                self._pictures[key] = tracker
            self._pictures.move_to_end(key)
            if len(self._pictures) > PICTURES_KEPT:
                self._pictures.popitem(last=False)
            yield self._pictures[key]

    def files(self, movie: Movie, prompts: Prompts, options: TrackingOptions) -> dict[str, Path]:
        """Return the file of each object."""
        return {
            obj: self._path(movie, options, *map(_as_text, own)) for obj, own in prompts.items()
        }

    def follow(
        self,
        movie: Movie,
        prompts: Prompts,
        files: Mapping[str, Path],
        options: TrackingOptions,
        max_frames: int,
        tracked: Tracked,
    ) -> Generator[None, None, None]:
        """Track all objects both ways, frame by frame, into `tracked`.

        Parameters
        ----------
        files
            Of the objects; see `files`.
        max_frames
            How far from the outermost prompts; 0: to both ends.
        """
        tracker = self._tracker(movie, options)
        for path, own in {files[obj]: own for obj, own in prompts.items()}.items():
            for prompt in own:
                with self._turn(tracked):
                    tracker.add(replace(prompt, obj=path.stem))
                yield
        start, stop = _range(prompts, len(movie.frames), max_frames)
        tracked.total = tracker.count_steps("both", start, stop) or 0
        wanted = replace(options, direction="both", start=start, stop=stop)
        with self._using(files.values()) as paths:
            journals = [StoredTrack(path) for path in paths]
            with closing(run(tracker, wanted, journals, partial(self._turn, tracked))) as results:
                for result in results:
                    found = {obj: result.masks.get(path.stem) for obj, path in files.items()}
                    tracked.add(result.frame, {obj: m for obj, m in found.items() if m is not None})
                    yield
            for journal in journals:  # at both ends: nothing goes on from its memories
                journal.memory_path.unlink(missing_ok=True)

    def find(
        self, movie: Movie, options: TrackingOptions, max_frames: int, tracked: Tracked
    ) -> Generator[None, None, None]:
        """Find all objects of the first frame and all newcomers, and follow them, into `tracked`.

        Parameters
        ----------
        max_frames
            As `follow` takes it, from the first frame on.
        """
        last = len(movie.frames) - 1
        last = min(max_frames, last) if max_frames else last
        tracked.total = last + 1
        lineage = AllObjects().lineage(self._tracker(movie, options))
        tracked.note = note_on(lineage.tracker, 0)
        path = self._path(movie, options, "all", str(last))

        def name(obj: ObjectId) -> str:
            return digest_of(f"{movie.fingerprint} {obj}", 10)

        with self._using([path]) as paths:
            journal = next(map(LineageJournal, paths), None)
            with closing(
                run_all(lineage, 0, last, journal=journal, turn=partial(self._turn, tracked))
            ) as results:
                for result in results:
                    tracked.add(result.frame, {name(o): m for o, m in result.masks.items()})
                    yield
        tracked.parents = {name(o): name(mother) for o, mother in lineage.parents.items()}

    def _turn(self, tracked: Tracked) -> AbstractContextManager[None]:
        return self.lane.turn(tracked.urgency)

    @contextmanager
    def _using(self, paths: Iterable[Path]) -> Iterator[list[Path]]:
        """Give the files to read and to add to, but for those that another track adds to."""
        with self._lock:
            free = [path for path in dict.fromkeys(paths) if path not in self._in_use]
            self._in_use.update(free)
        try:
            for path in free:
                with suppress(OSError):
                    os.utime(path)  # used now: the last to be deleted
            yield free
        finally:
            with self._lock:
                self._in_use.difference_update(free)
            make_room(self._folder, self._room, self._in_use)

    def _path(self, movie: Movie, options: TrackingOptions, *what: str) -> Path:
        about = [options.identity(), movie.fingerprint, *what]
        return self._folder / f"{digest_of(json.dumps(about))}.jsonl"

    def _tracker(self, movie: Movie, options: TrackingOptions) -> VideoTracker:
        return options.tracker(
            movie.frames, shared_features=self._features, movie=movie.fingerprint
        )


def _range(prompts: Prompts, length: int, max_frames: int) -> tuple[int, int]:
    if not max_frames:
        return 0, length - 1
    frames = [prompt.frame for own in prompts.values() for prompt in own]
    return max(0, min(frames) - max_frames), min(length - 1, max(frames) + max_frames)


def _as_text(prompt: Prompt) -> str:
    mask = prompt.mask.to_rle() if prompt.mask is not None else None
    return repr((prompt.frame, prompt.points, prompt.box, mask))
