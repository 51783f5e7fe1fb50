"""How tracked masks and proposals of a frame belong together, and what follows from it.

All that is decided about lineages is decided here, from areas, overlaps and places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from sam2_plugins.core.masks import ObjectId, ObjectMask


@dataclass(frozen=True)
class LineageRules:
    """What it takes to decide.

    Attributes
    ----------
    confirm
        Frames for which something new must be found, or something old not, until it counts.
    same
        IoU from which on a proposal and a tracked mask are the same object.
    snap
        IoU from which on the proposal's outline is taken for the tracked one's.
    inside
        Share of a proposal in a tracked mask from which on it is a part of it; of a tracked mask
        in a proposal, from which on the proposal took it together with its neighbour.
    alike
        Areas of two daughters differ at most by this factor.
    lost
        A mother that is followed by one of its daughters is at most this share of what it was.
    kept
        Least and greatest share of a mother's area that its daughters have together.
    sure
        Confidence that a proposal needs to be an object of its own.
    """

    confirm: int = 3
    same: float = 0.4
    snap: float = 0.5
    inside: float = 0.6
    alike: float = 2.5
    lost: float = 0.8
    kept: tuple[float, float] = (0.5, 1.5)
    sure: float = 0.35


@dataclass
class Belonging:
    """Which proposal belongs to which tracked object on one frame.

    Attributes
    ----------
    of
        The proposal of an object; several objects have the same one where it took them together.
    shared
        Objects whose proposal is another one's, too.
    parts
        Proposals that are within an object and not its own.
    free
        Proposals that no tracked object covers.
    """

    of: dict[ObjectId, int] = field(default_factory=dict)
    shared: set[ObjectId] = field(default_factory=set)
    parts: dict[ObjectId, list[int]] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)


def belonging(
    tracked: Mapping[ObjectId, ObjectMask], proposed: Sequence[ObjectMask], rules: LineageRules
) -> Belonging:
    """Assign proposals to tracked objects by overlap, each to one at most."""
    found = Belonging()
    objects = [obj for obj, mask in tracked.items() if mask.visible]
    common = np.zeros((len(objects), len(proposed)))
    for row, obj in enumerate(objects):
        for column, mask in enumerate(proposed):
            if _near(tracked[obj], mask):
                common[row, column] = tracked[obj].intersection_with(mask)
    areas = np.array([tracked[obj].area for obj in objects], float)
    sizes = np.array([mask.area for mask in proposed], float)
    iou = common / np.maximum(areas[:, None] + sizes[None] - common, 1)
    rows, columns = linear_sum_assignment(-iou)
    for row, column in zip(rows, columns, strict=True):
        if iou[row, column] >= rules.same:
            found.of[objects[row]] = int(column)
    taken = set(found.of.values())
    # A proposal that holds several objects is of none of them alone.
    holds = common / np.maximum(areas[:, None], 1) >= rules.inside
    for column in range(len(proposed)):
        held = [objects[row] for row in np.flatnonzero(holds[:, column])]
        if len(held) > 1:
            for obj in held:
                found.of.setdefault(obj, column)
            found.shared |= {obj for obj in held if found.of[obj] == column}
            taken.add(column)
    for column in range(len(proposed)):
        if column in taken:
            continue
        share = common[:, column] / max(sizes[column], 1)
        if share.size and share.max() >= rules.inside:
            found.parts.setdefault(objects[int(share.argmax())], []).append(column)
        elif share.sum() < rules.inside:
            found.free.append(column)
    return found


def are_daughters(
    mother_area: float, one: float, other: float, follows: bool, rules: LineageRules
) -> bool:
    """Whether two areas may be those of an object's daughters.

    Parameters
    ----------
    follows
        The first is what the mother was tracked to.
    """
    small, large = sorted((one, other))
    if not small or large > rules.alike * small:
        return False
    least, most = rules.kept
    if not least * mother_area <= one + other <= most * mother_area:
        return False
    return not follows or one <= rules.lost * mother_area


def apart(one: ObjectMask, other: ObjectMask) -> float:
    """Gap between two masks, in diameters of a disc as large as the larger; inf if one is empty."""
    if one.box is None or other.box is None:
        return float("inf")
    across = sqrt(4 / np.pi * max(one.area, other.area))
    x0, y0 = (min(one.box[i], other.box[i]) for i in (0, 1))
    x1, y1 = (max(one.box[i], other.box[i]) for i in (2, 3))
    both = (x0, y0, x1, y1)
    distance = ndimage.distance_transform_edt(~one.window(both))
    return float(distance[other.window(both)].min() / across)


def _near(one: ObjectMask, other: ObjectMask) -> bool:
    if one.box is None or other.box is None:
        return False
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    return a < g and e < c and b < h and f < d
