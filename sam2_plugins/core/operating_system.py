"""Everything that differs between Linux, macOS and Windows, in one place and without torch."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any


def peak_megabytes() -> float:
    """Return the most memory that this process has used; nan where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return _peak_of_windows()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _peak_of_windows() -> float:
    with contextlib.suppress(ImportError, AttributeError):
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    return math.nan


def used_megabytes() -> int | None:
    """Return the memory that this process has in use; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def lower_priority() -> None:
    """Let other processes of this machine go first, where the system has such an order."""
    if hasattr(os, "nice"):
        os.nice(5)


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end a program: Ctrl-C, `kill`, a closed terminal or console.

    Those that this process was started to ignore, as under `nohup`, are not among them.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    known = [signal.Signals[name] for name in names if hasattr(signal, name)]
    return tuple(one for one in known if signal.getsignal(one) != signal.SIG_IGN)


@contextlib.contextmanager
def signals_later() -> Iterator[None]:
    """Keep Ctrl-C and a closed terminal waiting, for us and for processes that begin meanwhile.

    A terminal sends both to all of its processes: those are stopped by the one that started them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which would let them through again when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def handling(handler: Any, spared: tuple[signal.Signals, ...] = ()) -> Iterator[None]:
    """Handle the stop signals, but for some, for a while; they reach the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, handler) for one in stop_signals() if one not in spared}
    try:
        yield
    finally:
        for one, old in before.items():
            signal.signal(one, old)


def release_memory() -> None:
    """Give free memory back to the system, where that does not happen by itself.

    glibc keeps it between tensors that are still in use, and takes more for the next ones.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
