"""The Cell Tracking Challenge: `01/` beside `01_GT/` (and `01_ST/`), label images and a table.

    01/t000.tif    01_GT/TRA/man_track000.tif    01_GT/TRA/man_track.txt
    01_GT/SEG/man_seg000.tif    01_ST/SEG/man_seg000.tif

TRA marks every cell on every frame; SEG outlines cells on some frames, and its labels are not
those of the tracks. So each outline takes the label of the marker that covers most of it. Frames
are scored that have gold outlines (GT), or silver ones (ST) where no gold is; where a dataset has
neither, the markers are the truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from sam2_plugins.core import files
from sam2_plugins.core.datasets.dataset import Dataset, LabelFiles
from sam2_plugins.core.datasets.label_stacks import read_labels
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.masks import compose_label_image, split_label_image

_NUMBERED = re.compile(r"(?:t|mask|man_track|man_seg)(\d{3,4})\.tif")
TABLE = "man_track.txt"


def find(folder: Path) -> list[Dataset]:
    """Open every sequence with ground truth, in order of name."""
    truths = sorted(path for path in folder.glob("*_GT") if (path / "TRA").is_dir())
    return [_load(path) for path in truths]


def write(
    folder: Path,
    sequence: str,
    images: Iterable[NDArray[Any]],
    labels: Iterable[NDArray[Any]],
    parents: Mapping[int, int] | None = None,
) -> None:
    """Write a sequence with gold truth: images, markers and outlines alike, and the table."""
    truth = folder / f"{sequence}_GT"
    spans: dict[int, tuple[int, int]] = {}
    for part in (folder / sequence, truth / "TRA", truth / "SEG"):
        part.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        tifffile.imwrite(folder / sequence / f"t{index:03d}.tif", image, compression="zlib")
    for index, image in enumerate(labels):
        for kind, name in (("TRA", "man_track"), ("SEG", "man_seg")):
            path = truth / kind / f"{name}{index:03d}.tif"
            tifffile.imwrite(path, image.astype(np.uint16), compression="zlib")
        for label in np.unique(image[image > 0]).tolist():
            spans[label] = (spans.get(label, (index, index))[0], index)
    lines = [f"{one} {a} {b} {(parents or {}).get(one, 0)}\n" for one, (a, b) in spans.items()]
    files.write_text(truth / "TRA" / TABLE, "".join(sorted(lines, key=_label)))


def read_tracks(path: Path) -> dict[int, tuple[int, int, int]]:
    """Read a table "L B E P": label to first frame, last frame and parent (0: none)."""
    try:
        rows = [[int(word) for word in line.split()] for line in path.read_text().splitlines()]
        return {label: (begin, end, parent) for label, begin, end, parent in rows}
    except (OSError, ValueError) as error:
        raise FrameSourceError(f"{path} is no table of tracks: {error}.") from error


def _load(truth: Path) -> Dataset:
    sequence = truth.name.removesuffix("_GT")
    frames = truth.parent / sequence
    length = len(_numbered(frames))
    if not length:
        raise FrameSourceError(f"{frames} has no frames t000.tif … beside {truth.name}.")
    markers, gold = _numbered(truth / "TRA"), _numbered(truth / "SEG")
    silver = _numbered(truth.parent / f"{sequence}_ST" / "SEG")
    outlines = {**silver, **gold}
    annotated = tuple(sorted(outlines or markers))
    if not annotated:
        raise FrameSourceError(f"{truth} has neither markers in TRA/ nor outlines in SEG/.")
    table = truth / "TRA" / TABLE
    tracks = read_tracks(table) if table.is_file() else {}

    def read_frame(path: Path) -> NDArray[Any]:
        labels = read_labels(path)
        if not outlines:
            return labels
        marker = markers.get(_number(path))
        return labels if marker is None else named_after(labels, read_labels(marker))

    shown = outlines or markers
    return Dataset(
        name=f"{truth.parent.name}-{sequence}",
        folder=truth,
        frames=frames,
        layout="ctc",
        read=lambda: LabelFiles([shown.get(frame) for frame in range(length)], read_frame),
        kind="microscopy",
        annotated=None if len(annotated) == length else annotated,
        prompt_frame=annotated[0],
        meta={"parents": {one: parent for one, (_, _, parent) in tracks.items() if parent}},
    )


def named_after(outlines: NDArray[Any], markers: NDArray[Any]) -> NDArray[Any]:
    """Give each outline the label of the marker that covers most of it; leave out those without."""
    named = {}
    for mask in split_label_image(outlines).values():
        under = markers[mask.slices][mask.crop]
        counts = np.bincount(under[under > 0].astype(np.int64))
        if counts.size:
            named[int(counts.argmax())] = mask
    return compose_label_image(named, (outlines.shape[0], outlines.shape[1]), np.uint16)


def _numbered(folder: Path) -> dict[int, Path]:
    """Files by number, in order."""
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if _NUMBERED.fullmatch(path.name))
    return {_number(path): path for path in files}


def _number(path: Path) -> int:
    match = _NUMBERED.fullmatch(path.name)
    return int(match[1]) if match else -1


def _label(line: str) -> int:
    return int(line.split()[0])
