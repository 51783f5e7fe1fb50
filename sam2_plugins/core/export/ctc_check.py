"""Checks a folder against the rules of the Cell Tracking Challenge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from sam2_plugins.core.datasets.ctc_format import LARGEST_LABEL, RESULT_TABLE, image_name, numbered

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
    problems += _check_names(images)
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


def _check_names(images: list[Path]) -> Iterator[str]:
    expected = {image_name("mask", index, len(images)) for index in range(len(images))}
    for name in sorted(expected - {path.name for path in images}):
        yield f"There is no {name}, though there are {len(images)} images."


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
