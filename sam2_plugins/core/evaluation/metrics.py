"""Metrics of tracked objects: J and F of DAVIS, SEG of the Cell Tracking Challenge, tracks.

J (region) and F (boundary): Perazzi et al., CVPR 2016, section 4. SEG: Maška et al., Bioinformatics
2014, section 2.4. One pass over the frames; every measure works on the objects' crops.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from sam2_plugins.core.datasets.dataset import (
    Absent,
    LabelledFrame,
    LabelledFrames,
    masks_of,
)
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.label_images import most_frequent

SEEN = 0.5  # an object is held on a frame where its own mask has this IoU


@dataclass(frozen=True)
class Scores:
    """Means over frames after the prompted one.

    Attributes
    ----------
    J
        Region similarity: intersection over union.
    F
        Boundary F-measure.
    JF
        Mean of J and F.
    J_recall
        Share of frames with an IoU above 0.5.
    J_last
        IoU on the object's last frame.
    SEG
        IoU with the predicted label that covers more than half of the object, whichever it is;
        0 if none does.
    kept_end
        1 if the IoU on the object's last frame is 0.5 or more.
    kept_all
        1 if it is so on every frame.
    track_frac
        Share of frames before the first one that is not so.
    id_switch
        Share of frames where the predicted mask lies more on another object than on its own.
    """

    J: float
    F: float
    JF: float
    J_recall: float
    J_last: float
    SEG: float
    kept_end: float
    kept_all: float
    track_frac: float
    id_switch: float


@dataclass(frozen=True)
class ObjectScores(Scores):
    """The scores of one object over `frames` frames."""

    id: int
    frames: int


@dataclass(frozen=True)
class SequenceScores(Scores):
    """Means over the objects of a sequence; nan if none could be scored.

    Attributes
    ----------
    ghost
        Share of frames after an object's end where something is still predicted for it.
    n_objects
        Number of objects scored.
    objects
        The scores of each.
    """

    ghost: float
    n_objects: int
    objects: tuple[ObjectScores, ...]

    def to_dict(self, per_object: bool = False) -> dict[str, Any]:
        """Return plain numbers, for JSON; `per_object` adds a list of the objects' scores."""
        values = asdict(self)
        objects = list(values.pop("objects"))
        return values | {"per_object": objects} if per_object else values


class _Look(NamedTuple):
    """One object on one frame."""

    present: bool  # in the ground truth
    predicted: bool
    region: float = 0.0
    boundary: float = 0.0
    seg: float = 0.0
    switched: bool = False


def evaluate(
    pred: LabelledFrames,
    gt: LabelledFrames,
    objects: Iterable[int] | None = None,
    prompt_frame: int | Mapping[int, int] = 0,
    bound: float | None = None,
    absent: Absent = "davis",
    frames: Collection[int] | None = None,
) -> SequenceScores:
    """Score a predicted label stack against the true one.

    Parameters
    ----------
    pred, gt
        [T, H, W] of labels, or a sequence of label images or of masks by label; an object has the
        same label in both.
    objects
        Labels to score; those on the prompted frame if None. An object that is not seen after
        its prompted frame is left out.
    prompt_frame
        Frame of the prompts, or one per object. Frames up to it do not count.
    bound
        Tolerance of F in pixels; 0.008 of the frame's diagonal, rounded up, if None.
    absent
        What a frame without the object counts: "davis": 1 if nothing is predicted, else 0;
        "ignore": nothing.
    frames
        Frames that have a truth; all of them if None. The others do not count.

    Raises
    ------
    ValueError
        If the stacks are not of the same shape, or a prompted frame does not exist.
    """
    if len(pred) != len(gt):
        raise ValueError(f"{len(pred)} frames were predicted, but the truth has {len(gt)}.")
    starts = starts_of(gt, objects, prompt_frame)
    looks: dict[int, list[_Look]] = {obj: [] for obj in starts}
    first = min(starts.values(), default=len(gt)) + 1
    for frame in range(first, len(gt)):
        if frames is not None and frame not in frames:
            continue
        found, true = pred[frame], gt[frame]
        sizes = _size(found), _size(true)
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"Frame {frame} is {sizes[0]} in the prediction and {sizes[1]} in the truth: "
                "(height, width) must be equal."
            )
        due = [obj for obj, start in starts.items() if frame > start]
        for obj, look in _compare(found, true, due, bound).items():
            looks[obj].append(look)
    seen = {obj: found for obj, found in looks.items() if any(look.present for look in found)}
    scores = tuple(_score(obj, found, absent) for obj, found in seen.items())
    last = {obj: max(i for i, one in enumerate(all_) if one.present) for obj, all_ in seen.items()}
    ghosts = [look.predicted for obj, found in seen.items() for look in found[last[obj] + 1 :]]
    means = {
        field.name: _mean([getattr(score, field.name) for score in scores])
        for field in fields(Scores)
    }
    return SequenceScores(
        **means,
        ghost=_mean(ghosts) if ghosts else 0.0,
        n_objects=len(scores),
        objects=scores,
    )


