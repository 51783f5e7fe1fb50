"""What people see: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

# Names of objects and files are shown as they are, be there brackets or colons in them; and in a
# file or a pipe there is no edge to fit a table to.
_WIDTH = None if sys.stdout and sys.stdout.isatty() else 160
OUT = Console(width=_WIDTH, markup=False, emoji=False)
ERR = Console(stderr=True, highlight=False, markup=False, emoji=False)

_TERMINALS = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]


def say(text: str) -> None:
    """Print a message that is no result."""
    try:
        typer.echo(text, err=True)
    except OSError:
        # The terminal was closed, and the work shall end well: further output is discarded.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in _TERMINALS:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


def print_json(value: Any) -> None:
    """Print a value as JSON; what is not a number becomes null."""
    typer.echo(to_json(value))


def to_json(value: Any) -> str:
    """Return a value as JSON; what is not a number becomes null."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(_plain(value), ensure_ascii=not utf8, indent=2, allow_nan=False)


def table(words: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """Make an empty table with columns of words on the left, and of numbers after them."""
    made = Table(*words, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in numbers:
        made.add_column(name, justify="right", no_wrap=True)
    return made


def number(value: float | None, form: str = ".3f") -> str:
    """Return a number for a table; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else format(value, form)


def bars(*columns: ProgressColumn) -> Progress:
    """Make bars that begin with what is done, and end with columns of one's own."""
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), *columns, console=ERR
    )


def times() -> tuple[ProgressColumn, ...]:
    """Return the columns of the time that has passed and the time that is left."""
    return TimeElapsedColumn(), TextColumn("·"), TimeRemainingColumn()


def frames_progress(unit: str = "frames") -> Progress:
    """Show how many frames, or other things, are done."""
    return bars(MofNCompleteColumn(), TextColumn(unit), *times())


class DownloadBar:
    """Shows how many bytes are here, from the first ones on: often there is nothing to download."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def __call__(self, done: int, total: int | None) -> None:
        """Show bytes done, and of how many if that is known."""
        if self._progress is None:
            self._progress = bars(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._task = self._progress.add_task(f"Downloading {self._what}")
            self._progress.start()
        self._progress.update(self._task, completed=done, total=total)

    def __enter__(self) -> DownloadBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
