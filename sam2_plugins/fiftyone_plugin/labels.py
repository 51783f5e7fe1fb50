"""Conversions between FiftyOne's conventions and the core's.

FiftyOne counts in shares of the frame: boxes are [x, y, width, height] and points (x, y), where 0
is the frame's left or top edge and 1 its right or bottom one. A detection's mask fills its box.
Labels are plain mappings here, with the keys of FiftyOne's documents and `_cls` for their kind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectId, ObjectMask, split_label_image
from sam2_plugins.core.prompts import NEGATIVE, POSITIVE, Prompt

NEGATIVE_TAG = "negative"
"""Points of a label with this tag are not on the object."""

POINT_LABELS = ("sam2_labels", "sam_labels")
"""Attributes that hold a 1 or 0 for each point, as FiftyOne's own SAM wrappers name them."""

INSET = 1e-6
"""Pixels by which a written box lies inside its first pixel: FiftyOne rounds the corners of a box
down, and a number of pixels as a share of the frame, times the frame, is often just below it."""


_TOLERANCE = 1e-3
"""Share of the frame by which a point may lie beyond its edge: tools round."""


@dataclass(frozen=True)
class Cue:
    """One label as a prompt of its object on its frame: exactly one of a mask, a box or points.

    Attributes
    ----------
    box
        x0, y0, x1, y1 in pixels, ends exclusive.
    points, point_labels
        (x, y) in pixels, centres at whole numbers; 1 for on the object, 0 for not on it.
    """

    mask: ObjectMask | None = None
    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float], ...] = ()
    point_labels: tuple[int, ...] = ()


def read_cue(label: Mapping[str, Any], frame_size: tuple[int, int]) -> Cue:
    """Read a Detection, Keypoint or Polyline.

    Parameters
    ----------
    label
        With `_cls`, `bounding_box` and `mask` (an array or None), or `points`.
    frame_size
        (height, width).

    Raises
    ------
    PromptError
        If the label is empty: no point, an empty box or mask.
    """
    kind = label["_cls"]
    if kind == "Detection":
        return _read_detection(label, frame_size)
    if kind == "Keypoint":
        return _read_points(label, label["points"], frame_size)
    if kind == "Polyline":
        return _read_polyline(label, frame_size)
    raise PromptError(f"A {kind} is no prompt: take Detections, Keypoints or Polylines.")


def read_segmentation(mask: NDArray[Any], frame_size: tuple[int, int]) -> dict[int, ObjectMask]:
    """Read a Segmentation: every value but 0 is an object. Other sizes are brought to the frame's.

    Raises
    ------
    PromptError
        If it is no image of whole numbers.
    """
    if mask.ndim != 2 or mask.dtype.kind not in "bui":
        raise PromptError(
            f"A segmentation is (height, width) of whole numbers, not {mask.dtype} of {mask.shape}."
        )
    return split_label_image(_resized(mask, frame_size))


def detection_values(mask: ObjectMask) -> dict[str, Any]:
    """Return `bounding_box` and `mask` of a Detection that shows exactly these pixels.

    Raises
    ------
    ValueError
        If the mask is empty: FiftyOne has no detection without a box.
    """
    if mask.box is None:
        raise ValueError("An empty mask is no detection.")
    return {"bounding_box": relative_box(mask.box, mask.frame_size), "mask": np.array(mask.crop)}


def relative_box(box: Sequence[float], frame_size: tuple[int, int]) -> list[float]:
    """Return [x, y, width, height] in shares of the frame."""
    (x0, y0, x1, y1), (height, width) = box, frame_size
    left, top = x0 + INSET, y0 + INSET
    return [left / width, top / height, (x1 - x0) / width, (y1 - y0) / height]


def relative_points(
    points: Iterable[tuple[float, float]], frame_size: tuple[int, int]
) -> list[tuple[float, float]]:
    """Return (x, y) in shares of the frame, of pixels whose centres are at whole numbers."""
    height, width = frame_size
    return [((x + 0.5) / width, (y + 0.5) / height) for x, y in points]


def detection_mask(label: Mapping[str, Any], frame_size: tuple[int, int]) -> ObjectMask | None:
    """Return the mask of a Detection; None if it has only a box. See `detection_values`."""
    if label.get("mask") is None:
        return None
    mask = np.asarray(label["mask"])
    if mask.ndim != 2:
        raise PromptError(f"its mask is of shape {mask.shape}, not (height, width).")
    x0, y0, x1, y1 = (round(side) for side in pixel_box(label["bounding_box"], frame_size))
    height, width = frame_size
    rows = _nearest(mask.shape[0], range(max(y0, 0), min(max(y1, y0 + 1), height)), y0, y1)
    columns = _nearest(mask.shape[1], range(max(x0, 0), min(max(x1, x0 + 1), width)), x0, x1)
    if not len(rows) or not len(columns):
        return ObjectMask.empty(frame_size)
    inside = mask[rows[:, None], columns] > 0
    return ObjectMask(inside, (max(x0, 0), max(y0, 0)), frame_size)


def _nearest(length: int, pixels: range, begin: int, end: int) -> NDArray[np.intp]:
    """Places in an array of a length that is stretched from one pixel to another."""
    shares = (np.asarray(pixels, float) - begin + 0.5) / max(end - begin, 1)
    return np.minimum((shares * length).astype(int), length - 1)


