"""A results folder of the Cell Tracking Challenge, written and checked.

One 16-bit label image per frame, and `res_track.txt` with a line "L B E P" per track: its label,
its first and last frame, and the label of its parent, or 0. A track has no gap, and a parent ends
before its daughters begin. `core.datasets.ctc` has the names and the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from sam2_plugins.core.datasets.ctc import (
    LARGEST_LABEL,
    LONG,
    RESULT_TABLE,
    Track,
    image_name,
    numbered,
    write_table,
)
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export.registry import Masks, Subject, export_format
from sam2_plugins.core.files import naming
from sam2_plugins.core.masks import ObjectId, compose_label_image


@dataclass
class _Track:
    label: int
    begin: int
    end: int
    parent: int


@export_format("ctc", "ctc", "Cell Tracking Challenge folder")
class CtcWriter:
    """Writes a Cell Tracking Challenge folder, image by image, and the table at the end.

    The format's rules are kept for any result. An object that comes back after a gap goes on as a
    new track whose parent is the old one. A mother that is still seen when her daughter appears
    goes on as a new track too, so that the one which divided ends before. An object that others
    cover completely does not count as seen on that frame.

    Parameters
    ----------
    path
        The folder. Label images and a table that it holds from before are removed.
    of
        Its numbering has the label of each object's first track. One that 16 bits do not hold is
        numbered anew.

    Raises
    ------
    ExportError
        If the folder cannot be written, or there are more tracks than 16 bits can number.
    """

    def __init__(self, path: Path, of: Subject) -> None:
        self.path = Path(path)
        self.frame_size = of.size
        self._n_frames = of.frames.length or 0
        self._numbering = of.numbering
        self._parents = of.parents
        self._tracks: dict[ObjectId, list[_Track]] = {}
        self._planned: dict[ObjectId, int] = {}  # labels of tracks that have not been shown yet
        self._next = 0
        self._closed = False
        self.notes: list[str] = []
        """Parents that had to be left out."""
        with naming(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for old in (*self.path.glob("mask*.tif"), *self.path.glob(RESULT_TABLE)):
                old.unlink()

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Write a label image; frames that were left out before it get empty ones."""
        while self._next < frame:
            self._write_image(np.zeros(self.frame_size, np.uint16))
        seen = [obj for obj, mask in masks.items() if mask.visible]
        dividing = {self._parents.get(obj) for obj in seen if obj not in self._tracks}
        labels = {obj: self._label(obj, frame, obj in dividing) for obj in seen}
        labelled = {label: masks[obj] for obj, label in labels.items()}
        try:
            image = compose_label_image(labelled, self.frame_size, np.uint16)
        except ValueError as error:
            raise ExportError(
                f"{self.path}, frame {frame}: {error} This format has 16 bits."
            ) from error
        self._write_image(image)
        shown = set(np.unique(image).tolist())
        for obj, label in labels.items():
            if label in shown:
                self._see(obj, label, frame)

    def close(self) -> None:
        """Write the table of tracks."""
        if self._closed:
            return
        tracks = [track for tracks in self._tracks.values() for track in tracks]
        rows = {t.label: Track(t.begin, t.end, t.parent) for t in tracks}
        write_table(self.path / RESULT_TABLE, rows)
        self._closed = True

    def _label(self, obj: ObjectId, frame: int, divides: bool) -> int:
        """Label of an object on a frame: that of its track, or of a new one."""
        tracks = self._tracks.get(obj)
        if tracks and tracks[-1].end == frame - 1 and not divides:
            return tracks[-1].label
        if obj not in self._planned:
            own = self._numbering.label(obj)
            fits = not tracks and own <= LARGEST_LABEL
            self._planned[obj] = own if fits else self._numbering.fresh()
        return self._planned[obj]

    def _see(self, obj: ObjectId, label: int, frame: int) -> None:
        tracks = self._tracks.setdefault(obj, [])
        if tracks and tracks[-1].label == label:
            tracks[-1].end = frame
            return
        del self._planned[obj]
        before = tracks or self._tracks.get(self._parents.get(obj, obj), [])
        ended = [track.label for track in before if track.end < frame]
        if not tracks and not ended and obj in self._parents:
            self.notes.append(
                f"Object {obj} has no parent in the table: object {self._parents[obj]} is not seen "
                f"before frame {frame}, on which it begins."
            )
        tracks.append(_Track(label, frame, frame, ended[-1] if ended else 0))

    def _write_image(self, image: np.ndarray) -> None:
        with naming(self.path):
            if self._n_frames < LONG <= self._next + 1:
                renamed = [(self._image_path(index), index) for index in range(self._next)]
                self._n_frames = LONG
                for old, index in renamed:
                    old.rename(self._image_path(index))
            tifffile.imwrite(self._image_path(self._next), image, compression="zlib")
        self._next += 1

    def _image_path(self, index: int) -> Path:
        return self.path / image_name("mask", index, self._n_frames)


