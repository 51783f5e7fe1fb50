"""Tracking that may take longer than the request that began it.

A request waits for its job up to a limit. A job that takes longer goes on, and its result is
stored later (see `deliveries`). A second request with the same prompts joins the running job.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.operating_system import release_memory
from sam2_plugins.labelstudio_backend.tracking import BATCH, TRACK, Tracked

log = logging.getLogger(__name__)

KEPT = 100
"""Ended jobs that are still listed."""
MASKS_KEPT = 8
"""Ended jobs whose masks are in memory too, so that the same request is answered at once."""
AT_ONCE = {TRACK: 4, BATCH: 2}
"""Jobs that track at once; each has a movie open and the memories of its objects. An annotator's
wait for none of a batch."""

Steps = Callable[[Tracked], Generator[None, None, None]]


@dataclass(frozen=True)
class Author:
    """The author of the prompts of a request.

    Attributes
    ----------
    name
        Of the annotator, or of the saved annotation; "" if it is not known yet.
    own
        Objects that are in nobody else's editor: nothing that is stored has them.
    """

    name: str = ""
    own: frozenset[str] = frozenset()

    def is_also(self, other: Author) -> bool:
        """Whether both are certainly the same author; unknown authors count as different."""
        if self.name and other.name:
            return self.name == other.name
        return bool(self.own & other.own)


@dataclass
class Job:
    """One track.

    Attributes
    ----------
    id, about
        For `/jobs`: a name, and what it works on: project, task, objects.
    authors
        Those who wait for its result; one who sends other prompts is removed.
    state
        "running", "done", "failed", "cancelled", or "left" for who starts next.
    tracked
        What it has come to so far.
    """

    id: str
    about: Mapping[str, Any]
    authors: list[Author] = field(default_factory=list)
    tracked: Tracked = field(default_factory=Tracked)
    state: str = "running"
    error: str = ""
    started: float = field(default_factory=time.time)
    seconds: float | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    _waiting: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wait(self, seconds: float, somebody: bool = True) -> bool:
        """Wait for its end; return whether it has ended.

        A job without authors is stopped, but not while an annotator waits for it.

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
                self._stop_if_unwanted()

    def wanted_by(self, author: Author) -> None:
        """Add an author."""
        with self._lock:
            others = [one for one in self.authors if one != author and not one.is_also(author)]
            self.authors = [*others, author]

    def corrected_by(self, author: Author, about: Mapping[str, Any]) -> None:
        """Remove an author who has sent other prompts of one of its objects."""
        same = all(self.about.get(name) == about.get(name) for name in ("project", "task"))
        if same and not set(self.about["objects"]).isdisjoint(about["objects"]):
            with self._lock:
                self.authors = [one for one in self.authors if not one.is_also(author)]
                self._stop_if_unwanted()

    def end(self, state: str, error: str = "") -> None:
        """Record how it ended."""
        self.state, self.error = state, error
        self.seconds = time.time() - self.started
        self.ended.set()

    def _stop_if_unwanted(self) -> None:
        if not self.authors and not self._waiting and not self.ended.is_set():
            self.stop.set()

    def facts(self) -> dict[str, Any]:
        """Return what `/jobs` shows."""
        return {
            "id": self.id,
            **self.about,
            "state": self.state,
            "done": self.tracked.done,
            "total": self.tracked.total,
            "error": self.error,
            "seconds": round(self.seconds or time.time() - self.started, 1),
        }


class Jobs:
    """Jobs that run and have run, by what they do.

    Attributes
    ----------
    closing
        Set when the backend is stopping.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._past: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._slots = {urgency: threading.Semaphore(most) for urgency, most in AT_ONCE.items()}

    def join(
        self, key: str, about: Mapping[str, Any], steps: Steps, author: Author, anew: bool = True
    ) -> Job:
        """Return the job of this key: one that runs or has just run, or else a new one.

        Earlier jobs of the same author on the same object are stopped, unless another author
        waits for them too.

        Parameters
        ----------
        anew
            Whether the author wants it now: then one that was stopped is begun again. Otherwise it
            was wanted once, and its result is to be stored if there is one.
        """
        with self._lock:
            for other, earlier in self._jobs.items():
                if other != key:
                    earlier.corrected_by(author, about)
            known = self._jobs.get(key)
            if known is not None:
                stopped = known.stop.is_set() and known.state != "done"
                if (stopped and not anew) or (not stopped and known.state in ("running", "done")):
                    if anew:
                        known.wanted_by(author)
                    return known
            job = self._jobs[key] = Job(uuid.uuid4().hex[:12], about, [author])
            self._forget_old()
            # A daemon: a job that does not react to `close` must not keep the process alive.
            thread = threading.Thread(
                target=self._run, args=(job, steps), name=f"job-{job.id}", daemon=True
            )
            self._threads = {k: t for k, t in self._threads.items() if t.is_alive()}
            self._threads[job.id] = thread
            thread.start()
        return job

    def all(self) -> list[Job]:
        """Return those that run and the last ones that ran, the latest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.started)

    def facts(self) -> list[dict[str, Any]]:
        """Return what `/jobs` shows, of those too whose masks are not in memory any more."""
        with self._lock:
            past = list(reversed(self._past))
        return [job.facts() for job in self.all()] + past

    def cancel(self, id: str) -> bool:
        """Stop a job within a frame; return whether there is such a job."""
        found = [job for job in self.all() if job.id == id]
        for job in found:
            job.stop.set()
        return bool(found)

    def close(self, patience: float = 10.0) -> None:
        """Stop all jobs within a frame, or `patience` seconds; the next start resumes them.

        A thread that computes when the process ends would abort the process.
        """
        with self._lock:
            self.closing.set()
            threads = list(self._threads.values())
        until = time.monotonic() + patience
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _forget_old(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.ended.is_set()]
        for key in ended[: max(0, len(ended) - MASKS_KEPT)]:
            self._past.append(self._jobs.pop(key).facts())

    def _run(self, job: Job, steps: Steps) -> None:
        """Do a job's steps when a slot is free; an exception becomes the job's error."""
        while not (slots := self._slots[job.tracked.urgency]).acquire(timeout=0.2):
            if self._is_over(job):
                self._break_off(job)
                return
        try:
            with closing(steps(job.tracked)) as work:
                for _ in work:
                    if self._is_over(job):
                        break
                else:
                    job.end("done")
            if not job.ended.is_set():
                self._break_off(job)
        except Sam2PluginsError as problem:
            job.end("failed", str(problem))
        except Exception as problem:
            log.exception("Job %s failed", job.id)
            job.end("failed", f"{type(problem).__name__}: {problem}")
        finally:
            slots.release()
            release_memory()

    def _is_over(self, job: Job) -> bool:
        return job.stop.is_set() or self.closing.is_set()

    def _break_off(self, job: Job) -> None:
        job.end("cancelled" if job.stop.is_set() else "left")
