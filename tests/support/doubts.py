"""The masks of one object along a movie, judged by the core's rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.doubt import Doubt, doubt_of, neighbours


def doubts(
    masks: Mapping[int, ObjectMask],
    prompted: Collection[int],
    others: Callable[[int], Iterable[ObjectMask]] = lambda frame: (),
) -> dict[int, Doubt]:
    """Judge masks by frame; prompted frames are sure."""
    found = {}
    for frame, mask in masks.items():
        before, nearest = neighbours(frame, sorted(prompted))
        doubt = doubt_of(mask, masks.get(before), masks.get(nearest), others(frame))
        found[frame] = Doubt() if frame in prompted else doubt
    return found
