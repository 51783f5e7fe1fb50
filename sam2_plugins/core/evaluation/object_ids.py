"""Matches the object ids of a prediction with those of the truth by overlap, where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from sam2_plugins.core.datasets.dataset import LabelledFrames, masks_of
from sam2_plugins.core.evaluation.metrics import SequenceScores, evaluate, starts_of

SURE = 0.5
"""IoU from which on an object is a label's, and not only touched by it."""


def ids_by_overlap(
    pred: LabelledFrames, gt: LabelledFrames, starts: Mapping[int, int]
) -> dict[int, int] | None:
    """Find the label of every true object in a prediction with other ids.

    Each object is looked for once, on the first frame from its prompt on where anything predicted
    touches it; later frames are left to the scores.

    Parameters
    ----------
    starts
        True object to the frame of its prompt.

    Returns
    -------
    dict or None
        True object to predicted label, one to one, where there is one. None if the ids are the
        same: at least half of the objects lie under a label of their own id, and none is under
        that of another where it was prompted. Cells that are found from the top to the bottom are
        in nearly the order of the truth.
    """
    touching: dict[int, dict[int, float]] = {}  # true object to IoU by predicted label
    prompted: set[int] = set()  # those that are touched where they were prompted
    for frame in range(min(starts.values(), default=0), len(gt)):
        waiting = [obj for obj, start in starts.items() if start <= frame and obj not in touching]
        if not waiting and frame >= max(starts.values(), default=0):
            break
        ours, true = masks_of(pred[frame]), masks_of(gt[frame])
        for obj in true.keys() & waiting:
            ious = {int(label): mask.iou_with(true[obj]) for label, mask in ours.items()}
            if any(ious.values()):
                touching[obj] = {label: iou for label, iou in ious.items() if iou > 0}
                prompted.update({obj} if frame == starts[obj] else ())

    def under_another(obj: int) -> bool:
        label, iou = max(touching[obj].items(), key=lambda pair: pair[1])
        own = obj in touching[obj] or label in touching.get(label, ())
        return iou >= SURE and not own

    agree = 2 * sum(obj in ious for obj, ious in touching.items()) >= len(touching)
    if agree and not any(map(under_another, prompted)):
        return None
    objects, labels = list(touching), sorted(set().union(*touching.values()))
    table = np.array([[touching[obj].get(label, 0.0) for label in labels] for obj in objects])
    pairs = zip(*linear_sum_assignment(table, maximize=True), strict=True)
    return {objects[row]: labels[column] for row, column in pairs if table[row, column] > 0}


def evaluate_by_overlap(
    labels: NDArray[Any], truth: LabelledFrames, **settings: Any
) -> tuple[SequenceScores, dict[int, int] | None]:
    """Score labels, under the ids of the true objects where theirs are others.

    Parameters
    ----------
    labels
        [T, H, W].
    settings
        Further arguments of `metrics.evaluate`, which raises what this does.

    Returns
    -------
    tuple
        The scores, and what `ids_by_overlap` returns.
    """
    scores = evaluate(labels, truth, **settings)
    starts = starts_of(truth, settings.get("objects"), settings.get("prompt_frame", 0))
    names = ids_by_overlap(labels, truth, starts)
    if names is not None:
        scores = evaluate(renamed(labels, names), truth, **settings)
    return scores, names


def renamed(labels: NDArray[Any], names: Mapping[int, int]) -> NDArray[Any]:
    """Give predicted labels the ids of the true objects; all others get numbers beyond them.

    Parameters
    ----------
    labels
        [T, H, W].
    names
        True object to predicted label.
    """
    found, place = np.unique(labels, return_inverse=True)
    true_of = {label: obj for obj, label in names.items()}
    fresh = max(names, default=0) + 1 + np.arange(len(found))
    new = [0 if label == 0 else true_of.get(int(label), fresh[i]) for i, label in enumerate(found)]
    return np.asarray(new, np.uint32)[place].reshape(labels.shape)