Tracks = dict[int, tuple[int, int, int]]


def check_ctc(folder: str | Path) -> list[str]:
    """Check a results folder.

    Returns
    -------
    list of str
        What is wrong, a sentence each; empty if the folder is right.
    """
    folder = Path(folder)
    table = folder / RESULT_TABLE
    images = [path for path in numbered(folder).values() if path.name.startswith("mask")]
    if not table.is_file():
        return [f"There is no {RESULT_TABLE} in {folder}."]
    if not images:
        return [f"There is no mask000.tif in {folder}."]
    problems: list[str] = []
    tracks = _read_table(table, problems)
    problems += _check_table(tracks, len(images))
    expected = {image_name("mask", index, len(images)) for index in range(len(images))}
    for name in sorted(expected - {path.name for path in images}):
        problems.append(f"There is no {name}, though there are {len(images)} images.")
    problems += _check_images(images, tracks)
    return problems


def _read_table(path: Path, problems: list[str]) -> Tracks:
    tracks: Tracks = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{path.name}, line {number}"
        try:
            label, begin, end, parent = (int(part) for part in line.split())
        except ValueError:
            problems.append(f'{where}: "{line}" is not four whole numbers L B E P.')
            continue
        if label < 1 or label > LARGEST_LABEL:
            problems.append(f"{where}: label {label} is not between 1 and 65535.")
        if label in tracks:
            problems.append(f"{where}: label {label} is there twice.")
        tracks[label] = begin, end, parent
    return tracks


def _check_table(tracks: Tracks, n_frames: int) -> Iterator[str]:
    for label, (begin, end, parent) in tracks.items():
        if not 0 <= begin <= end < n_frames:
            yield f"Track {label}: frames {begin} to {end} are not within 0 to {n_frames - 1}."
        if parent == 0:
            continue
        if parent not in tracks:
            yield f"Track {label}: its parent {parent} is not in the table."
        elif tracks[parent][1] >= begin:
            yield (
                f"Track {label} begins on frame {begin}, but its parent {parent} ends on frame "
                f"{tracks[parent][1]}: a parent ends before."
            )


def _check_images(images: list[Path], tracks: Tracks) -> Iterator[str]:
    size = None
    for frame, path in enumerate(images):
        try:
            image = tifffile.imread(path)
        except (tifffile.TiffFileError, OSError, ValueError) as error:
            yield f"{path.name} cannot be read: {error}."
            continue
        if image.dtype != np.uint16:
            yield f"{path.name} is {image.dtype}, not uint16."
        size = size or image.shape
        if image.shape != size:
            yield f"{path.name} is {image.shape}, but the first image is {size}."
        shown = {int(label) for label in np.unique(image)} - {0}
        due = {label for label, (begin, end, _) in tracks.items() if begin <= frame <= end}
        for label in sorted(shown - due):
            yield f"{path.name}: label {label} is shown, but the table has it not on this frame."
        for label in sorted(due - shown):
            yield f"{path.name}: label {label} is missing, though the table has it on this frame."
