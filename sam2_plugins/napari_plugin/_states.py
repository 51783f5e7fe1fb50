"""How sure the masks of each frame are, for the strip under the frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from sam2_plugins.napari_plugin._frames import Line
from sam2_plugins.napari_plugin._store import MaskStore

DOUBTFUL_IOU = 0.6
"""Masks of a lower predicted IoU should be looked at."""


class Kind(IntEnum):
    """What is known of a frame; of several objects, the highest is shown."""

    UNKNOWN = 0
    TRACKED = 1
    PROMPTED = 2
    LOST = 3
    DOUBTFUL = 4


@dataclass(frozen=True)
class FrameState:
    """One frame: its kind, and the lowest predicted IoU (None if nothing is predicted)."""

    kind: Kind
    iou: float | None = None


def states_along(
    store: MaskStore,
    line: Line,
    length: int,
    labels: Sequence[int],
    said: Iterable[tuple[int, int]],
) -> list[FrameState]:
    """Look at every frame of a line; `said` are the frames and labels of prompts."""
    told = set(said)
    return [_state(store, line, frame, labels, told) for frame in range(length)]


def doubtful(states: Sequence[FrameState]) -> list[int]:
    """Frames to look at: unsure ones, and those where an object is lost first."""
    return [
        frame
        for frame, state in enumerate(states)
        if state.kind is Kind.DOUBTFUL
        or (state.kind is Kind.LOST and (frame == 0 or states[frame - 1].kind is not Kind.LOST))
    ]


def worst_by_column(states: Sequence[FrameState], columns: int) -> list[Kind]:
    """Share frames out among fewer columns, each of which shows what most needs to be seen."""
    edges = [column * len(states) // columns for column in range(columns + 1)]
    return [max(state.kind for state in states[first:end]) for first, end in pairwise(edges)]


def _state(
    store: MaskStore, line: Line, frame: int, labels: Sequence[int], said: set[tuple[int, int]]
) -> FrameState:
    kind, worst = Kind.UNKNOWN, None
    index = line.index(frame)
    for label in labels:
        mask = store.get(index, label)
        if mask is None:
            continue
        sure = mask.iou == mask.iou  # nan: by a person
        if (frame, label) in said:
            here = Kind.PROMPTED
        elif not mask.visible:
            here = Kind.LOST
        else:
            here = Kind.DOUBTFUL if sure and mask.iou < DOUBTFUL_IOU else Kind.TRACKED
        kind = max(kind, here)
        if sure and mask.visible:
            worst = mask.iou if worst is None else min(worst, mask.iou)
    return FrameState(kind, worst)
