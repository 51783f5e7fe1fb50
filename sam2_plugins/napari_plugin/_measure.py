"""Measures of every object on every frame: size, place, brightness, speed."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from skimage.measure import regionprops

from sam2_plugins.core.files import replacing
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin._frames import Line, full_level
from sam2_plugins.napari_plugin._placement import pixel_size
from sam2_plugins.napari_plugin._store import MaskStore

Row: TypeAlias = "dict[str, float | int | str]"
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
            row |= {"area_px": mask.area, f"area_{unit}2": mask.area * width * height}
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


def quantities(rows: Sequence[Row]) -> list[str]:
    """Names of what can be plotted, in the order of the table."""
    names = dict.fromkeys(key for row in rows for key in row)
    return [name for name in names if name not in ("object", "label", "frame")]


def _shape_and_light(mask: ObjectMask, pictures: dict[str, Any]) -> Row:
    """Measures of scikit-image of one object, in its crop."""
    crop = np.ascontiguousarray(mask.crop, np.uint8)
    light = {name: picture[mask.slices] for name, picture in pictures.items()}
    row: Row = {}
    (shape,) = regionprops(crop)
    for name in _SHAPE:
        row[name] = float(getattr(shape, name))
    for name, picture in light.items():
        channels = picture[..., None] if picture.ndim == 2 else picture
        for channel in range(channels.shape[-1]):
            (lit,) = regionprops(crop, intensity_image=channels[..., channel])
            suffix = f"{name}" if channels.shape[-1] == 1 else f"{name}_{channel}"
            row[f"mean_{suffix}"] = float(lit.intensity_mean)
            row[f"min_{suffix}"] = float(lit.intensity_min)
            row[f"max_{suffix}"] = float(lit.intensity_max)
    return row
