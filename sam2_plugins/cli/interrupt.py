"""Ctrl-C, `kill` and a closed terminal end work between two frames, not in the midst of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sam2_plugins.cli.console import say
from sam2_plugins.core.operating_system import handling


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

    with handling(request):
        yield stop
