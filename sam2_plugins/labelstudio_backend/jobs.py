"""Long work that outlives the request that asked for it.

A request waits for its job for a while. A job that takes longer goes on alone; see `deliveries` for
what becomes of its result. A second request for the same joins the job that runs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.labelstudio_backend.tracking import Tracked

log = logging.getLogger(__name__)

KEPT = 100
"""Jobs that are still listed after their end."""
MASKS_KEPT = 8
"""Ended jobs whose masks are still in memory, so that the same request is answered at once."""
AT_ONCE = 4
"""Jobs that track at once; each has a movie open and the memories of its objects."""

Steps = Callable[[Tracked], Iterator[None]]
PromptFrames = Mapping[str, frozenset[int]]
"""Frames on which each object has a prompt."""


@dataclass
class Job:
    """One track.

    Attributes
    ----------
    id, about
        For `/jobs`: a name, and what it works on.
    prompted
        Frames with a prompt, by object.
    state
        "running", "done", "failed", "cancelled", or "left" for who starts next.
    tracked
        What it has come to so far.
    error
        Why it failed, for a person.
    """

    id: str
    about: Mapping[str, Any]
    prompted: PromptFrames = field(default_factory=dict)
    tracked: Tracked = field(default_factory=Tracked)
    state: str = "running"
    error: str = ""
    started: float = field(default_factory=time.time)
    ended: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    superseded: bool = False
    _waiting: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wait(self, seconds: float, somebody: bool = True) -> bool:
        """Wait for its end; tell whether it has come.

        Nobody takes away what an annotator waits for. So a job that another one supersedes is
        stopped as soon as nobody waits any more.

        Parameters
        ----------
        somebody
            Whether it is a person who waits.
        """
        with self._lock:
            self._waiting += somebody
        try:
            return self.ended.wait(None if seconds == math.inf else max(0.0, seconds))
        finally:
            with self._lock:
                self._waiting -= somebody
                if self.superseded and not self._waiting and not self.ended.is_set():
                    self.stop.set()

    def supersede(self) -> None:
        """Stop it, once nobody waits for it: its prompts have changed."""
        with self._lock:
            self.superseded = True
            if not self._waiting:
                self.stop.set()

    def is_corrected_by(self, about: Mapping[str, Any], prompted: PromptFrames) -> bool:
        """Whether a request is the same person's next one about an object of this job.

        It has prompts wherever this one has, and perhaps more. Another annotator, who began with
        the same prediction, lacks what was drawn here.
        """
        same = all(self.about.get(name) == about.get(name) for name in ("project", "task"))
        shared = self.prompted.keys() & prompted.keys()
        return same and bool(shared) and all(self.prompted[o] <= prompted[o] for o in shared)

    def facts(self) -> dict[str, Any]:
        """Return what `/jobs` tells."""
        return {
            "id": self.id,
            **self.about,
            "state": self.state,
            "done": self.tracked.done,
            "total": self.tracked.total,
            "error": self.error,
            "seconds": round(time.time() - self.started, 1),
        }


class Jobs:
    """Jobs that run and have run, by what they do."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._slots = threading.Semaphore(AT_ONCE)

    def join(
        self, key: str, about: Mapping[str, Any], steps: Steps, prompted: PromptFrames | None = None
    ) -> Job:
        """Return the job that does this: the one that runs or has just run, or else a new one.

        Jobs whose prompts this one corrects are superseded.
        """
        prompted = prompted or {}
        with self._lock:
            for other, earlier in self._jobs.items():
                if other != key and earlier.is_corrected_by(about, prompted):
                    earlier.supersede()
            known = self._jobs.get(key)
            if known is not None and not known.stop.is_set() and known.state in ("running", "done"):
                known.superseded = False
                return known
            job = self._jobs[key] = Job(uuid.uuid4().hex[:12], about, prompted)
            self._forget_old()
            # A daemon: one that does not heed `close` must not keep the process alive.
            thread = threading.Thread(
                target=self._run, args=(job, steps), name=f"job-{job.id}", daemon=True
            )
            self._threads = {k: t for k, t in self._threads.items() if t.is_alive()}
            self._threads[job.id] = thread
            thread.start()
        return job

    @property
    def is_closing(self) -> bool:
        """Whether the backend stops."""
        return self._closing.is_set()

    def all(self) -> list[Job]:
        """Return those that run and the last ones that ran, the latest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.started)

    def cancel(self, id: str) -> bool:
        """Stop a job within a frame; tell whether there is such a job."""
        found = [job for job in self.all() if job.id == id]
        for job in found:
            job.stop.set()
        return bool(found)

    def close(self, patience: float = 10.0) -> None:
        """Leave what runs for the next start, within a frame; wait so many seconds for it.

        A thread that is amid the model when the process ends would abort it.
        """
        with self._lock:
            self._closing.set()
            threads = list(self._threads.values())
        until = time.monotonic() + patience
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _forget_old(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.ended.is_set()]
        for key in ended[: max(0, len(ended) - MASKS_KEPT)]:
            if self._jobs[key].state == "done":
                self._jobs[key].state = "stored"  # on disk, from where a new job takes it
            self._jobs[key].tracked.masks = {}
        for key in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[key]

    def _run(self, job: Job, steps: Steps) -> None:
        """Do a job's steps when it is its turn; what goes wrong becomes its error."""
        while not self._slots.acquire(timeout=0.2):
            if self._is_over(job):
                self._end(job)
                return
        try:
            work = steps(job.tracked)
            for _ in work:
                if self._is_over(job):
                    with suppress(AttributeError):
                        work.close()  # type: ignore[attr-defined]
                    self._end(job)
                    return
            job.state = "done"
        except Sam2PluginsError as problem:
            job.state, job.error = "failed", str(problem)
        except Exception as problem:
            log.exception("Job %s failed", job.id)
            job.state, job.error = "failed", f"{type(problem).__name__}: {problem}"
        finally:
            self._slots.release()
            job.ended.set()

    def _is_over(self, job: Job) -> bool:
        return job.stop.is_set() or self._closing.is_set()

    def _end(self, job: Job) -> None:
        job.state = "cancelled" if job.stop.is_set() else "left"
        job.ended.set()
