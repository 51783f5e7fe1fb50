"""Tracks as a graph: a spot for each object and frame, an edge from each to where it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from sam2_plugins.core.export.registry import Masks, Numbering
from sam2_plugins.core.masks import ObjectId, ObjectMask


@dataclass(frozen=True)
class Spot:
    """One object on one frame."""

    id: int
    obj: ObjectId
    label: int
    frame: int
    mask: ObjectMask

    @property
    def centre(self) -> tuple[float, float]:
        """Middle (x, y) in pixels."""
        assert self.mask.centroid is not None
        return self.mask.centroid


class TrackGraph:
    """Collects spots frame by frame.

    Parameters
    ----------
    parents
        Daughter to mother. A mother's last spot before a daughter's first one leads to it.
    """

    def __init__(self, numbering: Numbering, parents: Mapping[ObjectId, ObjectId]) -> None:
        self._numbering = numbering
        self._parents = parents  # divisions may come later
        self.spots: list[Spot] = []

    def add(self, frame: int, masks: Masks) -> None:
        """Add the objects that are seen on a frame."""
        for obj, mask in masks.items():
            if mask.visible:
                spot = Spot(len(self.spots), obj, self._numbering.label(obj), frame, mask)
                self.spots.append(spot)

    def edges(self) -> list[tuple[Spot, Spot]]:
        """Pairs of spots, the earlier one first; over gaps too."""
        by_object: dict[ObjectId, list[Spot]] = {}
        for spot in sorted(self.spots, key=lambda spot: spot.frame):
            by_object.setdefault(spot.obj, []).append(spot)
        edges = []
        for obj, spots in by_object.items():
            edges += list(pairwise(spots))
            before = [s for s in by_object.get(self._parents.get(obj, obj), ()) if s.obj != obj]
            earlier = [spot for spot in before if spot.frame < spots[0].frame]
            if earlier:
                edges.append((earlier[-1], spots[0]))
        return edges
