"""Run a batch: in this process, or on a Dask cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sam2_plugins.batch.job import Job, Settings
from sam2_plugins.batch.report import Events, Report
from sam2_plugins.batch.video import track_video

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
    generator stops the work within a frame here, and cancels what waits on a cluster; another run
    goes on where this one stopped.

    Parameters
    ----------
    out
        Folder of the results, one folder a video; on a cluster, as every worker sees it.
    retries
        How often a failed video is tried again; each try yields a report.
    client
        Of a Dask cluster; None: one video after another in this process.
    resources
        What a video takes of a Dask worker's declared resources, such as {"GPU": 1}.
    """
    queue = deque((job, retries) for job in jobs)
    if client is not None:
        from sam2_plugins.batch.cluster import run_on_cluster

        yield from run_on_cluster(client, queue, settings, Path(out), resources)
        return
    while queue:
        job, left = queue.popleft()
        for event in track_video(job, settings, Path(out)):
            yield event
            if isinstance(event, Report) and event.state == "failed" and left:
                queue.append((job, left - 1))