def boundary_f(pred: ObjectMask, gt: ObjectMask, bound: float | None = None) -> float:
    """Return the boundary F-measure of DAVIS for two masks of one frame.

    Parameters
    ----------
    bound
        Greatest distance in pixels at which two boundaries match; 0.008 of the frame's diagonal,
        rounded up, if None.
    """
    if bound is None:
        bound = math.ceil(0.008 * math.hypot(*gt.frame_size))
    ours, true = _boundary(pred), _boundary(gt)
    if not len(ours) and not len(true):
        return 1.0
    if not len(ours) or not len(true):
        return 0.0
    precision, recall = _share_near(ours, true, bound), _share_near(true, ours, bound)
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _size(frame: LabelledFrame) -> tuple[int, ...] | None:
    """(height, width); None where there is no object."""
    if isinstance(frame, Mapping):
        return next((mask.frame_size for mask in frame.values()), None)
    return frame.shape


def starts_of(
    gt: LabelledFrames,
    objects: Iterable[int] | None,
    prompt_frame: int | Mapping[int, int],
) -> dict[int, int]:
    """Return the prompted frame of each object to score: see `evaluate`."""
    given = prompt_frame if isinstance(prompt_frame, Mapping) else {None: prompt_frame}
    for frame in given.values():
        if frame not in range(len(gt)):
            raise ValueError(f"Prompted frame {frame} does not exist: there are {len(gt)} frames.")
    if not isinstance(prompt_frame, Mapping):
        if objects is None:
            objects = list(masks_of(gt[prompt_frame]))
        return {int(obj): prompt_frame for obj in objects}
    chosen = prompt_frame if objects is None else objects
    try:
        return {int(obj): int(prompt_frame[obj]) for obj in chosen}
    except KeyError as error:
        raise ValueError(f"Object {error} is not among those with a prompt.") from error


def _compare(
    pred: LabelledFrame, gt: LabelledFrame, objects: Iterable[int], bound: float | None
) -> dict[int, _Look]:
    """Look at every object on one frame."""
    ours, true = masks_of(pred), masks_of(gt)
    size = _size(gt) or _size(pred) or (0, 0)
    nothing = ObjectMask.empty((size[0], size[1]))
    looks = {}
    for obj in objects:
        mask, truth = ours.get(obj, nothing), true.get(obj, nothing)
        if truth.visible:
            cover, covered = _main_label(truth, pred)
            on, _ = _main_label(mask, gt)
            looks[obj] = _Look(
                present=True,
                predicted=mask.visible,
                region=mask.iou_with(truth),
                boundary=boundary_f(mask, truth, bound),
                seg=ours[cover].iou_with(truth) if 2 * covered > truth.area else 0.0,
                switched=on not in (0, obj),
            )
        else:
            looks[obj] = _Look(present=False, predicted=mask.visible)
    return looks


def _main_label(mask: ObjectMask, frame: LabelledFrame) -> tuple[int, int]:
    """Label with the most pixels under a mask, and their number; (0, 0) if there is none."""
    if isinstance(frame, Mapping):
        shared = {label: mask.intersection_with(other) for label, other in frame.items()}
        most = max(shared, key=lambda label: shared[label], default=0)
        return (most, shared[most]) if shared.get(most) else (0, 0)
    return most_frequent(frame[mask.slices][mask.crop])


def _score(obj: int, looks: Sequence[_Look], absent: Absent) -> ObjectScores:
    regions, boundaries = [], []
    for look in looks:
        if look.present:
            regions.append(look.region)
            boundaries.append(look.boundary)
        elif absent == "davis":
            regions.append(float(not look.predicted))
            boundaries.append(float(not look.predicted))
    present = [look for look in looks if look.present]
    held = [look.region >= SEEN for look in present]
    j, f = _mean(regions), _mean(boundaries)
    return ObjectScores(
        J=j,
        F=f,
        JF=(j + f) / 2,
        J_recall=_mean([region > SEEN for region in regions]),
        J_last=present[-1].region,
        SEG=_mean([look.seg for look in present]),
        kept_end=float(held[-1]),
        kept_all=float(all(held)),
        track_frac=(held.index(False) if False in held else len(held)) / len(held),
        id_switch=_mean([look.switched for look in present]),
        id=obj,
        frames=len(regions),
    )


def _boundary(mask: ObjectMask) -> NDArray[np.intp]:
    """Coordinates [n, 2] of the boundary: pixels that differ from the next one right or below.

    At the frame's right and bottom edges there is no next pixel, and so no boundary (DAVIS).
    """
    if mask.box is None:
        return np.zeros((0, 2), np.intp)
    x0, y0, x1, y1 = mask.box
    height, width = mask.frame_size
    left, top = max(x0 - 1, 0), max(y0 - 1, 0)
    here = mask.window((left, top, min(x1 + 1, width), min(y1 + 1, height)))
    padded = np.pad(here, ((0, 1), (0, 1)), mode="edge")
    differs = (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])
    return np.asarray(np.argwhere(differs) + (top, left))  # noqa: RUF005


def _share_near(points: NDArray[np.intp], others: NDArray[np.intp], bound: float) -> float:
    """Share of points with another one within `bound` pixels."""
    reach = bound + 1e-6
    distances, _ = KDTree(others).query(points, distance_upper_bound=reach)
    return float(np.count_nonzero(np.isfinite(distances)) / len(points))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