def pixel_box(
    box: Sequence[float], frame_size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return x0, y0, x1, y1 in pixels of [x, y, width, height] in shares of the frame.

    Raises
    ------
    PromptError
        If it is not four finite numbers.
    """
    if box is None or len(box) != 4 or not all(map(math.isfinite, box)):
        raise PromptError(f"its box {box} is not four finite numbers.")
    (x, y, w, h), (height, width) = box, frame_size
    return x * width, y * height, (x + w) * width, (y + h) * height


def merge_cues(frame: int, obj: ObjectId, cues: Iterable[Cue]) -> list[Prompt]:
    """Make prompts of all labels of an object on a frame.

    Masks are united and come first; the last box and all points refine what they show, or stand
    alone.
    """
    cues = list(cues)
    prompts = []
    masks = [cue.mask for cue in cues if cue.mask is not None]
    if masks:
        union = reduce(ObjectMask.union_with, masks)
        prompts.append(Prompt.of(frame, obj, mask=union))
    boxes = [cue.box for cue in cues if cue.box is not None]
    points = [point for cue in cues for point in cue.points]
    labels = [label for cue in cues for label in cue.point_labels]
    box = boxes[-1] if boxes else None
    if box is not None or points:
        prompts.append(Prompt.of(frame, obj, points=points or None, labels=labels or None, box=box))
    return prompts


def _read_detection(label: Mapping[str, Any], frame_size: tuple[int, int]) -> Cue:
    mask = detection_mask(label, frame_size)
    if mask is not None and mask.visible:
        return Cue(mask=mask)
    if mask is not None:
        raise PromptError("its mask is empty, or outside the frame.")
    box = pixel_box(label["bounding_box"], frame_size)
    (x0, y0, x1, y1), (height, width) = box, frame_size
    if x1 <= x0 or y1 <= y0:
        raise PromptError(f"its box {_rounded(label['bounding_box'])} is empty.")
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise PromptError(f"its box {_rounded(label['bounding_box'])} is outside the frame.")
    return Cue(box=box)


def _read_points(
    label: Mapping[str, Any], points: Sequence[Sequence[float]], frame_size: tuple[int, int]
) -> Cue:
    signs = next((label[name] for name in POINT_LABELS if label.get(name) is not None), None)
    if signs is None:
        signs = [NEGATIVE if NEGATIVE_TAG in (label.get("tags") or ()) else POSITIVE] * len(points)
    if len(signs) != len(points):
        raise PromptError(f"it has {len(points)} points but {len(signs)} point labels.")
    there = [
        (point, value)
        for point, value in zip(points, signs, strict=True)
        if all(math.isfinite(x) for x in point)  # FiftyOne marks a missing point by nan
    ]
    if not there:
        raise PromptError("it has no point.")
    known = [(p, v) for p, v in there if all(-_TOLERANCE <= x <= 1 + _TOLERANCE for x in p[:2])]
    if not known:
        raise PromptError(f"its points are outside the frame, such as {_rounded(there[0][0])}.")
    if not {value for _, value in known} <= {POSITIVE, NEGATIVE}:
        raise PromptError(f"its point labels are 1 and 0, not {list(signs)}.")
    xy = tuple(_within(_pixels([point for point, _ in known], frame_size), frame_size))
    return Cue(points=xy, point_labels=tuple(int(value) for _, value in known))


def _read_polyline(label: Mapping[str, Any], frame_size: tuple[int, int]) -> Cue:
    """Read an outline as the mask inside it, and an open line as points along it."""
    rings = [ring for ring in label["points"] if len(ring)]
    if not (label.get("closed") or label.get("filled")):
        return _read_points(label, [point for ring in rings for point in ring], frame_size)
    if not all(math.isfinite(x) for ring in rings for point in ring for x in point):
        raise PromptError("its outline has a point that is not finite.")
    pixels = [np.asarray(_pixels(ring, frame_size)) for ring in rings if len(ring) >= 3]
    mask = ObjectMask.from_polygons(pixels, frame_size)
    if not mask.visible:
        raise PromptError("its outline holds no pixel.")
    return Cue(mask=mask)


def _pixels(
    points: Sequence[Sequence[float]], frame_size: tuple[int, int]
) -> list[tuple[float, float]]:
    """Shares of the frame to pixels, whose centres are at whole numbers in the core."""
    height, width = frame_size
    return [(x * width - 0.5, y * height - 0.5) for x, y in (point[:2] for point in points)]


def _within(
    points: Iterable[tuple[float, float]], frame_size: tuple[int, int]
) -> Iterator[tuple[float, float]]:
    """Bring points that rounding has put beyond the frame's edge back to it."""
    height, width = frame_size
    for x, y in points:
        yield min(max(x, -0.5), width - 0.5), min(max(y, -0.5), height - 0.5)


def _resized(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Nearest neighbour; nothing is done to an image of the right size."""
    if image.shape == size:
        return image
    rows, columns = (
        _nearest(old, range(new), 0, new) for new, old in zip(size, image.shape, strict=True)
    )
    return np.asarray(image[rows[:, None], columns])


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]
