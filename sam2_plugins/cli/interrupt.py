"""Ctrl-C, `kill` and a closed terminal end work between two frames, not in the midst of a file."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from sam2_plugins.cli.console import say
from sam2_plugins.core.operating_system import stop_signals

Handler = Callable[[int, "FrameType | None"], None]


class Stop:
    """Whether the person wants to stop."""

    requested = False


@contextmanager
def stopping_gently() -> Iterator[Stop]:
    """Let the first signal request a stop, which the work looks up; the second stops at once."""
    stop = Stop()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        say("\nStopping after this frame; what is done is kept. Ctrl-C again stops at once.")

    with _handling(request):
        yield stop


@contextmanager
def stop_signals_as_ctrl_c() -> Iterator[None]:
    """Let `kill` and a closed terminal end a command as Ctrl-C does, so that it can clean up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


@contextmanager
def _handling(handler: Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    before = {one: signal.signal(one, handler) for one in stop_signals()}
    try:
        yield
    finally:
        for one, old in before.items():
            signal.signal(one, old)
