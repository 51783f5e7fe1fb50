"""Many videos, one task each: tried again where they fail, in this process or on a Dask cluster.

A task decides where its masks go: `batch` writes folders, the FiftyOne plugin writes to a dataset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

from sam2_plugins.batch.report import Progress

if TYPE_CHECKING:
    from distributed import Client


class Outcome(Protocol):
    """The report of a video; in the state "failed", it is tried again."""

    @property
    def state(self) -> str:
        """One of the states of its kind of report."""


R = TypeVar("R", bound=Outcome)
R_co = TypeVar("R_co", bound=Outcome, covariant=True)


class Task(Protocol[R_co]):
    """One video to track. It travels to workers, so it can be pickled, and is small."""

    @property
    def name(self) -> str:
        """Its name in progress reports: no other task of a run has it."""

    def run(self) -> Generator[Progress | R_co, None, None]:
        """Track it: yield progress and at last its report, of a failure too.

        Closing the generator stops within a frame; what was done is kept for the next run.
        """

    def lost(self, why: str) -> R_co:
        """Report that its worker is gone."""


def run_tasks(
    tasks: Iterable[Task[R]],
    *,
    retries: int = 1,
    client: Client | None = None,
    resources: dict[str, float] | None = None,
) -> Generator[Progress | R, None, None]:
    """Run tasks, and yield progress and reports as they come; see `run_batch`."""
    queue = deque((task, retries) for task in tasks)
    if client is not None:
        from sam2_plugins.batch.cluster import run_on_cluster

        yield from run_on_cluster(client, queue, resources)
        return
    while queue:
        task, left = queue.popleft()
        for event in task.run():
            yield event
            if not isinstance(event, Progress) and event.state == "failed" and left:
                queue.append((task, left - 1))
