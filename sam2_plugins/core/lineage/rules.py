"""How tracked masks and proposals of a frame belong together, and what follows from it.

All that is decided about lineages is decided here, from areas, overlaps and places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, log

import numpy as np
from numpy.typing import NDArray
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
        IoU from which on the proposal's outline is taken for the tracked one's, to go on from, and
        the mean of both is shown.
    inside
        Share of a proposal in a tracked mask from which on it is a part of it; of a tracked mask
        in a proposal, from which on the proposal took it together with its neighbour, or in a
        tracked mask that was found, from which on it is the same object twice.
    alike
        Areas of two daughters differ at most by this factor.
    lost
        A mother that is followed by one of its daughters is at most this share of what it was.
    kept
        Least and greatest share of a mother's area that its daughters have together.
    newborn
        Daughters are at most so large in shares of the usual object: what parts into objects of
        full size was several, taken together.
    parted
        IoU of a mother with her daughters together from which on a newcomer is one of them: they
        may have moved apart already.
    grounded
        Share of a newcomer that lies where its mother was, at least: elsewhere it comes from
        outside, or from a neighbour.
    sure
        Confidence that a proposal needs to be an object of its own.
    certain
        Confidence from which on a proposal's outline is shown as it is: that of label images.
    """

    confirm: int = 3
    same: float = 0.4
    snap: float = 0.5
    inside: float = 0.6
    alike: float = 2.0
    lost: float = 0.8
    kept: tuple[float, float] = (0.5, 1.5)
    newborn: float = 1.1
    parted: float = 0.3
    grounded: float = 0.4
    sure: float = 0.35
    certain: float = 1.0


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
    tracked: Mapping[ObjectId, ObjectMask],
    expected: Mapping[ObjectId, ObjectMask],
    proposed: Sequence[ObjectMask],
    rules: LineageRules,
) -> Belonging:
    """Assign proposals to tracked objects by overlap, each to one at most.

    Parameters
    ----------
    expected
        Where objects would be if they moved with the frame: of those whose tracked mask no proposal
        is like, for the tracker may have lost them.
    """
    found = Belonging()
    objects = list(tracked)
    sizes = np.array([mask.area for mask in proposed], float)
    common = _common([tracked[obj] for obj in objects], proposed)
    areas = np.array([tracked[obj].area for obj in objects], float)
    _assign(objects, common, areas, sizes, found, rules)
    lost = [obj for obj in expected if obj not in found.of]
    moved = [expected[obj] for obj in lost]
    ground = np.array([mask.area for mask in moved], float)
    _assign(lost, _common(moved, proposed), ground, sizes, found, rules)
    taken = set(found.of.values())
    # A proposal that holds several objects is of none of them alone.
    holds = common / np.maximum(areas[:, None], 1) >= rules.inside
    doubled = {obj for obj in objects if _is_doubled(obj, tracked, found, rules)}
    for column in range(len(proposed)):
        held = [objects[row] for row in np.flatnonzero(holds[:, column])]
        held = [obj for obj in held if obj not in doubled]
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
        else:
            found.free.append(column)
    return found


def _is_doubled(
    obj: ObjectId, tracked: Mapping[ObjectId, ObjectMask], found: Belonging, rules: LineageRules
) -> bool:
    """Whether an object that was not found lies on one that was: its track slid onto that."""
    mask = tracked[obj]
    return obj not in found.of and any(
        mask.intersection_with(tracked[other]) >= rules.inside * mask.area
        for other in found.of
        if other in tracked
    )


def _common(masks: Sequence[ObjectMask], proposed: Sequence[ObjectMask]) -> NDArray[np.float64]:
    """Pixels that each mask has in common with each proposal."""
    common = [mask.intersection_with(other) for mask in masks for other in proposed]
    return np.reshape(np.array(common, float), (len(masks), len(proposed)))


def _assign(
    objects: Sequence[ObjectId],
    common: NDArray[np.float64],
    areas: NDArray[np.float64],
    sizes: NDArray[np.float64],
    found: Belonging,
    rules: LineageRules,
) -> None:
    """Give each object the proposal that is like it, of those that nobody has."""
    iou = common / np.maximum(areas[:, None] + sizes[None] - common, 1)
    iou[:, list(found.of.values())] = 0
    rows, columns = linear_sum_assignment(-iou)
    for row, column in zip(rows, columns, strict=True):
        if iou[row, column] >= rules.same:
            found.of[objects[row]] = int(column)


def are_daughters(mother_area: float, one: float, other: float, rules: LineageRules) -> bool:
    """Whether two areas may be those of an object's daughters."""
    small, large = sorted((one, other))
    least, most = rules.kept
    together = least * mother_area <= one + other <= most * mother_area
    return together and 0 < large <= rules.alike * small


def were_several(whole: float, parts: Sequence[float], usual: float) -> bool:
    """Whether the parts of an object are objects, and it was several that were taken together.

    They are if each is more like the usual object than the whole is.

    Parameters
    ----------
    whole, parts, usual
        Areas; usual is that of the object of the frames before.
    """
    if not whole or not isfinite(usual):
        return False
    return all(part and abs(log(part / usual)) < log(whole / usual) for part in parts)


def is_whole(mask: ObjectMask) -> bool:
    """Whether the frame's edge does not cut an object: only then its size tells something."""
    (height, width), box = mask.frame_size, mask.box
    return box is not None and min(box[:2]) > 0 and box[2] < width and box[3] < height


def in_place_of(mother: ObjectMask, daughters: ObjectMask) -> float:
    """IoU of an object with its daughters together, moved to where these are."""
    if mother.centroid is None or daughters.centroid is None:
        return 0.0
    dx, dy = (
        round(there - here) for here, there in zip(mother.centroid, daughters.centroid, strict=True)
    )
    return mother.moved(dx, dy).iou_with(daughters)
