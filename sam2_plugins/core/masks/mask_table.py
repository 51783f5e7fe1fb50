"""MaskTable: the masks of all objects of a movie, by frame and object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from sam2_plugins.core.masks.masklet import Masklet
from sam2_plugins.core.masks.object_mask import ObjectId, ObjectMask

Frame = TypeVar("Frame", int, tuple[int, ...])
Obj = TypeVar("Obj", bound=ObjectId)


class MaskTable(Generic[Frame, Obj]):
    """Masks by frame and object, in any order; objects may overlap.

    One thread may add to it while others read.

    Parameters
    ----------
    frames
        A frame and its masks each. The last mask of an object on a frame counts.
    """

    def __init__(self, frames: Iterable[tuple[Frame, Mapping[Obj, ObjectMask]]] = ()) -> None:
        self._masks: dict[Frame, dict[Obj, ObjectMask]] = {}
        self._known: dict[Obj, set[Frame]] = {}
        for frame, masks in frames:
            self.add(frame, masks)

    @property
    def frames(self) -> list[Frame]:
        """Frames with a mask, in order of time."""
        return sorted(frame for frame, masks in list(self._masks.items()) if masks)

    @property
    def objects(self) -> list[Obj]:
        """Objects with a mask, in the order in which they came."""
        return [obj for obj, frames in list(self._known.items()) if frames]

    def get(self, frame: Frame, obj: Obj) -> ObjectMask | None:
        """Return a mask; None if nothing is known of the object on that frame."""
        return self._masks.get(frame, {}).get(obj)

    def put(self, frame: Frame, obj: Obj, mask: ObjectMask | None) -> ObjectMask | None:
        """Set a mask, or remove it; return what was there."""
        here = self._masks.setdefault(frame, {})
        before = here.get(obj)
        if mask is not None:
            here[obj] = mask
            self._known.setdefault(obj, set()).add(frame)
        elif before is not None:
            del here[obj]
            self._known[obj].discard(frame)
        return before

    def add(self, frame: Frame, masks: Mapping[Obj, ObjectMask]) -> None:
        """Set masks of a frame."""
        for obj, mask in masks.items():
            self.put(frame, obj, mask)

    def on_frame(self, frame: Frame) -> dict[Obj, ObjectMask]:
        """Masks of a frame by object."""
        return self._masks.get(frame, {}).copy()

    def frames_of(self, obj: Obj) -> list[Frame]:
        """Frames on which something is known of an object, in order of time."""
        return sorted(self._known.get(obj, set()).copy())

    def of_object(self, obj: Obj) -> dict[Frame, ObjectMask]:
        """Masks of an object by frame, in order of time."""
        return {frame: self._masks[frame][obj] for frame in self.frames_of(obj)}

    def masklet(self: MaskTable[int, Obj], obj: Obj) -> Masklet:
        """One object through time; without masks if none is known."""
        return Masklet(obj, masks=self.of_object(obj))

    def masklets(self: MaskTable[int, Obj]) -> list[Masklet]:
        """All objects through time."""
        return [self.masklet(obj) for obj in self.objects]

    def snapshot(self) -> dict[Frame, dict[Obj, ObjectMask]]:
        """All masks by frame and object."""
        return {frame: masks.copy() for frame, masks in list(self._masks.items()) if masks}
