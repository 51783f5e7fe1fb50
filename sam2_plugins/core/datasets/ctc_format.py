"""Names and tables of the Cell Tracking Challenge, for readers, writers and checks.

The format: https://public.celltrackingchallenge.net/documents/Naming%20and%20file%20content%20conventions.pdf
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sam2_plugins.core import files
from sam2_plugins.core.errors import FrameSourceError

TRUTH_TABLE, RESULT_TABLE = "man_track.txt", "res_track.txt"
LARGEST_LABEL = (1 << 16) - 1
LONG = 1000
"""From so many frames on, names have four digits instead of three."""

_NUMBERED = re.compile(r"(?:t|mask|man_track|man_seg)_?(\d{3,})\.tiff?", re.IGNORECASE)


class Track(NamedTuple):
    """A line of a table, "L B E P": first and last frame, and the label of the parent or 0."""

    begin: int
    end: int
    parent: int


def image_name(kind: str, frame: int, frames: int | None) -> str:
    """Return the name of an image (t, mask, man_track, man_seg) of a movie so long."""
    return f"{kind}{frame:0{4 if (frames or 0) >= LONG else 3}d}.tif"


def number_of(path: Path) -> int | None:
    """Return the number of the frame that an image is, or belongs to; None if its name has none."""
    match = _NUMBERED.fullmatch(path.name)
    return int(match[1]) if match else None


def numbered(folder: Path) -> dict[int, Path]:
    """Images of a folder by the number of their frame, in order."""
    if not folder.is_dir():
        return {}
    found = ((number_of(path), path) for path in folder.iterdir())
    return dict(sorted((number, path) for number, path in found if number is not None))


def read_table(path: Path) -> dict[int, Track]:
    """Read a table of tracks by label.

    Raises
    ------
    FrameSourceError
        If it is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [[int(word) for word in line.split()] for line in lines if line.strip()]
        return {label: Track(begin, end, parent) for label, begin, end, parent in rows}
    except (OSError, ValueError) as error:
        raise FrameSourceError(f"{path} is no table of tracks: {error}.") from error


def write_table(path: Path, tracks: Mapping[int, Track] | Iterable[tuple[int, Track]]) -> None:
    """Write a table of tracks in order of label."""
    rows = sorted(dict(tracks).items())
    files.write_text(path, "".join(f"{label} {t.begin} {t.end} {t.parent}\n" for label, t in rows))
