"""The state of each frame's masks, for the strip under the frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import TypeAlias

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.doubt import (
    DISOBEYED,
    LOST,
    Doubt,
    doubt_of,
    neighbours,
    obeyed,
)
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Index, MaskStore

Judged: TypeAlias = "tuple[ObjectMask | None, ...]"
"""A mask, the one that it was tracked from, that of the nearest prompt, and its neighbours."""


class Kind(IntEnum):
    """The state of an object on a frame; of several objects, the highest is shown."""

    OUTSIDE = 0  # of its life
    UNKNOWN = 1
    TRACKED = 2
    PROMPTED = 3
    LOST = 4
    DOUBTFUL = 5


@dataclass(frozen=True)
class FrameState:
    """One frame: its kind, the lowest predicted IoU (None if nothing is predicted), and why one
    should look at it, at which object.
    """

    kind: Kind
    iou: float | None = None
    reasons: tuple[str, ...] = ()
    label: int | None = None


class Doubts:
    """Judges masks by the core's rule; again only what has changed, or what it comes from."""

    def __init__(self) -> None:
        self._known: dict[tuple[MaskStore, Index, int], tuple[Judged, Doubt]] = {}

    def of(
        self, store: MaskStore, line: Line, frame: int, label: int, origins: Sequence[int]
    ) -> Doubt:
        """Judge a tracked mask; `origins` are the prompted frames of its object, in order."""
        index = line.index(frame)
        before, nearest = neighbours(frame, origins)
        mask = store.get(index, label)
        assert mask is not None
        tracked_from = store.get(line.index(before), label)
        prompted = store.get(line.index(nearest), label) if origins else None
        others = store.neighbours(index, label)
        judged = (mask, tracked_from, prompted, *others)
        key = (store, index, label)
        known = self._known.get(key)
        if known is None or [*map(id, known[0])] != [*map(id, judged)]:
            doubt = doubt_of(mask, tracked_from, prompted, others)
            known = self._known[key] = (judged, doubt)
        return known[1]


def states_along(
    store: MaskStore,
    line: Line,
    length: int,
    labels: Sequence[int],
    prompts: Iterable[tuple[int, int]],
    judge: Doubts | None = None,
    lives: Mapping[int, Life] | None = None,
) -> list[FrameState]:
    """Return the states of all frames of a line.

    Parameters
    ----------
    prompts
        Frames and labels of prompts; with the prompts themselves, those that are not obeyed are
        noticed.
    lives
        Of the objects that begin or end in the movie.
    """
    known = dict(prompts) if isinstance(prompts, Mapping) else dict.fromkeys(prompts, ())
    judge = judge or Doubts()
    origins: dict[int, list[int]] = {label: [] for label in labels}
    for frame, label in sorted(known):
        if label in origins:
            origins[label].append(frame)
    bounds = [(lives or {}).get(label, Life()) for label in labels] or [Life()]
    states = []
    for frame in range(length):
        state = _state(store, line, frame, origins, known, judge)
        outside = state == FrameState(Kind.UNKNOWN) and not any(frame in life for life in bounds)
        states.append(FrameState(Kind.OUTSIDE) if outside else state)
    return states


def doubtful(states: Sequence[FrameState]) -> list[int]:
    """Doubtful frames: unsure ones, and the first one of each loss."""
    return [
        frame
        for frame, state in enumerate(states)
        if state.kind is Kind.DOUBTFUL
        or (state.kind is Kind.LOST and (frame == 0 or states[frame - 1].kind is not Kind.LOST))
    ]


def worst_by_column(states: Sequence[FrameState], columns: int) -> list[Kind]:
    """Assign frames to fewer columns, each of which shows its worst state."""
    edges = [column * len(states) // columns for column in range(columns + 1)]
    return [max(state.kind for state in states[first:end]) for first, end in pairwise(edges)]


def _state(
    store: MaskStore,
    line: Line,
    frame: int,
    origins: Mapping[int, Sequence[int]],
    prompts: Mapping[tuple[int, int], Sequence[Prompt]],
    judge: Doubts,
) -> FrameState:
    kind, worst = Kind.UNKNOWN, None
    reasons: tuple[str, ...] = ()
    most: int | None = None
    index = line.index(frame)
    for label in origins:
        mask = store.get(index, label)
        if mask is None:
            continue
        if (frame, label) in prompts:
            doubt = Doubt() if obeyed(mask, prompts[frame, label]) else DISOBEYED
            here = Kind.DOUBTFUL if doubt.doubtful else Kind.PROMPTED
        elif not mask.visible:
            doubt, here = LOST, Kind.LOST
        else:
            doubt = judge.of(store, line, frame, label, origins[label])
            here = Kind.DOUBTFUL if doubt.doubtful else Kind.TRACKED
        if here > kind:
            kind, reasons, most = here, doubt.reasons, label
        if mask.iou == mask.iou and mask.visible:  # not nan: no model made it
            worst = mask.iou if worst is None else min(worst, mask.iou)
    return FrameState(kind, worst, reasons if kind is Kind.DOUBTFUL else (), most)
