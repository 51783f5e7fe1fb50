"""One resumable run of all objects: kept as it comes, and gone on with exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.lineage.events import Event
from sam2_plugins.core.lineage.lineage_tracker import LineageFrame, LineageTracker
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.masks.journal import read_entries
from sam2_plugins.core.tracking.memory.memory_file import load_memory
from sam2_plugins.core.tracking.run import Journal


class LineageJournal(Journal):
    """Decided frames of a lineage on the disk, and all that later decisions hang on.

    The file holds masks and events of every frame that was yielded, and no more: it is read as the
    file of any other run. Masks that are not decided yet are with the memories.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._known: dict[int, set[ObjectId]] = {}  # objects by frame
        self._about: Mapping[str, Any] = {}

    def restore(self, lineage: LineageTracker, about: Mapping[str, Any]) -> None:
        """Bring a fresh lineage to where an earlier run was when its memories were saved last.

        What follows is as it was. What is here of another run, or damaged, is deleted.

        Parameters
        ----------
        about
            What else a run hangs on, as plain values.
        """
        self._about = about
        memory, state = load_memory(self.memory_path, lineage.tracker.model.device)
        if state and state["about"] == about and self._cut_to(state["bytes"]):
            with suppress(ExportError):
                if lineage.tracker.return_to(memory, self._masks(state["undecided"])):
                    lineage.go_on_from(state["lineage"])
                    return
        self._known.clear()
        self.delete()

    def _cut_to(self, size: int) -> bool:
        """Cut off what was written after the memories; tell whether all before it is there."""
        try:
            whole = self.path.stat().st_size >= size
        except OSError:
            return False
        if whole:
            os.truncate(self.path, size)
        return whole

    def _masks(
        self, undecided: Mapping[int, Mapping[ObjectId, ObjectMask]]
    ) -> Iterator[tuple[int, Mapping[ObjectId, ObjectMask]]]:
        for result in self.frames():
            self._known.setdefault(result.frame, set()).update(result.masks)
            yield result.frame, result.masks
        yield from undecided.items()

    def frames(self) -> Iterator[LineageFrame]:
        """Read the frames that are here, one after the other."""
        for entry, masks in read_entries(self.path):
            events = tuple(Event.of(values) for values in entry["events"])
            there = {obj: mask for obj, mask in masks.items() if mask.visible}
            yield LineageFrame(entry["frame"], entry["time"], there, events)

    def write(self, lineage: LineageTracker, result: LineageFrame) -> None:
        """Keep a decided frame, and every so often what is remembered."""
        known = self._known.setdefault(result.frame, set())
        # A frame that comes again takes the place of the earlier one.
        gone = dict.fromkeys(
            known - set(result.masks), ObjectMask.empty(lineage.tracker.frame_size)
        )
        known.update(result.masks)
        events = [event.as_json() for event in result.events]
        if self._append(result.frame, {**result.masks, **gone}, time=result.time, events=events):
            self.save(lineage)

    def save(self, lineage: LineageTracker) -> None:
        """Keep what is remembered now, between two frames."""
        undecided: dict[int, dict[ObjectId, ObjectMask]] = {}
        objects = lineage.tracker.tracked()
        for one in objects:
            for frame in one.record.frames:
                kept = frame < lineage.due and one.obj in self._known.get(frame, ())
                mask = None if kept else one.record.get(frame)
                if mask is not None:
                    undecided.setdefault(frame, {})[one.obj] = mask
        state = {
            "about": self._about,
            "bytes": self.path.stat().st_size,
            "undecided": undecided,
            "lineage": lineage.state(),
        }
        self._save(objects, state)


def run_all(
    lineage: LineageTracker,
    start: int = 0,
    stop: int | None = None,
    every: int = 1,
    journal: LineageJournal | None = None,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
    of: Mapping[str, Any] = MappingProxyType({}),
) -> Generator[LineageFrame, None, None]:
    """Track all objects, and yield frames as they are decided; see `LineageTracker.run`.

    What is in the journal already is yielded without computing. Closing the generator stops within
    a frame, and keeps what was done; killing the process loses a few frames, which are tracked
    again to the same masks and decisions.

    Parameters
    ----------
    journal
        Where frames and memories are kept. A stream, which cannot be read again, begins anew.
    turn
        Gives a turn on the processor for every frame, where several runs share one.
    of
        Plain values of what else the run hangs on, which the journal's name does not tell.
    """
    if journal is not None:
        if not lineage.tracker.frames.seekable:
            journal.delete()
        # That an object is not prompted any more, its memory does not tell.
        prompted = list(lineage.tracker.objects)
        rules = asdict(lineage.rules)
        about = {"run": [start, stop, every], "rules": rules, "prompted": prompted, "state": 4}
        about |= of
        journal.restore(lineage, about)
        journal.wrote = False
        yield from journal.frames()
        journal.wrote = True
    with journal or nullcontext(), closing(lineage.run(start, stop, every)) as results:
        whole = True
        try:
            while True:
                whole = False
                with turn():
                    result = next(results, None)
                whole = True
                if result is None:
                    return
                if journal is not None:
                    journal.write(lineage, result)
                yield result
        finally:
            # What was broken off amid a frame is no state to go on from.
            if whole and journal is not None:
                journal.save(lineage)
