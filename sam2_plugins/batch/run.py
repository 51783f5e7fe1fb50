"""Run a batch: in this process, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sam2_plugins.batch.folder import alone_in
from sam2_plugins.batch.job import Job, Settings
from sam2_plugins.batch.report import Events
from sam2_plugins.batch.tasks import run_tasks
from sam2_plugins.batch.video import VideoTask

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
