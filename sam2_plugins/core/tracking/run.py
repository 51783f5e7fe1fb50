"""One resumable run: tracked, kept as it comes, and gone on with exactly where it was cut off."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext, suppress
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.masks.journal import BLOCK, MaskJournal, read_journal, require_journal
from sam2_plugins.core.tracking.memory.memory_file import load_memory, save_memory
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.tracked_object import TrackedObject
from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker

MEMORY_SUFFIX = ".memory"
"""Of the file of memories beside a file of masks."""

SAVE_AFTER = 30.0
"""Seconds after which memories are saved even if few frames were tracked: frames may be slow."""

_SAVING_SHARE = 0.1
"""Of the time that saving may take for that reason: what is remembered may be large."""


class Journal:
    """Masks on the disk while they are tracked, and what is remembered, to go on exactly.

    The caller names the file after all that the masks depend on (movie, prompts, model, options).

    Parameters
    ----------
    path
        Of the masks; the memories are beside it.

    Attributes
    ----------
    wrote
        Whether the last result was not here before.
    """

    _kept: MaskJournal  # while it is entered

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.memory_path = self.path.with_suffix(MEMORY_SUFFIX)
        self._unsaved = 0
        self._saved = self._saving = 0.0
        self.wrote = False

    @property
    def size(self) -> int:
        """Bytes on the disk, memories included."""
        total = 0
        for path in (self.path, self.memory_path):
            with suppress(OSError):  # not there, or deleted meanwhile
                total += path.stat().st_size
        return total

    def delete(self) -> None:
        """Delete all of it."""
        for path in (self.path, self.memory_path):
            path.unlink(missing_ok=True)

    def __enter__(self) -> None:
        self._kept = MaskJournal(self.path)

    def __exit__(self, *_: object) -> None:
        """Make sure that all masks are on the disk."""
        self._kept.close()

    def _append(self, frame: int, masks: Mapping[ObjectId, ObjectMask], **about: Any) -> bool:
        """Write a frame; tell whether it is time to save what is remembered."""
        self._kept.write(frame, masks, **about)
        self._unsaved += 1
        enough = max(SAVE_AFTER, self._saving / _SAVING_SHARE)
        return self._unsaved >= BLOCK or monotonic() - self._saved >= enough

    def _save(self, objects: Iterable[TrackedObject], state: Any = None) -> None:
        """Save what is remembered now; the masks that belong to it come first."""
        began = monotonic()
        self._kept.sync()
        save_memory(self.memory_path, objects, state)
        self._unsaved = 0
        self._saved = monotonic()
        self._saving = self._saved - began


class TrackJournal(Journal):
    """Masks and memories of objects that are tracked one by one.

    What is of other prompts is not used, and a file of another movie or policy is begun anew.

    Parameters
    ----------
    objects
        That are kept here; None: all of the tracker.

    Attributes
    ----------
    of
        What its masks hang on: a person may give one name to the runs of several movies.
    """

    def __init__(self, path: Path, objects: Collection[ObjectId] | None = None) -> None:
        super().__init__(path)
        self._objects = objects
        self._known: set[tuple[ObjectId, int]] = set()
        self.of: list[Any] | None = None

    def restore(self, tracker: VideoTracker) -> None:
        """Take an earlier run's masks, as far as its memories reach; what follows is as it was.

        Masks beyond the last memories are tracked again, to the same.
        """
        memory, of = load_memory(self.memory_path, tracker.model.device)
        if of not in (None, self.of):  # earlier versions did not write it
            require_journal(self.path)
            self.delete()
            return
        kept = read_journal(self.path)
        known = [
            kept.masklet(obj)
            for obj in memory
            if obj in tracker.objects and (self._objects is None or obj in self._objects)
        ]
        tracker.restore(known, memory)
        self._known = {
            (masklet.obj, frame)
            for masklet in known
            for frame in masklet.masks
            if tracker.mask(frame, masklet.obj) is not None
        }

    def write(self, tracker: VideoTracker, result: FrameResult) -> None:
        """Keep what is new on a frame, and every so often what is remembered."""
        fresh = {
            obj: mask
            for obj, mask in result.masks.items()
            if (obj in result.computed or (obj, result.frame) not in self._known)
            and (self._objects is None or obj in self._objects)
        }
        self.wrote = bool(fresh)
        if fresh:
            self._known |= {(obj, result.frame) for obj in fresh}
            if self._append(result.frame, fresh):
                self.save(tracker)

    def save(self, tracker: VideoTracker) -> None:
        """Keep what is remembered now."""
        self._save(tracker.tracked(self._objects), self.of)


def looks_of(tracker: VideoTracker, frames: Iterable[int]) -> list[Any]:
    """Return the length and size of a tracker's movie, and a digest of some of its frames."""
    looks = sha256()
    for frame in frames:
        with suppress(FrameSourceError):  # a damaged frame is told when it is tracked
            looks.update(tracker.frame(frame).image.tobytes())
    return [tracker.frames.length, *tracker.frame_size, looks.hexdigest()]


def make_room(folder: Path, room: int, in_use: Collection[Path] = ()) -> None:
    """Delete the journals that were not used the longest while a folder has too many bytes.

    Parameters
    ----------
    in_use
        Files of masks that stay.
    """
    found = []
    for path in folder.rglob("*.jsonl"):
        with suppress(OSError):  # deleted meanwhile
            found.append((path.stat().st_mtime, Journal(path)))
    total = sum(journal.size for _, journal in found)
    for _, journal in sorted(found, key=lambda one: one[0]):
        if total <= room:
            break
        if journal.path not in in_use:
            total -= journal.size
            journal.delete()


def run(
    tracker: VideoTracker,
    options: TrackingOptions,
    journals: Sequence[TrackJournal] = (),
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Generator[FrameResult, None, None]:
    """Track all objects with some options, and yield frame by frame.

    What is in the journals already is yielded without computing. Closing the generator stops
    within a frame, and keeps what was done; killing the process loses a few frames, which are
    tracked again to the same masks.

    Parameters
    ----------
    tracker
        With all prompts.
    journals
        Where masks and memories are kept. A stream, which cannot be read again, begins anew.
    turn
        Gives a turn on the processor for every frame, where several runs share one.
    """
    model, frames = tracker.model, [0] if journals and tracker.frames.seekable else []
    how = [model.variant.name, model.image_size, repr(tracker.policy)]
    of = looks_of(tracker, frames) + how
    for journal in journals:
        journal.of = of
        if tracker.frames.seekable:
            journal.restore(tracker)
        else:
            journal.delete()
    with ExitStack() as stack:
        for journal in journals:
            stack.enter_context(journal)
            # From the first frame on, masks without memories are known to be a killed run's.
            journal.save(tracker)
        results = stack.enter_context(closing(options.propagate(tracker)))
        try:
            while True:
                with turn():
                    result = next(results, None)
                if result is None:
                    return
                for journal in journals:
                    journal.write(tracker, result)
                yield result
        finally:
            for journal in journals:
                journal.save(tracker)
