"""The list of videos to track: CSV with a head, or JSON Lines; one video a row.

=========  ========================================================================================
source     Path or URL of the movie. Required.
prompts    A file that `save_prompts` wrote, or its list of prompts itself (in CSV: as JSON text);
           or "all": every object is found and tracked, with newcomers, divisions and ends.
           Required.
name       Of the folder of results; by default that of the source.
direction  forward (default), backward or both.
start      First frame, from 0.
stop       Last frame, included.
axes, channels, limits, z, stream, fps, channels_by
           How to read the movie; arguments of `open_frames`. In CSV, numbers with commas.
=========  ========================================================================================

Relative paths begin at the manifest's folder. An empty cell, or null, is the default.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from sam2_plugins.batch.job import Job
from sam2_plugins.core.errors import Sam2PluginsError, excerpt
from sam2_plugins.core.files import digest_of
from sam2_plugins.core.lineage import AllObjects
from sam2_plugins.core.prompt_files import PromptFile, load_prompts, parse_json, prompts_from_json
from sam2_plugins.core.tracking.schedule import DIRECTIONS

_LONGEST_CELL = 1 << 30
_LONGEST_NAME = 120  # of a folder: file systems take 255 bytes, and files within have names too
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)
"""Names that Windows keeps for devices."""

Row: TypeAlias = "Mapping[str, Any]"

ALL = "all"
"""In place of prompts: every object is tracked."""

READING = ("axes", "channels", "limits", "z", "stream", "fps", "channels_by")
KEYS = ("source", "prompts", "name", "direction", "start", "stop", *READING)


class _Kind(NamedTuple):
    """What a value must be, and its description for messages."""

    words: str
    holds: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_pair(value: Any) -> bool:
    return type(value) is list and len(value) == 2 and all(map(_is_number, value))


def _is_path(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(value.strip()) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


_FRAME = _Kind("the number of a frame, from 0", _is_whole)
_WHOLE = _Kind("a whole number, from 0", _is_whole)
_TEXT = _Kind("a text", lambda value: isinstance(value, str))
_KINDS = {
    "source": _Kind("a path or an address", _is_path),
    "name": _Kind("a text or a number", lambda value: type(value) in (str, int)),
    "direction": _Kind(f"one of {', '.join(DIRECTIONS)}", lambda value: value in DIRECTIONS),
    "start": _FRAME,
    "stop": _FRAME,
    "axes": _TEXT,
    "z": _WHOLE,
    "stream": _WHOLE,
    "channels_by": _TEXT,
    "fps": _Kind("a number above 0", lambda value: _is_number(value) and value > 0),
    "channels": _Kind(
        "a list of whole numbers", lambda value: type(value) is list and all(map(_is_whole, value))
    ),
    "limits": _Kind(
        "two numbers, or two for each channel",
        lambda value: _is_pair(value) or (type(value) is list and all(map(_is_pair, value))),
    ),
}


class ManifestError(Sam2PluginsError):
    """A list of videos that cannot be read."""


def read_manifest(path: str | Path) -> list[Job]:
    """Read a manifest, prompts files included.

    Raises
    ------
    ManifestError
        If it is damaged: the message names the line. All bad lines are listed at once.
    """
    path = Path(path)
    jobs, wrong = [], []
    for number, read in _rows(path):
        try:
            jobs.append(_job(read(), path.parent))
        except (Sam2PluginsError, ValueError, TypeError, OverflowError) as error:
            wrong.append(f"line {number}: {error}")
        except RecursionError:
            wrong.append(f"line {number}: its brackets are nested too deep.")
    if wrong:
        raise ManifestError(f"{path} cannot be used:\n  " + "\n  ".join(wrong))
    if not jobs:
        raise ManifestError(f"{path} lists no video.")
    return _named_apart(jobs, path)


def _rows(path: Path) -> Iterator[tuple[int, Callable[[], Row]]]:
    """Line numbers, and how to read what is there: a bad line is reported with all others."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} is no text in UTF-8: save it again, in a spreadsheet as CSV UTF-8."
        ) from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}.") from error
    if path.suffix.lower() in (".csv", ".tsv"):
        yield from _csv_rows(path, text)
        return
    # Not by splitlines(), which also splits at signs that may stand in a JSON text.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, partial(_json_row, line)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, Callable[[], Row]]]:
    csv.field_size_limit(_LONGEST_CELL)  # a mask as a prompt is long
    # Spreadsheets separate by what their country does not write in numbers.
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    try:
        head = _without_empty_end([name.strip().lower() for name in next(reader, [])])
        unknown = [name for name in head if name not in KEYS]
        if unknown:
            raise ManifestError(
                f"{path} has the column {unknown[0]!r}. Columns are {', '.join(KEYS)}."
            )
        twice = [name for name, times in Counter(head).items() if times > 1]
        if twice:
            raise ManifestError(f"{path} has the column {twice[0]!r} twice.")
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, partial(_csv_row, head, cells)
    except csv.Error as error:
        raise ManifestError(f"{path}, line {reader.line_num} is no CSV: {error}.") from error


