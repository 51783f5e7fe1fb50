"""Following prompted objects through a movie, for a job: in turns, kept on disk, taken up again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sam2_plugins.core.masks import MaskTable, ObjectId, ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.labelstudio_backend.digests import digest_of
from sam2_plugins.labelstudio_backend.lane import TRACK, Lane

if TYPE_CHECKING:
    from sam2_plugins.core.frames import FrameSource
    from sam2_plugins.core.tracking.feature_cache import FeatureStore
    from sam2_plugins.core.tracking.options import TrackingOptions
    from sam2_plugins.core.tracking.tracker import VideoTracker

Prompts = Mapping[str, Sequence[Prompt]]
"""The prompts of each object, by its id."""

FEATURE_MEGABYTES = 512
"""Encoded frames that the tracks of all movies share: 30 of a network that sees 1024 pixels."""


@dataclass
class Tracked:
    """What a track has come to so far; written by one thread, read by others.

    Attributes
    ----------
    masks
        By frame, from 0 on, and object.
    parents
        Daughter to mother.
    done, total
        Steps.
    """

    masks: MaskTable[int, str] = field(default_factory=MaskTable)
    parents: dict[str, str] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, frame: int, masks: Mapping[str, ObjectMask]) -> None:
        """Take what a step gave."""
        with self._lock:
            self.masks.add(frame, masks)
            self.done += 1

    def snapshot(self) -> Tracked:
        """Return what there is now, which does not change any more."""
        with self._lock:
            masks = self.masks.snapshot().items()
            return Tracked(MaskTable(masks), dict(self.parents), self.done, self.total)


@dataclass(frozen=True)
class Movie:
    """What is tracked through.

    Attributes
    ----------
    frames
        The frames.
    fingerprint
        Tells it from others, and from other versions of it.
    """

    frames: FrameSource
    fingerprint: str


class TrackStore:
    """Tracked masks on disk, by movie, model and the prompts of the object.

    Objects do not move each other, so each has a file of its own: a correction of one leaves the
    others as they were, and a second request for them computes nothing.

    Parameters
    ----------
    room
        Bytes; beyond them, tracks that were not read for the longest are deleted.
    """

    def __init__(self, folder: Path, room: int) -> None:
        self._folder = folder
        self._room = room
        self._in_use: set[Path] = set()
        self._lock = threading.Lock()

    def path(self, movie: Movie, options: TrackingOptions, *what: str) -> Path:
        """Return the file of what is tracked with these options."""
        about = [options.identity(), movie.fingerprint, *what]
        return self._folder / f"{digest_of(json.dumps(about))}.jsonl"

    @contextmanager
    def using(self, paths: Iterable[Path]) -> Iterator[list[Path]]:
        """Give the files to read and to add to, but for those that another track adds to."""
        from sam2_plugins.core.tracking.run import make_room

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


class Tracks:
    """All tracks of a backend: in turns on one processor, on disk, each frame encoded once.

    Parameters
    ----------
    folder, room
        See `TrackStore`.

    Attributes
    ----------
    lane
        Gives a turn on the processor for every frame.
    """

    def __init__(self, folder: Path, room: int) -> None:
        self.lane = Lane()
        self._store = TrackStore(folder, room)

    @cached_property
    def _features(self) -> FeatureStore:
        from sam2_plugins.core.tracking.feature_cache import FeatureStore

        return FeatureStore(FEATURE_MEGABYTES)

    def names(self, movie: Movie, prompts: Prompts, options: TrackingOptions) -> list[str]:
        """Return what tells these tracks from all others."""
        return sorted(path.stem for path in self._files(movie, prompts, options).values())

    def follow(
        self,
        movie: Movie,
        prompts: Prompts,
        options: TrackingOptions,
        max_frames: int,
        tracked: Tracked,
    ) -> Generator[None, None, None]:
        """Track all objects both ways, frame by frame, into `tracked`.

        Parameters
        ----------
        max_frames
            How far from the outermost prompts; 0: to both ends.
        """
        from sam2_plugins.core.tracking.run import run
        from sam2_plugins.labelstudio_backend.stored_track import StoredTrack

        tracker = self._tracker(movie, options)
        files = self._files(movie, prompts, options)
        for path, own in {files[obj]: own for obj, own in prompts.items()}.items():
            for prompt in own:
                with self.lane.turn(TRACK):
                    tracker.add(replace(prompt, obj=path.stem))
                yield
        start, stop = _range(prompts, len(movie.frames), max_frames)
        tracked.total = tracker.count_steps("both", start, stop) or 0
        wanted = replace(options, direction="both", start=start, stop=stop)
        with self._store.using(files.values()) as paths:
            journals = [StoredTrack(path) for path in paths]
            turn = partial(self.lane.turn, TRACK)
            with closing(run(tracker, wanted, journals, turn)) as results:
                for result in results:
                    found = {obj: result.masks.get(path.stem) for obj, path in files.items()}
                    tracked.add(result.frame, {obj: m for obj, m in found.items() if m is not None})
                    yield
            for journal in journals:
                journal.is_whole()

    def find(
        self, movie: Movie, options: TrackingOptions, max_frames: int, tracked: Tracked
    ) -> Generator[None, None, None]:
        """Find all objects of the first frame and all newcomers, and follow them, into `tracked`.

        Parameters
        ----------
        max_frames
            As `follow` takes it, from the first frame on.
        """
        from sam2_plugins.core.lineage import AllObjects, LineageJournal, run_all

        last = len(movie.frames) - 1
        last = min(max_frames, last) if max_frames else last
        tracked.total = last + 1
        lineage = AllObjects().lineage(self._tracker(movie, options))
        path = self._store.path(movie, options, "all", str(last))

        def name(obj: ObjectId) -> str:
            return digest_of(f"{movie.fingerprint} {obj}", 10)

        with self._store.using([path]) as paths:
            journal = next(map(LineageJournal, paths), None)
            turn = partial(self.lane.turn, TRACK)
            with closing(run_all(lineage, 0, last, journal=journal, turn=turn)) as results:
                for result in results:
                    tracked.add(result.frame, {name(o): m for o, m in result.masks.items()})
                    yield
        tracked.parents = {name(o): name(mother) for o, mother in lineage.parents.items()}

    def _files(self, movie: Movie, prompts: Prompts, options: TrackingOptions) -> dict[str, Path]:
        """The file of each object."""
        return {
            obj: self._store.path(movie, options, *map(_as_text, own))
            for obj, own in prompts.items()
        }

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
