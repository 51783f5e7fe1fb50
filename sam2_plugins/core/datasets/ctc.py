"""The Cell Tracking Challenge: `01/` beside `01_GT/` (and `01_ST/`), label images and a table.

    01/t000.tif    01_GT/TRA/man_track000.tif    01_GT/TRA/man_track.txt
    01_GT/SEG/man_seg000.tif    01_ST/SEG/man_seg000.tif    01_RES/mask000.tif

TRA marks every cell on every frame; SEG outlines cells on some frames, and its labels are not
those of the tracks. So each outline takes the label of the marker that covers most of it. Frames
are annotated that have gold outlines (GT), or silver ones (ST) where no gold is; where a dataset
has neither, the markers are the truth, and where there are none, a result that was corrected (RES).

The format: https://public.celltrackingchallenge.net/documents/Naming%20and%20file%20content%20conventions.pdf
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from sam2_plugins.core import files
from sam2_plugins.core.datasets.dataset import Dataset, label_files
from sam2_plugins.core.datasets.label_stacks import read_labels
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import list_images, natural_sorted
from sam2_plugins.core.masks import label_dtype, split_label_image
from sam2_plugins.core.masks.label_images import most_frequent

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


def find(folder: Path) -> list[Dataset]:
    """Open every annotated sequence, in order of name."""
    if not folder.is_dir():
        return []
    names = {
        name.removesuffix(suffix)
        for suffix in ("_GT", "_ST", "_RES")
        for name in (path.name for path in folder.glob(f"*{suffix}") if path.is_dir())
    }
    return [_load(folder, name) for name in natural_sorted(names) if _is_annotated(folder / name)]


def write(
    folder: Path,
    sequence: str,
    images: Iterable[NDArray[Any]],
    labels: Iterable[NDArray[Any]],
    parents: Mapping[int, int] | None = None,
) -> None:
    """Write a sequence with gold truth: images, markers and outlines alike, and the table.

    Raises
    ------
    FrameSourceError
        If a label does not fit the 16 bits of the format.
    """
    truth = folder / f"{sequence}_GT"
    spans: dict[int, tuple[int, int]] = {}
    for part in (folder / sequence, truth / "TRA", truth / "SEG"):
        part.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        path = folder / sequence / image_name("t", index, None)
        tifffile.imwrite(path, image, compression="zlib")
    for index, image in enumerate(labels):
        if image.max(initial=0) > LARGEST_LABEL:
            raise FrameSourceError(
                f"{truth}: label {image.max()} of frame {index} does not fit 16 bits, which this "
                "format has: number the objects anew."
            )
        for kind, name in (("TRA", "man_track"), ("SEG", "man_seg")):
            path = truth / kind / image_name(name, index, None)
            tifffile.imwrite(path, image.astype(np.uint16), compression="zlib")
        for label in np.unique(image[image > 0]).tolist():
            spans[label] = (spans.get(label, (index, index))[0], index)
    mothers = parents or {}
    tracks = {label: Track(*span, mothers.get(label, 0)) for label, span in spans.items()}
    write_table(truth / "TRA" / TRUTH_TABLE, tracks)


def results(folder: Path) -> Sequence[NDArray[Any]] | None:
    """Open the label images of a results folder; None if it is none."""
    images = {number: path for number, path in numbered(folder).items() if "mask" in path.name}
    if not images:
        return None
    return label_files([images.get(frame) for frame in range(max(images) + 1)], read_labels)


def _is_annotated(sequence: Path) -> bool:
    truth, silver, result = (
        sequence.with_name(f"{sequence.name}_{k}") for k in ("GT", "ST", "RES")
    )
    if any((truth / part).is_dir() for part in ("TRA", "SEG")) or (silver / "SEG").is_dir():
        return True
    return sequence.is_dir() and bool(numbered(result))


def _load(folder: Path, sequence: str) -> Dataset:
    frames, truth = folder / sequence, folder / f"{sequence}_GT"
    images = list_images(frames) if frames.is_dir() else []
    if not images:
        raise FrameSourceError(f"{frames} has no frames t000.tif … beside {truth.name}.")
    # The truth of t012.tif is man_seg012.tif, wherever its numbers begin, and whichever is missing.
    places = {n: at for at, path in enumerate(images) if (n := number_of(path)) is not None}
    length = len(images)

    def placed(part: Path) -> dict[int, Path]:
        named = numbered(part)
        return {places[n]: named[n] for n in named if n in places} if places else named

    markers, gold = placed(truth / "TRA"), placed(truth / "SEG")
    result = folder / f"{sequence}_RES"
    outlines = {**placed(folder / f"{sequence}_ST" / "SEG"), **gold}
    shown = outlines or markers or placed(result)
    annotated = tuple(sorted(frame for frame in shown if frame < length))
    if not annotated:
        raise FrameSourceError(f"{truth} has neither markers in TRA/ nor outlines in SEG/.")
    marked = {path: markers[frame] for frame, path in outlines.items() if frame in markers}

    def read_frame(path: Path) -> NDArray[Any]:
        labels = read_labels(path)
        return named_after(labels, read_labels(marked[path])) if path in marked else labels

    tables = (truth / "TRA" / TRUTH_TABLE, result / RESULT_TABLE)
    tracks = next((read_table(table) for table in tables if table.is_file()), {})
    return Dataset(
        name=f"{folder.name}-{sequence}",
        folder=truth if truth.is_dir() else folder,
        frames=frames,
        layout="ctc",
        read=lambda: label_files([shown.get(frame) for frame in range(length)], read_frame),
        kind="microscopy",
        annotated=None if len(annotated) == length else annotated,
        prompt_frame=annotated[0],
        meta={"parents": {label: t.parent for label, t in tracks.items() if t.parent}},
    )


def named_after(outlines: NDArray[Any], markers: NDArray[Any]) -> NDArray[Any]:
    """Give each outline the label of the marker that covers most of it; leave out those without.

    Outlines of one marker are parts of one cell.
    """
    named = np.zeros(outlines.shape, label_dtype(int(markers.max(initial=0))))
    for mask in split_label_image(outlines).values():
        mask.paste_into(named, most_frequent(markers[mask.slices][mask.crop])[0])
    return named