def _json_row(line: str) -> Row:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise ManifestError(f"it is no JSON: {error}.") from error
    if not isinstance(row, dict):
        raise ManifestError("it is not an object: JSON Lines has one {…} a line.")
    return row


def _without_empty_end(cells: list[str]) -> list[str]:
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _csv_row(head: list[str], cells: list[str]) -> Row:
    cells = _without_empty_end(cells)
    if len(cells) > len(head):
        raise ManifestError("it has more cells than the head has columns.")
    return {key: _cell(key, text.strip()) for key, text in zip(head, cells, strict=False)}


def _cell(key: str, text: str) -> Any:
    """Read the value of a CSV cell; None if it is empty."""
    if not text:
        return None
    try:
        if key in ("channels", "limits"):
            return [float(part) if key == "limits" else int(part) for part in text.split(",")]
        if key in ("start", "stop", "z", "stream"):
            return int(text)
        if key == "fps":
            return float(text)
    except ValueError as error:
        raise ManifestError(f"{key} is {_KINDS[key].words}, not {excerpt(text)}.") from error
    try:
        return parse_json(text) if key == "prompts" and text.startswith("[") else text
    except ValueError as error:
        raise ManifestError(f"prompts are no JSON: {error}.") from error


def _job(row: Mapping[str, Any], folder: Path) -> Job:
    unknown = [key for key in row if key not in KEYS]
    if unknown:
        raise ManifestError(f"there is no key {unknown[0]!r}. Keys are {', '.join(KEYS)}.")
    given = {key: value for key, value in row.items() if value is not None}
    for key in ("source", "prompts"):
        if key not in given:
            raise ManifestError(f"it has no {key}.")
    for key, value in given.items():
        if key in _KINDS and not _KINDS[key].holds(value):
            raise ManifestError(f"{key} is {_KINDS[key].words}, not {excerpt(repr(value))}.")
    everything = AllObjects() if given["prompts"] == ALL else None
    file = PromptFile(()) if everything else _prompts(given["prompts"], folder)
    return Job(
        name=_safe(str(given.get("name", ""))),
        source=_resolved(given["source"], folder),
        prompts=file.prompts,
        direction=given.get("direction", "forward"),
        start=given.get("start"),
        stop=given.get("stop"),
        reading={key: given[key] for key in READING if key in given},
        lives=file.lives,
        mothers=file.mothers,
        names=file.names,
        made_on=(file.source,) if file.source else (),
        everything=everything,
    )


def _prompts(value: Any, folder: Path) -> PromptFile:
    if isinstance(value, str):
        file = load_prompts(_resolved(value, folder))
    else:
        file = PromptFile(prompts_from_json(value))
    if not file.prompts:
        raise ManifestError("it has no prompt: nothing says what to track.")
    return file


def _resolved(source: str, folder: Path) -> str:
    return source if "://" in source else str(folder.resolve() / Path(source).expanduser())


def _named_apart(jobs: list[Job], manifest: Path) -> list[Job]:
    """Name the jobs that have no name: short where that is unambiguous, else by the whole path."""
    short = [job.name or _safe(_path_of(job.source).stem) for job in jobs]
    count = Counter(_folded(name) for name in short)
    long = [
        name
        if name and (job.name or count[_folded(name)] == 1)
        else _safe("_".join(_below(job.source, manifest))) or f"video-{digest_of(job.source, 8)}"
        for job, name in zip(jobs, short, strict=True)
    ]
    for name, times in Counter(_folded(name) for name in long).items():
        if times > 1:
            raise ManifestError(
                f"{manifest} has {times} videos whose results would be in one folder, {name!r} "
                "(where signs such as / become _, and large and small letters are the same): give "
                "each a name of its own."
            )
    return [replace(job, name=name) for job, name in zip(jobs, long, strict=True)]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _path_of(source: str) -> PurePosixPath:
    return PurePosixPath(urlsplit(source).path if "://" in source else Path(source).as_posix())


def _below(source: str, manifest: Path) -> tuple[str, ...]:
    path = _path_of(source).with_suffix("")
    folder = PurePosixPath(manifest.parent.resolve().as_posix())
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).parts


def _safe(name: str) -> str:
    """Make a name of a folder, visible and on every system; "" if nothing of it is left."""
    name = re.sub(r"[^\w.+=@-]+", "_", name).lstrip("._").rstrip(".")
    return f"{name}_" if _RESERVED.fullmatch(name) else name[:_LONGEST_NAME]
