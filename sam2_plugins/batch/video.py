"""Track one video of a batch: the same work in this process and on a worker of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from sam2_plugins.batch.folder import VideoFolder
from sam2_plugins.batch.job import Job, Settings
from sam2_plugins.batch.report import Events, Report
from sam2_plugins.batch.tracking import track_into
from sam2_plugins.core.errors import message_of


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
        return Report(self.job.name, self.job.source, "failed", self.settings.model, error=why)


def track_video(job: Job, settings: Settings, out: Path) -> Events:
    """Track a video, and yield its progress and at last its report, of a failure too.

    A result that is there already is only reported. Closing the generator keeps what was done for
    the next run, as a kill does.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    folder = VideoFolder(out, job.name)
    try:
        found = folder.record()
        # Of another video of that name, results stay.
        same = found is None or found.source == job.source
        yield from track_into(folder, job, settings, replaces=same)
    except Exception as error:
        yield VideoTask(job, settings, out).lost(message_of(error))
