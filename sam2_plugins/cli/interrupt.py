"""Ctrl-C between two frames instead of in the middle of a file."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sam2_plugins.cli.console import say


class Stop:
    """Whether the person wants to stop."""

    requested = False


@contextmanager
def stopping_gently() -> Iterator[Stop]:
    """Let the first Ctrl-C ask to stop, which the work looks up; the second one stops at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        say("\nStopping after this frame; what is done is kept. Ctrl-C again stops at once.")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
