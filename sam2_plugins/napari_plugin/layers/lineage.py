"""The lineage of cells, and the Tracks layer that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin.layers.mask_store import Index, MaskStore

Tracks: TypeAlias = "tuple[NDArray[np.float64], dict[int, list[int]]]"

MOST_POINTS = 10_000
"""That the paths are drawn through."""


class Lineage:
    """Daughters and their mothers, by label."""

    def __init__(self) -> None:
        self.mothers: dict[int, int] = {}

    def add(self, mother: int, daughter: int) -> None:
        """Record that a cell is a daughter of another."""
        self.mothers[daughter] = mother

    def remove(self, label: int) -> dict[int, int]:
        """Remove a cell; its daughters lose their mother. Return its entries."""
        related = {d: m for d, m in self.mothers.items() if label in (d, m)}
        for daughter in related:
            del self.mothers[daughter]
        return related


def tracks_of(
    store: MaskStore, lineage: Lineage, labels: Iterable[int], limit: int = MOST_POINTS
) -> Tracks:
    """Centroids through time, as a Tracks layer takes them.

    Parameters
    ----------
    limit
        Of more points than that, every other one is left out, or more, but for the ends of tracks:
        what napari does with them in the window's thread takes 18 microseconds a point.

    Returns
    -------
    data
        [n, 1 + ndim]: label, leading axes (time first), y, x; the middle of an object that is in
        several planes of one time point.
    graph
        Daughter to its mother, both of which have a track.
    """
    wanted = set(labels)
    seen: dict[int, dict[Index, list[tuple[Index, ObjectMask]]]] = {}
    for index, masks in sorted(store.snapshot().items()):
        for label, mask in masks.items():
            if label in wanted and mask.visible:
                seen.setdefault(label, {}).setdefault(index[:1], []).append((index, mask))
    step = -(-sum(map(len, seen.values())) // limit) or 1
    rows: list[tuple[float, ...]] = []
    for label, times in sorted(seen.items()):
        for n, planes in enumerate(times.values()):
            if n % step == 0 or n == len(times) - 1:
                rows.append((label, *_middle(planes)))
    graph = {
        daughter: [mother]
        for daughter, mother in lineage.mothers.items()
        if daughter in seen and mother in seen
    }
    return np.array(rows, float).reshape(-1, 1 + store.ndim), graph


def _middle(planes: Sequence[tuple[Index, ObjectMask]]) -> tuple[float, ...]:
    """Leading axes, y and x of the middle of an object, which is seen in some planes."""
    index, mask = planes[0]
    if len(planes) == 1 and mask.centroid is not None:
        return (*index, *mask.centroid[::-1])
    areas = [mask.area for _, mask in planes]
    places = [(*index, *(mask.centroid or (0, 0))[::-1]) for index, mask in planes]
    return tuple(float(n) for n in np.average(places, axis=0, weights=areas))


def show_tracks(layer: Any, data: NDArray[np.float64], graph: dict[int, list[int]]) -> None:
    """Put new tracks into a Tracks layer: new data resets its graph, so that comes after it."""
    layer.graph = {}
    layer.data = data
    layer.graph = graph
