"""A file of masks that grows while a movie is tracked, so that a cut-off run can go on.

JSON Lines: one line a result, ``{"frame": 7, "masks": [{"obj": "cell 1", "iou": 0.93, "score": 4.1,
"mask": {"size": [540, 960], "counts": "…"}}]}``, with the mask as COCO run-length encoding. What a
kill left of a last line is ignored.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.files import naming
from sam2_plugins.core.masks import MaskTable, ObjectId, ObjectMask

BLOCK = 25
"""Frames between two syncs to the disk."""


_BEGINS = b'{"frame": '


class MaskJournal:
    """Appends masks to a file.

    Parameters
    ----------
    path
        Made if it is not there. What a kill left of its last line is cut off.

    Raises
    ------
    ExportError
        If another file is there, or nothing can be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        require_journal(self.path)
        with naming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
            self._file.truncate(whole_lines(self.path))
        self._since_sync = 0

    def write(self, frame: int, masks: Mapping[ObjectId, ObjectMask], **about: Any) -> None:
        """Append the masks of a frame, and plain values that belong to it."""
        entries = [_entry(obj, mask) for obj, mask in masks.items()]
        entry = {"frame": frame, **about, "masks": entries}
        with naming(self.path):
            self._file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
            self._file.flush()  # a kill costs nothing then; only a power cut does
            self._since_sync += 1
            if self._since_sync >= BLOCK:
                self.sync()

    def close(self) -> None:
        """Sync the file to the disk, and close it."""
        if not self._file.closed:
            with naming(self.path):
                self.sync()
                self._file.close()

    def sync(self) -> None:
        """Sync the file to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._since_sync = 0


def require_journal(path: Path) -> None:
    """Refuse to write where a file is that holds anything else.

    Raises
    ------
    ExportError
        If there is such a file, or a folder.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(len(_BEGINS))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not _BEGINS.startswith(begins):
        raise ExportError(
            f"{path} is there already, and is no journal of masks: give the journal another name."
        )


def read_journal(path: Path) -> MaskTable[int, ObjectId]:
    """Read what was written; nothing if there is no such file.

    Of several masks of an object on a frame the last one counts.

    Raises
    ------
    ExportError
        If the file is damaged before its last line, or cannot be read.
    """
    return MaskTable((entry["frame"], masks) for entry, masks in read_entries(path))


def read_entries(path: Path) -> Iterator[tuple[dict[str, Any], dict[ObjectId, ObjectMask]]]:
    """Read the lines of `MaskJournal.write`: the frame and its plain values, and masks.

    Raises
    ------
    ExportError
        As `read_journal` does.
    """
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield _read_line(line, f"{path}, line {number}")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read_line(line: bytes, where: str) -> tuple[dict[str, Any], dict[ObjectId, ObjectMask]]:
    try:
        entry = json.loads(line)
        masks = {one["obj"]: _mask(one) for one in entry.pop("masks")}
        return {**entry, "frame": int(entry["frame"])}, masks
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(
            f"{where} is damaged ({error}). Delete the file to track the movie from its beginning."
        ) from error


def whole_lines(path: Path) -> int:
    """Return the number of bytes up to the end of the last whole line."""
    return path.read_bytes().rfind(b"\n") + 1


def _entry(obj: ObjectId, mask: ObjectMask) -> dict[str, Any]:
    """JSON has no nan: values that no model predicted are null."""
    values = {"iou": mask.iou, "score": mask.score}
    known = {key: None if math.isnan(value) else value for key, value in values.items()}
    return {"obj": obj, **known, "mask": mask.to_rle()}


def _mask(entry: Mapping[str, Any]) -> ObjectMask:
    iou, score = (math.nan if entry[key] is None else entry[key] for key in ("iou", "score"))
    return ObjectMask.from_rle(entry["mask"], iou, score)
