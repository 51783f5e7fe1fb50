"""One object through time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from math import nan
from typing import Any

import numpy as np

from sam2_plugins.core.masks.object_mask import ObjectId, ObjectMask


@dataclass
class Masklet:
    """The masks of one object, by frame.

    Frames may be added in any order, as propagation in both directions does; iteration and every
    helper go forward in time.

    Parameters
    ----------
    obj
        The caller's id of the object.
    masks
        Frame (0-based) to mask. An object that is looked for and not there has an empty mask.
    """

    obj: ObjectId
    masks: dict[int, ObjectMask] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[int, ObjectMask]]:
        return iter(sorted(self.masks.items(), key=lambda item: item[0]))

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames where the object has a pixel, in order of time."""
        return tuple(frame for frame, mask in self if mask.visible)

    @property
    def first(self) -> int | None:
        """First frame where the object is seen; None if never."""
        return min(self.frames, default=None)

    @property
    def last(self) -> int | None:
        """Last frame where the object is seen; None if never."""
        return max(self.frames, default=None)

    @property
    def frames_seen(self) -> int:
        """Number of frames where the object has a pixel."""
        return len(self.frames)

    @property
    def mean_iou(self) -> float:
        """Mean predicted IoU over the frames where the object is seen, of masks that have one."""
        return _mean([mask.iou for mask in self.masks.values() if mask.visible])

    @property
    def mean_score(self) -> float:
        """Mean object score over the frames where the object is seen.

        A logit: above 0, the model believes the object to be there.
        """
        return _mean([mask.score for mask in self.masks.values() if mask.visible])

    def summary(self) -> dict[str, Any]:
        """Return a summary as plain values: the id and the properties.

        `frames_tracked` counts the frames on which it was looked for.
        """
        names = ("frames_seen", "first", "last", "mean_iou", "mean_score")
        known = {name: getattr(self, name) for name in names}
        return {"object": self.obj, "frames_tracked": len(self), **known}


def spans_of(frames: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last frame of each unbroken run of frames."""
    numbered = enumerate(sorted(frames))
    runs = (list(run) for _, run in groupby(numbered, lambda item: item[1] - item[0]))
    return [(run[0][1], run[-1][1]) for run in runs]


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else nan
