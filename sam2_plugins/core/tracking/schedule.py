"""Which frames a propagation visits, in which order, and which objects are tracked on each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, TypeAlias

import numpy as np

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.masks import ObjectId

Direction: TypeAlias = Literal["forward", "backward", "both"]
DIRECTIONS = ("forward", "backward", "both")


@dataclass(frozen=True)
class Life:
    """First and last frame, both included, on which an object exists; None: no bound known.

    A daughter is born by a division, and a mother ends with it: neither is tracked beyond.
    """

    first: int | None = None
    last: int | None = None

    def __contains__(self, frame: int) -> bool:
        return not (
            (self.first is not None and frame < self.first)
            or (self.last is not None and frame > self.last)
        )

    def including(self, frame: int) -> Life:
        """Extend a life to a frame."""
        first = None if self.first is None else min(self.first, frame)
        last = None if self.last is None else max(self.last, frame)
        return Life(first, last)


@dataclass(frozen=True)
class Sweep:
    """One run through the movie in one direction.

    Attributes
    ----------
    frames
        In the order of the run; endless where the movie's end is not known.
    prompted
        Sorted prompted frames of each object.
    shared
        The frames between two prompts are shared with a sweep in the other direction: each is
        tracked from the prompt nearest to it.
    lives
        Frames on which an object exists, of those that have a birth or an end.
    """

    frames: Iterable[int]
    reverse: bool
    prompted: Mapping[ObjectId, Sequence[int]]
    shared: bool
    lives: Mapping[ObjectId, Life] = field(default_factory=dict)

    def objects(self, frame: int) -> list[ObjectId]:
        """Objects that this sweep brings to a frame: none before its birth or after its end."""
        return [o for o in self.prompted if self.covers(frame, o)]

    def covers(self, frame: int, obj: ObjectId) -> bool:
        """Whether this sweep brings an object to a frame."""
        if obj in self.lives and frame not in self.lives[obj]:
            return False
        prompts = self.prompted[obj]
        index = bisect_left(prompts, frame)
        if index < len(prompts) and prompts[index] == frame:
            # Of two sweeps that share their frames, the forward one shows the prompted ones.
            return not (self.shared and self.reverse)
        before = prompts[index - 1] if index else None
        after = prompts[index] if index < len(prompts) else None
        origin, other = (after, before) if self.reverse else (before, after)
        if origin is None:
            return False
        if not self.shared or other is None:
            return True
        nearer = abs(frame - origin) - abs(frame - other)
        return nearer < 0 or (nearer == 0 and not self.reverse)


def require_range(
    first: int | None, last: int | None, length: int | None, direction: Direction = "forward"
) -> None:
    """Check that a range of frames fits a movie.

    Raises
    ------
    TrackingError
        If it does not, or has no frame.
    """
    for frame in (first, last):
        if frame is not None and not isinstance(frame, int | np.integer):
            raise TrackingError(f"The first and last frame are whole numbers, not {frame!r}.")
        if frame is not None and (frame < 0 or (length is not None and frame >= length)):
            rest = "" if length is None else f" and ends with {length - 1}"
            raise TrackingError(f"There is no frame {frame}: the movie begins with frame 0{rest}.")
    if first is not None and last is not None and first > last:
        raise TrackingError(f"The range from frame {first} to {last} is empty for {direction!r}.")


def plan_sweeps(
    prompted: Mapping[ObjectId, Sequence[int]],
    direction: Direction,
    start: int | None,
    stop: int | None,
    length: int | None,
    lives: Mapping[ObjectId, Life] | None = None,
) -> list[Sweep]:
    """Plan a propagation.

    Parameters
    ----------
    prompted
        Prompted frames of each object.
    direction, start, stop
        As `VideoTracker.propagate` takes them; for "both" the earlier and the later end.
    length
        Frames of the movie; None if not known.
    lives
        Frames on which an object exists; on all where nothing is given.

    Raises
    ------
    TrackingError
        If the direction is unknown or the range does not fit the movie.
    """
    if direction not in DIRECTIONS:
        raise TrackingError(f"The direction is one of {', '.join(DIRECTIONS)}, not {direction!r}.")
    if direction == "backward":
        start, stop = stop, start
    require_range(start, stop, length, direction)
    by_object = {o: sorted(frames) for o, frames in prompted.items()}
    first = min(frames[0] for frames in by_object.values())
    last = max(frames[-1] for frames in by_object.values())
    both = direction == "both"
    sweeps = []
    if direction != "backward":
        begin = first if start is None else start
        end = stop if stop is not None or length is None else length - 1
        onward = count(begin) if end is None else range(begin, end + 1)
        sweeps.append(Sweep(onward, False, by_object, shared=both, lives=lives or {}))
    if direction != "forward":
        begin = last if stop is None else stop
        back = range(begin, (start or 0) - 1, -1)
        sweeps.append(Sweep(back, True, by_object, shared=both, lives=lives or {}))
    return sweeps


def jumps(
    seen: Mapping[str, Iterable[int]], direction: Direction, start: int | None, stop: int | None
) -> Iterator[str]:
    """Note the objects that are seen only before a range, so that frames between are left out.

    Parameters
    ----------
    seen
        Frames by the name of the object.
    """
    ends = {"forward": [(start, 1)], "backward": [(start, -1)], "both": [(start, 1), (stop, -1)]}
    for begin, way in ends[direction]:
        if begin is None:
            continue
        for name, frames in seen.items():
            gaps = [way * (begin - frame) for frame in frames]
            nearest = min((gap for gap in gaps if gap >= 0), default=0)
            if nearest > 1:
                last = begin - way * nearest
                yield (
                    f"{name} was last seen on frame {last}, and tracking begins with frame "
                    f"{begin}, as if nothing had moved between: prompt it there, or begin earlier."
                )
