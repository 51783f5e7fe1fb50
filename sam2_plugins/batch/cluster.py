"""Tasks on a Dask cluster: one video each; the task of a killed worker goes to another worker.

Only tasks and reports are sent; frames are read, and masks written, by the workers themselves.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Generator
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from distributed import Client, Event, Future, TimeoutError, get_worker, wait

from sam2_plugins.batch.report import Progress
from sam2_plugins.batch.tasks import Outcome, R, Task

SENT_EVERY = 1.0
"""Seconds between two messages of a worker, of which a scheduler may have a thousand."""

AHEAD = 3
"""Tasks that the scheduler has for each thread of a worker: thousands would slow it down."""

PATIENCE = 60.0
"""Seconds that a stopped worker has for the frame at hand, and for keeping what was done."""


def run_on_cluster(
    client: Client, queue: deque[tuple[Task[R], int]], resources: dict[str, float] | None
) -> Generator[Progress | R, None, None]:
    """As `run_tasks`; `queue` holds tasks with the number of tries left after this one."""
    topic = f"sam2-plugins-{uuid4().hex[:12]}"
    stop = Event(topic, client=client)
    events: SimpleQueue[Progress | Future] = SimpleQueue()
    client.subscribe_topic(topic, lambda event: events.put(Progress(*event[1])))
    running: dict[Future, tuple[Task[R], int]] = {}

    def submit(task: Task[R], left: int) -> None:
        # A new key each time: for a known key Dask returns the old result.
        key = f"{task.name}-{uuid4().hex[:8]}"
        # Packed here, to be opened where an import that fails is the failure of one task.
        packed = pickle.dumps(task)
        future = client.submit(_work, packed, topic, key=key, pure=False, resources=resources or {})
        running[future] = (task, left)
        future.add_done_callback(events.put)

    try:
        while queue or running:
            slots = AHEAD * max(sum(client.nthreads().values()), 1) if queue else 0
            while queue and len(running) < slots:
                submit(*queue.popleft())
            event = events.get()
            if isinstance(event, Progress):
                yield event
                continue
            task, left = running.pop(event)
            report = _report(event, task)
            yield report
            if report.state == "failed" and left:
                queue.append((task, left - 1))
    finally:
        if running:
            _stop(client, stop, list(running))
        client.unsubscribe_topic(topic)


def _stop(client: Client, stop: Event, running: list[Future]) -> None:
    """Signal the workers to stop and to save their work: Dask cannot stop a task that has begun."""
    stop.set()
    try:
        with client.as_current():
            wait(running, timeout=PATIENCE)
    except TimeoutError:
        client.cancel(running)


def _work(packed: bytes, topic: str) -> Any:
    """Run one task on a worker, report progress now and then, and return its report.

    None if the run was stopped.
    """
    worker: Any = get_worker()
    stop = Event(topic)
    sent = 0.0
    if stop.is_set():
        return None
    task: Task[Outcome] = pickle.loads(packed)  # noqa: S301 - packed by this run's own scheduler
    events = task.run()
    for event in events:
        if not isinstance(event, Progress):
            return event
        now = time.monotonic()
        if now - sent < SENT_EVERY and event.done != event.total:
            continue
        worker.log_event(topic, (event.name, event.done, event.total))
        sent = now
        if stop.is_set():
            events.close()
            return None
    raise AssertionError("a task ends with a report")


def _report(future: Future, task: Task[R]) -> R:
    """Return a worker's report, or a report of its loss."""
    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else "it was cancelled"
    return task.lost(f"The worker was lost: {error}")
