"""The masks of one object by frame, in a few hundred bytes each, and which of them are current."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from sam2_plugins.core.masks import ObjectMask


@dataclass(frozen=True, slots=True)
class _Packed:
    """A mask in a few hundred bytes, so that the results of a long movie fit in memory."""

    data: bytes
    shape: tuple[int, int]
    offset: tuple[int, int]
    iou: float
    score: float

    @classmethod
    def of(cls, mask: ObjectMask) -> _Packed:
        data = zlib.compress(np.packbits(mask.crop).tobytes(), 1)
        h, w = mask.crop.shape
        return cls(data, (h, w), mask.offset, mask.iou, mask.score)

    def unpack(self, frame_size: tuple[int, int]) -> ObjectMask:
        bits = np.frombuffer(zlib.decompress(self.data), np.uint8)
        h, w = self.shape
        crop = np.unpackbits(bits, count=h * w).reshape(h, w).astype(bool)
        return ObjectMask(crop, self.offset, frame_size, self.iou, self.score)


class MaskRecord:
    """The masks of one object by frame, packed.

    After a correction some do not follow from the prompts any more. They stand until a track comes
    that is better.
    """

    def __init__(self, frame_size: tuple[int, int]) -> None:
        self._frame_size = frame_size
        self._packed: dict[int, _Packed] = {}
        self._current: set[int] = set()
        self._standing: dict[int, frozenset[int]] = {}
        # The last mask is wanted again at once, for the result and for the next frame.
        self._last: tuple[int, ObjectMask] | None = None

    def __contains__(self, frame: int) -> bool:
        return frame in self._packed

    def __len__(self) -> int:
        return len(self._packed)

    @property
    def frames(self) -> list[int]:
        """Frames that have a mask, in order of time."""
        return sorted(self._packed)

    def get(self, frame: int) -> ObjectMask | None:
        """Return the mask of a frame: empty if the object is not there, None if never tracked."""
        if self._last is not None and self._last[0] == frame:
            return self._last[1]
        packed = self._packed.get(frame)
        return None if packed is None else packed.unpack(self._frame_size)

    def masks(self) -> dict[int, ObjectMask]:
        """Return all masks by frame, in order of time; empty where the object is not there."""
        return {frame: self._packed[frame].unpack(self._frame_size) for frame in self.frames}

    def put(self, frame: int, mask: ObjectMask) -> None:
        """Set the mask of a frame."""
        self._packed[frame] = _Packed.of(mask)
        self._last = frame, mask
        self.keep(frame)

    def drop(self, frame: int) -> None:
        """Forget a frame."""
        self._packed.pop(frame, None)
        self._last = None
        self._current.discard(frame)
        self._standing.pop(frame, None)

    def is_current(self, frame: int) -> bool:
        """Whether the mask of a frame still follows from the prompts."""
        return frame in self._current

    @property
    def current(self) -> frozenset[int]:
        """Frames whose masks follow from the prompts."""
        return frozenset(self._current)

    def outdate(self, frames: Collection[int], by: int | None = None) -> None:
        """Mark masks as not following from the prompts any more.

        Parameters
        ----------
        by
            The prompted frame that was corrected: they stand until a better one comes. None:
            whatever comes replaces them.
        """
        for frame in frames:
            if by is None:
                self._standing.pop(frame, None)
            elif frame in self._current:
                self._standing[frame] = frozenset((by,))
            elif frame in self._standing:
                self._standing[frame] |= {by}
        self._current.difference_update(frames)

    def standing(self, frame: int) -> ObjectMask | None:
        """Return the mask that stands on a frame until a better one comes; None if none does."""
        return self.get(frame) if frame in self._standing else None

    def corrections(self, frame: int) -> frozenset[int]:
        """Prompted frames that were corrected since the standing mask of a frame was tracked."""
        return self._standing.get(frame, frozenset())

    @property
    def all_standing(self) -> dict[int, tuple[ObjectMask, frozenset[int]]]:
        """The masks that stand until better ones come, and their corrections, by frame."""
        masks = ((f, self.get(f), by) for f, by in sorted(self._standing.items()))
        return {frame: (mask, by) for frame, mask, by in masks if mask is not None}

    def stand(self, frame: int, mask: ObjectMask, corrections: frozenset[int]) -> None:
        """Set a mask that stands until a better one comes."""
        self.put(frame, mask)
        self._current.discard(frame)
        self._standing[frame] = corrections

    def keep(self, frame: int) -> None:
        """Let the mask that is there follow from the prompts."""
        self._current.add(frame)
        self._standing.pop(frame, None)

    def copy(self) -> MaskRecord:
        """Copy the record; the packed masks, which never change, are shared."""
        other = MaskRecord(self._frame_size)
        other._packed, other._current = dict(self._packed), set(self._current)
        other._standing = dict(self._standing)
        return other
