"""Following prompted objects through a movie, for a job: in turns, kept on disk, taken up again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.masks import Masklet, ObjectMask
from sam2_plugins.core.masks.journal import MaskJournal, read_journal
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.labelstudio_backend.lane import TRACK, Lane

if TYPE_CHECKING:
    from sam2_plugins.core.frames import FrameSource
    from sam2_plugins.core.model import Sam2Model
    from sam2_plugins.core.tracking.options import TrackingOptions

log = logging.getLogger(__name__)

Prompts = Mapping[str, Sequence[Prompt]]
"""The prompts of each object, by its id."""


@dataclass
class Tracked:
    """What a track has come to so far; written by one thread, read by others.

    Attributes
    ----------
    masks
        Object to frame (from 0 on) to mask.
    done, total
        Steps.
    """

    masks: dict[str, dict[int, ObjectMask]] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, frame: int, masks: Mapping[str, ObjectMask]) -> None:
        """Take what a step gave."""
        with self._lock:
            for obj, mask in masks.items():
                self.masks.setdefault(obj, {})[frame] = mask
            self.done += 1

    def snapshot(self) -> dict[str, dict[int, ObjectMask]]:
        """Return the masks that there are now."""
        with self._lock:
            return {obj: dict(masks) for obj, masks in self.masks.items()}


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

    def path(self, movie: Movie, prompts: Sequence[Prompt], options: TrackingOptions) -> Path:
        """Return the file of an object, tracked with these options."""
        about = [options.identity(), movie.fingerprint, *map(_as_text, prompts)]
        name = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
        return self._folder / f"{name}.jsonl"

    def read(self, path: Path) -> dict[int, ObjectMask]:
        """Return an object's masks, whatever it was called then; a damaged file is deleted."""
        with suppress(OSError):
            os.utime(path)  # read now: the last to be deleted
        try:
            return {frame: mask for masklet in read_journal(path) for frame, mask in masklet}
        except ExportError as error:
            log.warning("%s It is made again.", error)
            path.unlink(missing_ok=True)
            return {}

    @contextmanager
    def writing(self, path: Path) -> Iterator[MaskJournal | None]:
        """Open a file to add masks to it; None if another track adds to it already."""
        with self._lock:
            taken = path in self._in_use
            self._in_use.add(path)
        if taken:
            yield None
            return
        try:
            with MaskJournal(path) as journal:
                yield journal
        finally:
            self._in_use.discard(path)
            self._make_room()

    def _make_room(self) -> None:
        """Delete the files that were not read the longest while there are too many."""
        files = []
        for path in self._folder.glob("*.jsonl"):
            with suppress(OSError):  # deleted meanwhile
                files.append((path.stat(), path))
        total = sum(stat.st_size for stat, _ in files)
        for stat, path in sorted(files, key=lambda one: one[0].st_mtime):
            if total <= self._room:
                break
            if path not in self._in_use:
                total -= stat.st_size
                path.unlink(missing_ok=True)


def track(
    model: Sam2Model,
    lane: Lane,
    store: TrackStore,
    movie: Movie,
    prompts: Prompts,
    max_frames: int,
    tracked: Tracked,
    options: TrackingOptions,
) -> Iterator[None]:
    """Track all objects both ways, frame by frame, into `tracked`.

    Parameters
    ----------
    model
        From `load_model`.
    lane
        Gives a turn on the processor for every frame.
    store
        Where masks are kept, and taken from.
    max_frames
        How far from the outermost prompts; 0: to both ends.
    options
        Model, windows, memory.
    """
    tracker = options.tracker(movie.frames, model)
    files = {obj: store.path(movie, own, options) for obj, own in prompts.items()}
    for own in prompts.values():
        for prompt in own:
            with lane.turn(TRACK):
                tracker.add(prompt)
            yield
    known = {obj: store.read(path) for obj, path in files.items()}
    tracker.restore(Masklet(obj, masks=masks) for obj, masks in known.items())
    start, stop = _range(prompts, len(movie.frames), max_frames)
    tracked.total = tracker.count_steps("both", start, stop) or 0
    with ExitStack() as stack:
        journals = {obj: stack.enter_context(store.writing(path)) for obj, path in files.items()}
        results = tracker.propagate("both", start, stop)
        while True:
            with lane.turn(TRACK):
                result = next(results, None)
            if result is None:
                return
            masks = {str(obj): mask for obj, mask in result.masks.items()}
            for obj, mask in masks.items():
                if result.frame not in known[obj]:
                    known[obj][result.frame] = mask
                    if (journal := journals[obj]) is not None:
                        journal.write(result.frame, {obj: mask})
            tracked.add(result.frame, masks)
            yield


def _range(prompts: Prompts, length: int, max_frames: int) -> tuple[int, int]:
    if not max_frames:
        return 0, length - 1
    frames = [prompt.frame for own in prompts.values() for prompt in own]
    return max(0, min(frames) - max_frames), min(length - 1, max(frames) + max_frames)


def _as_text(prompt: Prompt) -> str:
    mask = prompt.mask.to_rle() if prompt.mask is not None else None
    return repr((prompt.frame, prompt.points, prompt.box, mask))
