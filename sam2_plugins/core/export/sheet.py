"""A contact sheet: a few frames of a movie on one page, with the masks drawn on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from sam2_plugins.core import files
from sam2_plugins.core.export.overlay import Picture, font, overlay, printable
from sam2_plugins.core.export.registry import Masks, Numbering, Subject, export_format
from sam2_plugins.core.masks import PixelBox

_PAGE_PX = 1600  # width of a page
_GAP = 12
_TITLE_PX, _CAPTION_PX = 24, 15
_PAPER, _INK, _FAINT = (255, 255, 255), (25, 28, 33), (105, 110, 118)


@dataclass(frozen=True)
class Snapshot:
    """One frame for the sheet: index, seconds, uint8 image and masks by object."""

    frame: int
    time: float
    image: np.ndarray
    masks: Masks


def contact_sheet(
    snapshots: Sequence[Snapshot],
    title: str = "",
    numbering: Numbering | None = None,
    columns: int | None = None,
    zoom: bool = True,
) -> Picture:
    """Lay frames out on a page.

    Parameters
    ----------
    snapshots
        At least one, all of one size.
    title
        First line of the page.
    columns
        Frames per row; chosen for a page that is wider than high if None.
    zoom
        Show only the part of the frames where the objects are, if it is much smaller.

    Returns
    -------
    NDArray
        uint8 [h, w, 3], about 1,600 pixels wide.
    """
    if not snapshots:
        raise ValueError("A contact sheet needs at least one frame.")
    numbering = numbering or Numbering(obj for shot in snapshots for obj in shot.masks)
    view = _view(snapshots, zoom)
    aspect = (view[2] - view[0]) / (view[3] - view[1])
    columns = columns or _columns(len(snapshots), aspect)
    rows = math.ceil(len(snapshots) / columns)
    cell_width = (_PAGE_PX - _GAP * (columns + 1)) // columns
    scale = cell_width / (view[2] - view[0])
    pictures = [overlay(s.image, s.masks, numbering, scale, view) for s in snapshots]
    cell_height, cell_width = pictures[0].shape[:2]

    top = _GAP + (_TITLE_PX + _GAP if title else 0)
    step_x, step_y = cell_width + _GAP, cell_height + _CAPTION_PX + 10 + _GAP
    page = Image.new("RGB", (_GAP + columns * step_x, top + rows * step_y), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_GAP, _GAP), printable(title, 100), _INK, font(_TITLE_PX))
    for index, (shot, picture) in enumerate(zip(snapshots, pictures, strict=True)):
        row, column = divmod(index, columns)
        x, y = _GAP + column * step_x, top + row * step_y
        page.paste(Image.fromarray(picture), (x, y))
        y += cell_height + 5
        draw.text((x, y), f"frame {shot.frame}", _INK, font(_CAPTION_PX))
        if math.isfinite(shot.time):
            end, when = (x + cell_width, y), _clock(shot.time)
            draw.text(end, when, _FAINT, font(_CAPTION_PX), anchor="ra")
    return np.array(page)


@export_format("png", "contact_sheet.png", "Contact sheet (PNG)", has_pictures=True)
class ContactSheetWriter:
    """Keeps results at even distances for a movie of any length, and lays some out.

    Images of a stream are kept as they pass, at most twice as many as the sheet has; others are
    read again at the end. Where the frames' times are unknown, none are written.

    Parameters
    ----------
    n
        Number of frames on the sheet.
    """

    def __init__(self, path: Path, of: Subject, n: int = 12) -> None:
        self.path = Path(path)
        self._frames = of.frames
        self._numbering = of.numbering
        self._n = n
        self._title = of.frames.name if of.title is None else of.title
        self._passing = not of.frames.seekable
        # The more there are to choose from, the more even are the distances.
        self._capacity = n * (2 if self._passing else 32)
        self._kept: list[_Result] = []
        self._latest: _Result | None = None
        self._stride = 1
        self._seen = 0

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Keep the result if its turn has come."""
        for obj in masks:
            self._numbering.label(obj)
        image = np.asarray(self._frames[frame].image) if self._passing else None
        self._latest = _Result(frame, time, dict(masks), image)
        if self._seen % self._stride == 0:
            self._kept.append(self._latest)
        if len(self._kept) == self._capacity:
            self._kept = self._kept[::2]
            self._stride *= 2
        self._seen += 1

    def close(self) -> None:
        """Lay out the sheet and save it."""
        if self._latest is None:
            return
        if self._kept[-1] is not self._latest:
            self._kept.append(self._latest)
        wanted = np.linspace(0, len(self._kept) - 1, min(self._n, len(self._kept))).round()
        chosen = [self._snapshot(self._kept[int(index)]) for index in wanted]
        self._kept, self._latest = [], None
        sheet = contact_sheet(chosen, self._title, self._numbering)
        with files.replacing(self.path) as temporary:
            Image.fromarray(sheet).save(temporary)

    def _snapshot(self, kept: _Result) -> Snapshot:
        image = kept.image
        if image is None:
            image = np.asarray(self._frames[kept.frame].image)
        time = math.nan if self._frames.fps is None else kept.time
        return Snapshot(kept.frame, time, image, kept.masks)


class _Result(NamedTuple):
    frame: int
    time: float
    masks: Masks
    image: np.ndarray | None


def _view(snapshots: Sequence[Snapshot], zoom: bool) -> PixelBox:
    """Part of the frames to show."""
    height, width = snapshots[0].image.shape[:2]
    boxes = [mask.box for shot in snapshots for mask in shot.masks.values() if mask.box]
    if not boxes or not zoom:
        return 0, 0, width, height
    sides = np.array(boxes)
    low, high = sides[:, :2].min(axis=0), sides[:, 2:].max(axis=0)
    # Some ground around the objects, and a shape that is neither a strip nor a column.
    sizes = (high - low) * 1.2 + 16
    sizes = np.maximum(sizes, sizes.max() * 0.7)
    start = np.clip((low + high - sizes) / 2, 0, None).astype(int)
    end = np.minimum(np.ceil(start + sizes).astype(int), (width, height))
    if np.prod(end - start) > 0.6 * width * height:
        return 0, 0, width, height
    return int(start[0]), int(start[1]), int(end[0]), int(end[1])


def _columns(n: int, aspect: float) -> int:
    """Columns for a page about 1.6 times as wide as high, preferably with full rows."""

    def unfitness(columns: int) -> float:
        rows = math.ceil(n / columns)
        shape = abs(math.log(columns * aspect / rows / 1.6))
        return shape + (rows * columns - n) / columns

    return min(range(1, n + 1), key=unfitness)


def _clock(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"
