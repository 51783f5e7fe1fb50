"""Long work that outlives the request that asked for it.

A request waits for its job for a while. A job that takes longer goes on alone, and its result is
stored through Label Studio's API; what was asked is kept on disk until then, so that a restarted
backend takes it up. Who asks for the same again joins the job that runs.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sam2_plugins.core import files
from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.labelstudio_backend.tracking import Tracked

log = logging.getLogger(__name__)

KEPT = 100
"""Jobs that are still listed after their end."""

Steps = Callable[[Tracked], Iterator[None]]


@dataclass
class Job:
    """One track.

    Attributes
    ----------
    id, about
        For `/jobs`: a name, and what it works on.
    state
        "running", "done", "failed", "cancelled", or "left" for who starts next.
    tracked
        What it has come to so far.
    error
        Why it failed, for a person.
    """

    id: str
    about: Mapping[str, Any]
    tracked: Tracked = field(default_factory=Tracked)
    state: str = "running"
    error: str = ""
    started: float = field(default_factory=time.time)
    ended: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    when_done: Callable[[Job], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def hand_over(self, deliver: Callable[[Job], None]) -> bool:
        """Let the job deliver its result itself, unless it has ended; tell whether it will."""
        with self._lock:
            if self.ended.is_set():
                return False
            self.when_done = deliver
            return True

    def end(self, state: str, error: str = "") -> None:
        """Say how it ended, and deliver."""
        with self._lock:
            self.state, self.error = state, error
            self.ended.set()
        if self.when_done is not None:
            self.when_done(self)

    def replaced_by(self, about: Mapping[str, Any]) -> bool:
        """Whether another job is about one of the same objects of the same task."""
        same = all(self.about.get(name) == about.get(name) for name in ("project", "task"))
        return same and bool({*self.about.get("objects", ())} & {*about.get("objects", ())})

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

    def join(self, key: str, about: Mapping[str, Any], steps: Steps) -> Job:
        """Return the job that does this, started if none runs.

        Jobs of the same task with one of the same objects, of which something else was said then,
        are stopped: nobody waits for their result any more.
        """
        with self._lock:
            for other, earlier in self._jobs.items():
                if other != key and earlier.replaced_by(about):
                    earlier.stop.set()
            running = self._jobs.get(key)
            if running is not None and running.state == "running" and not running.stop.is_set():
                return running
            job = self._jobs[key] = Job(uuid.uuid4().hex[:12], about)
            self._forget_old()
            # A daemon: one that does not heed `close` must not keep the process alive.
            thread = threading.Thread(
                target=_run,
                args=(job, steps, self._closing),
                name=f"job-{job.id}",
                daemon=True,
            )
            self._threads = {k: t for k, t in self._threads.items() if t.is_alive()}
            self._threads[job.id] = thread
            thread.start()
        return job

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
        for key in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[key]


class Pending:
    """Requests whose jobs go on without them, kept on disk until their result is delivered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, request: Mapping[str, Any]) -> None:
        """Keep a request."""
        files.write_text(self._folder / f"{key}.json", json.dumps(request))

    def remove(self, key: str) -> None:
        """Forget one that is done with."""
        (self._folder / f"{key}.json").unlink(missing_ok=True)

    def all(self) -> dict[str, dict[str, Any]]:
        """Return those that are kept, by key; a damaged one is deleted."""
        found = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                found[path.stem] = json.loads(path.read_text())
            except (OSError, ValueError):
                log.warning("%s is damaged, and deleted.", path)
                path.unlink(missing_ok=True)
        return found


def _run(job: Job, steps: Steps, closing: threading.Event) -> None:
    """Do a job's steps; what goes wrong becomes its error."""
    state, error = "done", ""
    try:
        work = steps(job.tracked)
        for _ in work:
            if job.stop.is_set() or closing.is_set():
                work.close()  # type: ignore[attr-defined]
                state = "cancelled" if job.stop.is_set() else "left"
                break
    except Sam2PluginsError as problem:
        state, error = "failed", str(problem)
    except Exception as problem:
        log.exception("Job %s failed", job.id)
        state, error = "failed", f"{type(problem).__name__}: {problem}"
    try:
        job.end(state, error)
    except Exception:
        log.exception("The result of job %s could not be delivered", job.id)
