"""What is drawn in the Points and Shapes layers, as plain values, and back into the layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sam2_plugins.napari_plugin.layers.prompts import MEANING, OBJECT

Place: TypeAlias = "tuple[float, ...]"


@dataclass(frozen=True)
class Marks:
    """Clicks and shapes in data coordinates.

    Attributes
    ----------
    clicks
        Place, label and meaning of each click.
    shapes
        Kind, corners and label of each shape.
    """

    clicks: tuple[tuple[Place, int, str], ...] = ()
    shapes: tuple[tuple[str, tuple[Place, ...], int], ...] = ()


def read_marks(points: Any, shapes: Any) -> Marks:
    """Read what is drawn in the two layers."""
    clicks = zip(points.data, points.features[OBJECT], points.features[MEANING], strict=True)
    drawn = zip(shapes.shape_type, shapes.data, shapes.features[OBJECT], strict=True)
    return Marks(
        tuple((_place(at), int(label), str(meaning)) for at, label, meaning in clicks),
        tuple(
            (str(kind), tuple(_place(corner) for corner in corners), int(label))
            for kind, corners, label in drawn
        ),
    )


def write_marks(marks: Marks, points: Any, shapes: Any, color: Callable[[int], Any]) -> None:
    """Make the two layers show just these marks; those that are there already stay."""
    now = read_marks(points, shapes)
    if marks.clicks != now.clicks:
        kept = _shared(marks.clicks, now.clicks)
        _remove_after(points, kept)
        if marks.clicks[kept:]:
            points.add(np.array([at for at, _, _ in marks.clicks[kept:]]))
            points.features = {
                OBJECT: np.array([label for _, label, _ in marks.clicks], int),
                MEANING: np.array([meaning for _, _, meaning in marks.clicks]),
            }
            points.face_color = np.array([color(label) for _, label, _ in marks.clicks])
            points.refresh_colors()
            points.selected_data = set()
    if marks.shapes != now.shapes:
        kept = _shared(marks.shapes, now.shapes)
        _remove_after(shapes, kept)
        if marks.shapes[kept:]:
            shapes.add(
                [np.array(corners) for _, corners, _ in marks.shapes[kept:]],
                shape_type=[kind for kind, _, _ in marks.shapes[kept:]],
                edge_color=np.array([color(label) for _, _, label in marks.shapes[kept:]]),
            )
            shapes.features = {OBJECT: np.array([label for _, _, label in marks.shapes], int)}
            shapes.selected_data = set()


def _shared(wanted: Sequence[object], now: Sequence[object]) -> int:
    """How many rows at the beginning are the same."""
    alike = [one == other for one, other in zip(wanted, now, strict=False)]
    return alike.index(False) if False in alike else len(alike)


def _remove_after(layer: Any, kept: int) -> None:
    if len(layer.data) > kept:
        layer.selected_data = set(range(kept, len(layer.data)))
        layer.remove_selected()


def _place(at: Any) -> Place:
    return tuple(float(n) for n in at)
