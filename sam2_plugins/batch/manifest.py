"""The list of videos to track: CSV with a head, or JSON Lines; one video a row.

=========  ========================================================================================
source     Path or URL of the movie. Required.
prompts    A file that `save_prompts` wrote, or its list of prompts itself (in CSV: as JSON text).
           Required.
name       Of the folder of results; by default what the source is called.
direction  forward (default), backward or both.
start      First frame, from 0.
stop       Last frame, included.
axes, channels, limits, z, stream, fps
           How to read the movie; arguments of `open_frames`. In CSV, numbers with commas.
=========  ========================================================================================

Relative paths begin at the manifest's folder. An empty cell, or null, is the default.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from sam2_plugins.batch.job import Job
from sam2_plugins.core.errors import PromptError, Sam2PluginsError
from sam2_plugins.core.prompt_files import load_prompts, prompts_from_json
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import DIRECTIONS

READING = ("axes", "channels", "limits", "z", "stream", "fps")
KEYS = ("source", "prompts", "name", "direction", "start", "stop", *READING)


class ManifestError(Sam2PluginsError):
    """A list of videos that cannot be read."""


def read_manifest(path: str | Path) -> list[Job]:
    """Read a manifest, prompts files included.

    Raises
    ------
    ManifestError
        If it is damaged: the message names the line. All bad lines are told at once.
    """
    path = Path(path)
    jobs, wrong = [], []
    for number, row in _rows(path):
        try:
            jobs.append(_job(row, path.parent))
        except (ManifestError, PromptError, ValueError, TypeError) as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        raise ManifestError(f"{path} cannot be used:\n  " + "\n  ".join(wrong))
    if not jobs:
        raise ManifestError(f"{path} lists no video.")
    return _named_apart(jobs, path)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line numbers and rows."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(text.splitlines(keepends=True))
        unknown = [name for name in reader.fieldnames or () if name not in KEYS]
        if unknown:
            raise ManifestError(
                f"{path} has the column {unknown[0]!r}. Columns are {', '.join(KEYS)}."
            )
        for row in reader:
            yield reader.line_num, {key: _cell(key, value) for key, value in row.items()}
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise ManifestError(f"{path}, line {number} is no JSON: {error}.") from error
            if not isinstance(entry, dict):
                raise ManifestError(f"{path}, line {number} is not an object.")
            yield number, entry


def _cell(key: str | None, text: Any) -> Any:
    """Read the value of a CSV cell; None if it is empty."""
    if key is None:
        raise ManifestError("A line has more cells than the head has columns.")
    if not text or not text.strip():
        return None
    text = text.strip()
    if key in ("channels", "limits"):
        return [float(part) if key == "limits" else int(part) for part in text.split(",")]
    if key in ("start", "stop", "z", "stream"):
        return int(text)
    if key == "fps":
        return float(text)
    return json.loads(text) if key == "prompts" and text.startswith("[") else text


def _job(row: Mapping[str, Any], folder: Path) -> Job:
    unknown = [key for key in row if key not in KEYS]
    if unknown:
        raise ManifestError(f"there is no key {unknown[0]!r}. Keys are {', '.join(KEYS)}.")
    given = {key: value for key, value in row.items() if value is not None}
    for key in ("source", "prompts"):
        if key not in given:
            raise ManifestError(f"it has no {key}.")
    direction = given.get("direction", "forward")
    if direction not in DIRECTIONS:
        raise ManifestError(f"direction is one of {', '.join(DIRECTIONS)}, not {direction!r}.")
    for key in ("start", "stop"):
        if not isinstance(given.get(key, 0), int):
            raise ManifestError(f"{key} is the number of a frame, not {given[key]!r}.")
    return Job(
        name=_safe(str(given.get("name", ""))),
        source=_resolved(str(given["source"]), folder),
        prompts=_prompts(given["prompts"], folder),
        direction=direction,
        start=given.get("start"),
        stop=given.get("stop"),
        reading={key: given[key] for key in READING if key in given},
    )


def _prompts(value: Any, folder: Path) -> tuple[Prompt, ...]:
    if isinstance(value, str):
        prompts = load_prompts(_resolved(value, folder)).prompts
    else:
        prompts = prompts_from_json(value)
    if not prompts:
        raise ManifestError("it has no prompt: nothing says what to track.")
    return prompts


def _resolved(source: str, folder: Path) -> str:
    return source if "://" in source else str(folder.resolve() / source)


def _named_apart(jobs: list[Job], manifest: Path) -> list[Job]:
    """Name the jobs that have no name: short where that is unambiguous, else by the whole path."""
    short = [job.name or _safe(_path_of(job.source).stem) for job in jobs]
    count = Counter(short)
    long = [
        name if job.name or count[name] == 1 else _safe("_".join(_below(job.source, manifest)))
        for job, name in zip(jobs, short, strict=True)
    ]
    for name, times in Counter(long).items():
        if times > 1:
            raise ManifestError(
                f"{manifest} has {times} videos called {name!r}: give each a name of its own."
            )
    return [replace(job, name=name) for job, name in zip(jobs, long, strict=True)]


def _path_of(source: str) -> PurePosixPath:
    return PurePosixPath(urlsplit(source).path if "://" in source else Path(source).as_posix())


def _below(source: str, manifest: Path) -> tuple[str, ...]:
    path = _path_of(source).with_suffix("")
    folder = PurePosixPath(manifest.parent.resolve().as_posix())
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).parts


def _safe(name: str) -> str:
    """Make a name of a folder, visible and on every system."""
    return re.sub(r"[^\w.+=@-]+", "_", name).lstrip("._")
