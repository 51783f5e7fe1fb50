"""The same work on a Dask cluster: one video is one task, and a killed worker's goes to another.

Only jobs and figures travel; frames are read, and masks written, by the workers themselves.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from distributed import Client, Future, get_worker

from sam2_plugins.batch.job import Job, Settings, fingerprint
from sam2_plugins.batch.report import Events, Progress, Report
from sam2_plugins.batch.video import track_video

TOLD_EVERY = 1.0
"""Seconds between two messages of a worker, of which a scheduler may have a thousand."""


def run_on_cluster(
    client: Client,
    queue: deque[tuple[Job, int]],
    settings: Settings,
    out: Path,
    resources: dict[str, float] | None,
) -> Events:
    """Do what `run_batch` says; `queue` holds jobs with the tries that are left after this one."""
    topic = f"sam2-plugins-{uuid4().hex[:12]}"
    heard: SimpleQueue[Progress | Future] = SimpleQueue()
    client.subscribe_topic(topic, lambda told: heard.put(Progress(*told[1])))
    running: dict[Future, tuple[Job, int]] = {}

    def submit(job: Job, left: int) -> None:
        # A new key each time, for Dask would hand out the result that it has of an old one.
        key = f"{job.name}-{uuid4().hex[:8]}"
        future = client.submit(
            _work, job, settings, out, topic, key=key, pure=False, resources=resources or {}
        )
        running[future] = (job, left)
        future.add_done_callback(heard.put)

    try:
        for job, left in queue:
            submit(job, left)
        while running:
            event = heard.get()
            if isinstance(event, Progress):
                yield event
                continue
            job, left = running.pop(event)
            report = _report(event, job, settings)
            yield report
            if report.state == "failed" and left:
                submit(job, left - 1)
    finally:
        client.cancel(list(running))
        client.unsubscribe_topic(topic)


def _work(job: Job, settings: Settings, out: Path, topic: str) -> Report:
    """Track one video on a worker, and tell of it now and then."""
    worker: Any = get_worker()
    told = 0.0
    for event in track_video(job, settings, out):
        if isinstance(event, Report):
            return event
        now = time.monotonic()
        if now - told >= TOLD_EVERY or event.done == event.total:
            worker.log_event(topic, (event.name, event.done, event.total))
            told = now
    raise AssertionError("track_video ends with a report")


def _report(future: Future, job: Job, settings: Settings) -> Report:
    """Return a worker's report, or one that says why there is none."""
    if future.status == "finished":
        report: Report = future.result()
        return report
    error = future.exception() if future.status == "error" else "it was cancelled"
    return Report(
        job.name,
        job.source,
        "failed",
        fingerprint(job, settings),
        settings.model,
        error=f"The worker was lost: {error}",
    )
