"""From a movie to files that a person can look at."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sam2_plugins.batch.folder import ResultFolder
from sam2_plugins.batch.report import Events, Progress, Report, State
from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.export import (
    FORMATS,
    ContactSheetWriter,
    Numbering,
    Subject,
    WriterGroup,
    open_writers,
)
from sam2_plugins.core.frames import FrameSource
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.run import TrackJournal, run
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.demo.cells import choose_prompts
from sam2_plugins.demo.strips import CellStripsWriter

SHEET_FRAMES = 4  # so large that a nucleus of 25 px in a frame of 1,100 is still to be seen
PROMPTS_FILE, STRIPS_FILE = "prompts.json", "cells.png"


def prompt_cells(model: Sam2Model, frames: FrameSource) -> VideoTracker:
    """Start a tracker on a movie with a dozen of its cells prompted.

    Raises
    ------
    TrackingError
        If no cell is found.
    """
    prompts = choose_prompts(frames[0].image)
    if not prompts:
        raise TrackingError(f"{frames.name} shows no cell that stands alone on its first frame.")
    tracker = VideoTracker(model, frames)
    for prompt in prompts:
        tracker.add(prompt)
    return tracker


def open_demo_writers(out: Path, tracker: VideoTracker, title: str) -> WriterGroup:
    """Open writers of label images, an overlay video, a contact sheet, close-ups and a table."""
    of = Subject(tracker.frames, Numbering(tracker.objects), title=title)
    writers = open_writers(out, "tiff,mp4,csv", of.frames, tracker.objects, overwrite=True)
    writers.add(ContactSheetWriter(out / FORMATS["png"], of, SHEET_FRAMES))
    writers.add(CellStripsWriter(out / STRIPS_FILE, of))
    tracker.save_prompts(out / PROMPTS_FILE)
    return writers


def track_demo(out: Path, tracker: VideoTracker, title: str) -> Events:
    """Track into a folder, where an earlier demo may be replaced, and yield progress and a report.

    Raises
    ------
    ExportError
        If a file is in the way that no demo made.
    """
    folder = ResultFolder(out)
    names = [FORMATS[name] for name in ("tiff", "mp4", "csv", "png")] + [STRIPS_FILE, PROMPTS_FILE]
    model = tracker.model.variant.name
    begun = Report("demo", title, "running", model, {"movie": uuid.uuid4().hex})
    with folder.locked():
        begun = folder.begin(begun, names, replaces=True, force=False)
        total, frames = tracker.count_steps(), 0
        results = run(tracker, TrackingOptions(), [TrackJournal(folder.journal)])
        try:
            with open_demo_writers(out, tracker, title) as writers, closing(results):
                for result in results:
                    writers.write(result.frame, result.time, result.masks)
                    frames = result.frame + 1
                    yield Progress("demo", frames, total)
        except BaseException:
            folder.leave(_report(begun, tracker, frames, "stopped"))
            raise
        yield folder.publish(_report(begun, tracker, frames, "done"), names)


def _report(run: Report, tracker: VideoTracker, frames: int, state: State) -> Report:
    objects = tuple(masklet.summary() for masklet in tracker.masklets().values())
    complete = state == "done"
    return replace(run, state=state, frames=frames, complete=complete, objects=objects)
