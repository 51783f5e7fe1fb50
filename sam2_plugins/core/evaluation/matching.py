"""Matches the objects of a result with the true ones, frame by frame, and the tracks of both.

The rule is that of the Cell Tracking Challenge: an object of the result stands for a true one if it
covers more than half of it. So a true object has one counterpart at most; one of the result may
stand for several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.datasets.ctc import Track
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.evaluation.labelled_tracks import LabelledTracks


@dataclass(frozen=True)
class FrameMatch:
    """The objects of one frame.

    Attributes
    ----------
    truth, result
        Those that are there, in order.
    standing
        True object to the one of the result that stands for it.
    ious
        True object to the intersection over union with that one.
    """

    truth: tuple[int, ...]
    result: tuple[int, ...]
    standing: Mapping[int, int]
    ious: Mapping[int, float]


@dataclass(frozen=True)
class TrackMatch:
    """A result laid over a truth.

    Attributes
    ----------
    frames
        One for each frame that has a truth; objects are named by their tracks.
    numbers
        The movie's frame of each.
    outlines
        One for each frame with exact outlines, by labels.
    truth, result
        The tracks by name; their begins and ends are positions in `frames`.
    """

    frames: tuple[FrameMatch, ...]
    numbers: tuple[int, ...]
    outlines: tuple[FrameMatch, ...]
    truth: Mapping[int, Track]
    result: Mapping[int, Track]


def match_tracks(result: LabelledTracks, truth: LabelledTracks) -> TrackMatch:
    """Match a result with a truth.

    Raises
    ------
    FrameSourceError
        If they do not have as many frames, or not of the same size.
    """
    if len(result.images) != len(truth.images):
        raise FrameSourceError(
            f"{result.name} has {len(result.images)} frames, but the truth {truth.name} has "
            f"{len(truth.images)}: they have to be of the same movie."
        )
    numbers = tuple(
        range(len(truth.images)) if truth.annotated is None else sorted(truth.annotated)
    )
    raw = [_match(truth.images[frame], result.images[frame], frame) for frame in numbers]
    outlines = raw
    if truth.outlines is not None:
        outlines = [_match(t, result.images[frame], frame) for frame, t in truth.outlines.items()]
    true_names, true_tracks = tracks_of([match.truth for match in raw], truth.parents)
    names, tracks = tracks_of([match.result for match in raw], result.parents)
    frames = tuple(
        FrameMatch(
            tuple(sorted(true.values())),
            tuple(sorted(ours.values())),
            {true[label]: ours[other] for label, other in match.standing.items()},
            {true[label]: iou for label, iou in match.ious.items()},
        )
        for match, true, ours in zip(raw, true_names, names, strict=True)
    )
    return TrackMatch(frames, numbers, tuple(outlines), true_tracks, tracks)


def tracks_of(
    seen: Sequence[Collection[int]], parents: Mapping[int, int]
) -> tuple[list[dict[int, int]], dict[int, Track]]:
    """Cut what labels were seen into tracks as the Cell Tracking Challenge has them.

    A track has no gap, and ends where it divides: a label that comes back, or that goes on beside
    its daughter, goes on as a new track, whose parent is the one before.

    Returns
    -------
    list of dict, dict
        Label to track of each frame; and the tracks. The first track of a label has its number.
    """
    of_label: dict[int, list[int]] = {}
    tracks: dict[int, Track] = {}
    names: list[dict[int, int]] = []
    fresh = max((label for labels in seen for label in labels), default=0) + 1
    for frame, labels in enumerate(seen):
        dividing = {parents.get(label) for label in labels if label not in of_label}
        for label in labels:
            before = of_label.get(label, [])
            if before and tracks[before[-1]].end == frame - 1 and label not in dividing:
                tracks[before[-1]] = tracks[before[-1]]._replace(end=frame)
                continue
            ancestors = before or of_label.get(parents.get(label, label), [])
            ended = [name for name in ancestors if tracks[name].end < frame]
            name = fresh if before else label
            fresh += bool(before)
            of_label.setdefault(label, []).append(name)
            tracks[name] = Track(frame, frame, ended[-1] if ended else 0)
        names.append({label: of_label[label][-1] for label in labels})
    return names, tracks


def objects_of(tracks: Mapping[int, Track]) -> dict[int, int]:
    """Track to the object whose track it is: that of its parent, where it is the only child."""
    children = Counter(track.parent for track in tracks.values())
    objects: dict[int, int] = {}
    for name, track in sorted(tracks.items(), key=lambda item: item[1].begin):
        goes_on = track.parent in objects and children[track.parent] == 1
        objects[name] = objects[track.parent] if goes_on else name
    return objects


def _match(truth: NDArray[Any], result: NDArray[Any], frame: int) -> FrameMatch:
    """Match two label images."""
    if truth.shape != result.shape:
        raise FrameSourceError(
            f"Frame {frame} is {result.shape} in the result and {truth.shape} in the truth: "
            "(height, width) must be equal."
        )
    somewhere = (truth > 0) | (result > 0)
    labels, place = np.unique(truth[somewhere], return_inverse=True)
    others, other_place = np.unique(result[somewhere], return_inverse=True)
    shared = np.zeros((len(labels), len(others)), np.int64)
    np.add.at(shared, (place, other_place), 1)
    area, other_area = shared.sum(1, keepdims=True), shared.sum(0, keepdims=True)
    iou = shared / np.maximum(area + other_area - shared, 1)
    real = (labels > 0)[:, None] & (others > 0)
    pairs = np.argwhere((2 * shared > area) & real)
    return FrameMatch(
        tuple(labels[labels > 0].tolist()),
        tuple(others[others > 0].tolist()),
        {int(labels[i]): int(others[j]) for i, j in pairs},
        {int(labels[i]): float(iou[i, j]) for i, j in pairs},
    )
