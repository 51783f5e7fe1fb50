"""Marks in an image's Points and Shapes layers, as plain values and as prompts.

In napari, as in the core's clicks and polygons, a pixel's centre has whole coordinates; the core's
boxes count from the pixels' edges, so that half a pixel lies between them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Index

CLICKS_ALONG = 5
"""Clicks that stand for a line or a path."""
_REGIONS = ("ellipse", "polygon")

INCLUDE, EXCLUDE = "include", "exclude"
OBJECT, MEANING = "object", "meaning"
"""Features of the layers: label of the object, and whether a click is on it."""

Place: TypeAlias = "tuple[float, ...]"
Prompts: TypeAlias = "tuple[Prompt, ...]"
"""All prompts of one object on one frame, in order; a prompt's object is its label."""


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

    def prompts(self, line: Line, frame_size: tuple[int, int]) -> dict[tuple[Index, int], Prompts]:
        """Prompts on the frames of a line, by frame and label: regions, boxes, then each click.

        A rectangle is a box; an ellipse or a polygon is the mask itself; a line or a path is clicks
        along it.

        Parameters
        ----------
        frame_size
            (height, width), for the masks.
        """
        drawn: defaultdict[tuple[Index, int], list[Prompt]] = defaultdict(list)
        for kind, corners, label in sorted(self.shapes, key=lambda one: one[0] not in _REGIONS):
            index = index_of(corners[0])
            frame = line.frame(index)
            if frame is not None:
                prompt = _prompt_of_shape(kind, np.array(corners), frame, label, frame_size)
                drawn[index, label].append(prompt)
        for at, label, meaning in self.clicks:
            index = index_of(at)
            frame = line.frame(index)
            if frame is not None:
                included = [0 if meaning == EXCLUDE else 1]
                drawn[index, label].append(Prompt.of(frame, label, [at[:-3:-1]], included))
        return {key: tuple(prompts) for key, prompts in drawn.items()}

    def adding(self, index: Index, prompt: Prompt) -> Marks:
        """Return these marks and those that stand for the clicks and the box of a prompt."""
        label, clicks, shapes = int(prompt.obj), self.clicks, self.shapes
        if prompt.box is not None:
            corners = corners_of_box(tuple(prompt.box), index)
            shapes = (*shapes, ("rectangle", tuple(map(_place, corners)), label))
        if prompt.points is not None:
            for (x, y), on_it in zip(prompt.points.xy, prompt.points.labels, strict=True):
                at = _place((*index, y, x))
                clicks = (*clicks, (at, label, INCLUDE if on_it else EXCLUDE))
        return Marks(clicks, shapes)

    def without(self, label: int, index: Index | None = None) -> Marks:
        """Return the marks but for those of an object, on one frame or on all."""

        def stays(at: Place, obj: int) -> bool:
            return obj != label or (index is not None and index_of(at) != index)

        return Marks(
            tuple(click for click in self.clicks if stays(click[0], click[1])),
            tuple(shape for shape in self.shapes if stays(shape[1][0], shape[2])),
        )

    def given(self, label: int, heir: int) -> Marks:
        """Return the marks with those of an object as another one's."""
        return Marks(
            tuple((at, heir if o == label else o, meaning) for at, o, meaning in self.clicks),
            tuple((kind, at, heir if o == label else o) for kind, at, o in self.shapes),
        )

    def indices(self) -> set[Index]:
        """Frames on which there is a mark."""
        places = [at for at, _, _ in self.clicks] + [corners[0] for _, corners, _ in self.shapes]
        return {index_of(at) for at in places}


def read_marks(points: Any, shapes: Any) -> Marks:
    """Read what is drawn in the two layers."""
    clicks = zip(points.data, points.features[OBJECT], points.features[MEANING], strict=True)
    drawn = zip(shapes.shape_type, shapes.data, shapes.features[OBJECT], strict=True)
    return Marks(
        tuple((_place(at), int(label), str(meaning)) for at, label, meaning in clicks),
        tuple((str(kind), tuple(map(_place, at)), int(label)) for kind, at, label in drawn),
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


def index_of(at: Sequence[float]) -> Index:
    """Leading index of the frame on which a place is."""
    return tuple(round(float(n)) for n in at[:-2])


def box_of_corners(corners: NDArray[Any]) -> tuple[float, float, float, float]:
    """Box x0, y0, x1, y1 of a rectangle's corners [4, leading + 2]."""
    (y0, x0), (y1, x1) = corners[:, -2:].min(axis=0) + 0.5, corners[:, -2:].max(axis=0) + 0.5
    return float(x0), float(y0), float(x1), float(y1)


def corners_of_box(box: Sequence[float], index: Index) -> NDArray[np.float64]:
    """Corners [4, leading + 2] of a rectangle that stands for a box on a frame."""
    x0, y0, x1, y1 = (n - 0.5 for n in box)
    plane = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
    return np.array([(*index, *corner) for corner in plane], float)


def _prompt_of_shape(
    kind: str, corners: NDArray[Any], frame: int, label: int, frame_size: tuple[int, int]
) -> Prompt:
    xy = corners[:, :-3:-1].astype(float)
    if kind in _REGIONS:
        ring = _ellipse(xy) if kind == "ellipse" else xy
        return Prompt.of(frame, label, mask=ObjectMask.from_polygons([ring], frame_size))
    if kind in ("line", "path"):
        along = np.linspace(0, len(xy) - 1, CLICKS_ALONG)
        clicks = [np.interp(along, np.arange(len(xy)), xy[:, axis]) for axis in (0, 1)]
        return Prompt.of(frame, label, np.stack(clicks, axis=1))
    return Prompt.of(frame, label, box=box_of_corners(corners))


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ring [n, 2] of an ellipse in a parallelogram of four corners [4, 2], in their order."""
    centre = corners.mean(axis=0)
    across, along = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * across + np.sin(angle) * along)


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
