"""A table of objects and frames, for spreadsheets and pandas."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from sam2_plugins.core.export.registry import UNPAIRED, Masks, Subject, export_format
from sam2_plugins.core.files import naming

COLUMNS = (
    *("object", "label", "frame", "time", "area"),
    *("x0", "y0", "x1", "y1", "x", "y", "iou", "score"),
)


@export_format("csv", "tracks.csv", "Table of masks (CSV)")
class CsvWriter:
    """Writes a row per object and frame, readable after every frame.

    Columns: the object's id, its label in the label images, the frame, its time in seconds, the
    area in pixels, the box (ends exclusive), the centroid, the predicted IoU and the object score.
    An object that is not in the frame has area 0 and no box. What is not known is empty. Where
    objects have names, these are the last column.
    """

    def __init__(self, path: Path, of: Subject) -> None:
        self.path = Path(path)
        self._numbering = of.numbering
        self._names = of.names
        with naming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8", errors=UNPAIRED, newline="")
            self._rows = csv.writer(self._file, lineterminator="\n")
            self._rows.writerow([*COLUMNS, *(["name"] if self._names else [])])

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Append the rows of a frame."""
        with naming(self.path):
            for obj, mask in masks.items():
                label = self._numbering.label(obj)
                name = [self._names.get(obj, "")] if self._names else []
                known = [obj, label, frame, _number(time, 10), mask.area, *(mask.box or [""] * 4)]
                measures = (*(mask.centroid or (math.nan, math.nan)), mask.iou, mask.score)
                self._rows.writerow([*known, *map(_number, measures), *name])
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with naming(self.path):
            self._file.close()


def _number(value: float, digits: int = 6) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}g}"
