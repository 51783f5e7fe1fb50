"""Long work: in a thread of napari's, or at once."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

Steps = Callable[[], Generator[T, None, None]]
Done = Callable[[bool], None]
Failed = Callable[[Exception], None]


class Handle(Protocol):
    """A run that can be stopped."""

    def stop(self) -> None:
        """Stop at the next step; earlier steps are kept."""


class Jobs(Protocol):
    """Where work runs; callbacks come in the thread of the viewer."""

    def stream(
        self, work: Steps[T], each: Callable[[T], None], done: Done, failed: Failed
    ) -> Handle:
        """Run all steps; at the end call `done` with whether it was stopped."""

    def call(self, work: Callable[[], T], done: Callable[[T], None], failed: Failed) -> None:
        """Do one thing."""
        results: list[T] = []

        def steps() -> Generator[T, None, None]:
            results.append(work())
            yield from ()

        def over(_: bool) -> None:
            for result in results:  # none, if it was stopped before it began
                done(result)

        self.stream(steps, lambda _: None, over, failed)


class AtOnce(Jobs):
    """Work that is done before the call returns: for scripts, and tests without Qt."""

    def stream(
        self, work: Steps[T], each: Callable[[T], None], done: Done, failed: Failed
    ) -> Handle:
        """Do all steps."""
        try:
            for step in work():
                each(step)
        except Exception as error:
            failed(error)
        else:
            done(False)
        return _Over()


class _Over:
    def stop(self) -> None:
        """All is done already."""


class InThreads(Jobs):
    """Work in threads of napari's, which the viewer ends when it is closed."""

    def __init__(self) -> None:
        self._workers: dict[Any, _Stop] = {}

    def stream(
        self, work: Steps[T], each: Callable[[T], None], done: Done, failed: Failed
    ) -> Handle:
        """Do the steps in a thread."""
        from napari.qt.threading import GeneratorWorker

        stop = _Stop()

        def steps() -> Generator[T, None, None]:
            if stop.wanted:
                return
            # Closed in this thread, so that files are written before the work counts as over.
            with closing(work()) as results:
                for step in results:
                    yield step
                    if stop.wanted:
                        return

        worker: Any = GeneratorWorker(steps)
        worker.yielded.connect(each)
        worker.returned.connect(lambda _: done(stop.wanted))
        worker.aborted.connect(lambda: done(True))
        worker.errored.connect(failed)
        worker.finished.connect(lambda: self._workers.pop(worker, None))
        self._workers[worker] = stop
        worker.start()
        return stop

    @property
    def busy(self) -> bool:
        """Whether any work goes on."""
        return bool(self._workers)

    def close(self) -> None:
        """Stop all work, and call no callback any more."""
        for worker, stop in self._workers.items():
            with suppress(RuntimeError):  # Qt has deleted them, as napari is closed
                for signal in (worker.returned, worker.yielded, worker.aborted, worker.errored):
                    signal.disconnect()
            stop.stop()
        self._workers.clear()


class _Stop:
    wanted = False

    def stop(self) -> None:
        """Stop after the next step."""
        self.wanted = True
