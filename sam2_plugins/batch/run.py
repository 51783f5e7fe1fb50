"""Run a batch: in this process, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sam2_plugins.batch.folder import VideoFolder, alone_in
from sam2_plugins.batch.job import Job, Settings
from sam2_plugins.batch.report import Events, Report
from sam2_plugins.batch.tasks import run_tasks
from sam2_plugins.batch.tracking import track_into
from sam2_plugins.core.errors import message_of

if TYPE_CHECKING:
    from distributed import Client


def run_batch(
    jobs: Iterable[Job],
    settings: Settings,
    out: str | Path,
    *,
    retries: int = 1,
    client: Client | None = None,
    resources: dict[str, float] | None = None,
) -> Events:
    """Track videos, and yield progress and reports as they come.

    A video that fails does not stop the others; it is tried again after them. Closing the
    generator stops the work within a frame here, and within some seconds on a cluster; another run
    goes on where this one stopped.

    Parameters
    ----------
    out
        Folder of the results, one folder a video; on a cluster, as every worker sees it.
    retries
        How often a failed video is tried again; each try yields a report.
    client
        Of a Dask cluster (see `connect`); None: one video after another in this process.
    resources
        What a video takes of a Dask worker's declared resources, such as {"GPU": 1}.

    Raises
    ------
    ExportError
        If another run is at work in the folder.
    """
    tasks = [VideoTask(job, settings, Path(out)) for job in jobs]
    with alone_in(Path(out)):
        yield from run_tasks(tasks, retries=retries, client=client, resources=resources)


@dataclass(frozen=True)
class VideoTask:
    """A job as a task of `run_tasks`: the same work in this process and on a worker."""

    job: Job
    settings: Settings
    out: Path

    @property
    def name(self) -> str:
        """Name of the job."""
        return self.job.name

    def run(self) -> Events:
        """Track the video, and yield its progress and at last its report, of a failure too.

        A result that is there already is only reported. Closing the generator keeps what was done
        for the next run, as a kill does.
        """
        if self.settings.threads is not None:
            torch.set_num_threads(self.settings.threads)
        folder = VideoFolder(self.out, self.name)
        try:
            found = folder.record()
            # Of another video of that name, results stay.
            same = found is None or found.source == self.job.source
            yield from track_into(folder, self.job, self.settings, replaces=same)
        except Exception as error:
            yield self.lost(message_of(error))

    def lost(self, why: str) -> Report:
        """Report that there is no worker any more."""
        return Report(self.name, self.job.source, "failed", self.settings.model, error=why)
