"""Labels for objects: whole numbers that fit into the Labels layer."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.napari_plugin.layers.mask_store import LABELS

LARGEST_LABEL = int(np.iinfo(LABELS).max)


def labels_of(objects: Iterable[ObjectId], taken: Iterable[int]) -> dict[ObjectId, int]:
    """Number objects for a Labels layer: whole numbers keep theirs where it is free and fits."""
    used = set(taken)
    labels: dict[ObjectId, int] = {}
    for obj in objects:
        fits = isinstance(obj, int) and 0 < obj <= LARGEST_LABEL and obj not in used
        labels[obj] = int(obj) if fits else free_label(used)
        used.add(labels[obj])
    return labels


def free_label(used: Collection[int]) -> int:
    """Return the label after the largest in use, or a free one below where that is too large."""
    largest = max(used, default=0)
    if largest < LARGEST_LABEL:
        return largest + 1
    free = next((n for n in range(1, LARGEST_LABEL + 1) if n not in used), None)
    if free is None:
        raise Sam2PluginsError(f"There are {LARGEST_LABEL} objects: delete some for another one.")
    return free
