"""Track one video of a batch: the same work in this process and on a worker of a cluster."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sam2_plugins.batch.folder import VideoFolder
from sam2_plugins.batch.job import Job, Settings, fingerprint
from sam2_plugins.batch.report import Events, Progress, Report
from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.errors import ExportError, told
from sam2_plugins.core.export import open_writers
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import Masklet
from sam2_plugins.core.masks.journal import MaskJournal, read_journal
from sam2_plugins.core.tracking.tracker import VideoTracker


@dataclass(frozen=True)
class VideoTask:
    """A job as a task of `run_tasks`."""

    job: Job
    settings: Settings
    out: Path

    @property
    def name(self) -> str:
        """Name of the job."""
        return self.job.name

    def run(self) -> Events:
        """Track it."""
        return track_video(self.job, self.settings, self.out)

    def lost(self, why: str) -> Report:
        """Report that there is no worker any more."""
        return replace(_started(self.job, self.settings), state="failed", error=why)


def track_video(job: Job, settings: Settings, out: Path) -> Events:
    """Track a video, and yield its progress and at last its report.

    A result that is there already is only reported. Closing the generator keeps what was done for
    the next run, as a kill does.
    """
    folder = VideoFolder(out, job.name)
    started = _started(job, settings)
    finished = folder.finished()
    if finished is not None and finished.fingerprint == started.fingerprint:
        yield replace(finished, computed=0, seconds=0.0)
        return
    try:
        with folder.working(started):
            report = started
            try:
                for event in _track(job, settings, folder, started):
                    if isinstance(event, Report):
                        report = event
                    else:
                        yield event
            except Exception as error:
                report = replace(started, state="failed", error=told(error))
                folder.fail(report)
            else:
                folder.publish(report)
    except ExportError as error:
        report = replace(started, state="failed", error=str(error))
    yield report


def _started(job: Job, settings: Settings) -> Report:
    return Report(job.name, job.source, "running", fingerprint(job, settings), settings.model)


def _track(job: Job, settings: Settings, folder: VideoFolder, started: Report) -> Events:
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    began = time.perf_counter()
    model = cached_model(settings.model, settings.device, settings.image_size)
    with open_frames(job.source, **job.reading) as frames:
        tracker = VideoTracker(model, frames, window=settings.tile)
        for prompt in job.prompts:
            tracker.add(prompt)
        earlier = read_journal(folder.journal) if frames.seekable else []
        tracker.restore(earlier)
        known = {(masklet.obj, frame) for masklet in earlier for frame in masklet.masks}
        total = tracker.count_steps(job.direction, job.start, job.stop)
        in_order = job.direction == "forward"
        seen, computed = set(), set()
        with (
            MaskJournal(folder.journal) as journal,
            open_writers(
                folder.part, settings.formats, frames, tracker.objects, in_order=in_order
            ) as writers,
        ):
            results = tracker.propagate(job.direction, job.start, job.stop)
            for done, result in enumerate(results, start=1):
                writers.write(result.frame, result.time, result.masks)
                fresh = {o: m for o, m in result.masks.items() if (o, result.frame) not in known}
                if fresh:
                    journal.write(result.frame, fresh)
                    computed.add(result.frame)
                seen.add(result.frame)
                yield Progress(job.name, done, total)
    yield replace(
        started,
        state="done",
        frames=len(seen),
        computed=len(computed),
        seconds=time.perf_counter() - began,
        objects=tuple(_fared(masklet) for masklet in tracker.masklets().values()),
        files=tuple(path.name for path in writers.paths),
    )


def _fared(masklet: Masklet) -> dict[str, Any]:
    """Sum up a masklet; what is not known is None, for JSON has no nan."""
    return {
        key: None if value != value else value for key, value in asdict(masklet.summary()).items()
    }
