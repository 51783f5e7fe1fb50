"""Measures of every object on every frame: size, place, brightness, speed."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops

from sam2_plugins.core.files import replacing
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin.layers.frames import Line, full_level
from sam2_plugins.napari_plugin.layers.mask_store import MaskStore
from sam2_plugins.napari_plugin.layers.placement import pixel_size

Row: TypeAlias = "dict[str, float | int | str]"
_WITH_UNIT = ("area", "x", "y", "speed", "perimeter")
_SHAPE = ("perimeter", "eccentricity", "solidity")


def measure(
    store: MaskStore, images: Sequence[Any], line: Line, length: int, names: dict[int, str]
) -> Generator[list[Row], None, None]:
    """Measure frame by frame; the rows of each frame are yielded.

    Areas are in pixels and in the image's unit squared; speed is in that unit a frame, from the
    frame before; intensities are the samples of each channel as they are stored.
    """
    height, width, unit = pixel_size(images[0])
    before: dict[int, tuple[float, float]] = {}
    for frame in range(length):
        index = line.index(frame)
        seen = {o: m for o, m in store.on_frame(index).items() if m.visible and o in names}
        pictures = {image.name: np.asarray(full_level(image)[index]) for image in images if seen}
        places, rows = {}, []
        for label, mask in sorted(seen.items()):
            assert mask.centroid is not None
            x, y = mask.centroid
            places[label] = (x * width, y * height)
            row: Row = {"object": names[label], "label": label, "frame": frame}
            row["area_px"] = mask.area
            if unit != "px":
                row[f"area_{unit}2"] = mask.area * width * height
            row |= {"x_px": x, "y_px": y, "iou": mask.iou}
            row |= _shape_and_light(mask, pictures)
            if label in before:
                step = np.subtract(places[label], before[label])
                row[f"speed_{unit}_per_frame"] = float(np.hypot(*step))
            rows.append(row)
        before = places
        yield rows


def save_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as a table; a measure that a row lacks is empty."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with replacing(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


@dataclass(frozen=True, eq=False)
class Measures:
    """All rows, and views of them that the window needs quickly.

    Attributes
    ----------
    quantities
        Names of what can be plotted, in the order of the table.
    by_label
        The rows of each object.
    spacing, unit
        From one frame to the next, and in what.
    """

    rows: Sequence[Row] = ()
    quantities: tuple[str, ...] = ()
    by_label: Mapping[int, Sequence[Row]] = field(default_factory=dict)
    spacing: float = 1.0
    unit: str = ""

    @classmethod
    def of(cls, rows: Sequence[Row], spacing: float = 1.0, unit: str = "") -> Measures:
        """Index all rows; many rows take long."""
        names = dict.fromkeys(key for row in rows for key in row)
        by_label: dict[int, list[Row]] = {}
        for row in rows:
            by_label.setdefault(int(row["label"]), []).append(row)
        found = tuple(name for name in names if name not in ("object", "label", "frame"))
        return cls(rows, found, by_label, spacing, unit)

    def features(self, names: Mapping[int, str]) -> dict[str, list[Any]]:
        """Columns for the status bar and for napari's table of features: a row an object."""
        areas = {o: [int(row["area_px"]) for row in rows] for o, rows in self.by_label.items()}
        return {
            "index": list(areas),
            "name": [names.get(label, "") for label in areas],
            "frames": [len(found) for found in areas.values()],
            "mean_area_px": [float(np.mean(found)) for found in areas.values()],
        }

    def lines(self, quantity: str) -> dict[int, NDArray[np.float64]]:
        """Frames and values [n, 2] of each object."""
        lines = {}
        for label, rows in self.by_label.items():
            pairs = [(row["frame"], row.get(quantity, nan)) for row in rows]
            line = np.array(pairs, float)
            lines[label] = line[np.isfinite(line[:, 1])]
        return lines


def title_of(quantity: str) -> str:
    """Return a column's title for an axis: "area_um2" is "area (µm²)"."""
    name, _, unit = quantity.partition("_")
    if name not in _WITH_UNIT:
        return quantity.replace("_", " ")
    unit = unit.removesuffix("_per_frame").removesuffix("2") or "px"
    unit += "²" if name == "area" else ""
    return f"{name} ({unit.replace('um', 'µm')}{' per frame' if name == 'speed' else ''})"


def _shape_and_light(mask: ObjectMask, pictures: dict[str, Any]) -> Row:
    """Measures of one object, in its crop."""
    crop = np.ascontiguousarray(mask.crop, np.uint8)
    row: Row = {}
    (shape,) = regionprops(crop)
    for name in _SHAPE:
        row[name] = float(getattr(shape, name))
    for name, picture in pictures.items():
        lit = picture[mask.slices][mask.crop]
        channels = lit[:, None] if lit.ndim == 1 else lit
        for channel in range(channels.shape[-1]):
            suffix = f"{name}" if channels.shape[-1] == 1 else f"{name}_{channel}"
            row[f"mean_{suffix}"] = float(channels[:, channel].mean())
            row[f"min_{suffix}"] = float(channels[:, channel].min())
            row[f"max_{suffix}"] = float(channels[:, channel].max())
    return row
