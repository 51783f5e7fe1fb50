"""The masks behind a Labels layer: one crop per object and frame, composed when napari reads.

Overlapping objects keep all their pixels, memory goes with the objects' areas and not with the
movie, and taking back a run swaps entries. Reading and painting work as on an array.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import product
from math import nan
from typing import Any, TypeAlias
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.masks import MaskTable, ObjectId, ObjectMask, compose_label_image

Index: TypeAlias = "tuple[int, ...]"
"""Where a frame is along the leading axes: (t,), (t, z), or () for one image."""

Entry: TypeAlias = "tuple[Index, int]"
Change: TypeAlias = "dict[Entry, ObjectMask | None]"
"""What was there before: mask by frame and label; None if nothing was."""
Patch: TypeAlias = "dict[Index, dict[int, ObjectMask | None]]"
"""The same by frame, as many masks are swapped."""
LABELS = np.dtype(np.uint16)
"""Of the layer: napari draws labels of up to 16 bits quickly, and exports have 16 bits."""
LARGEST_LABEL = int(np.iinfo(LABELS).max)
OnEdit: TypeAlias = "Callable[[Index, dict[int, ObjectMask | None]], None]"
OnPut: TypeAlias = "Callable[[Index, Mapping[int, ObjectMask | None]], None]"
_Boxes: TypeAlias = "tuple[NDArray[np.intp], list[ObjectMask], NDArray[np.intp]]"


class MaskStore(MaskTable[Index, int]):
    """Masks by frame and label, which a Labels layer takes for an array.

    Parameters
    ----------
    shape
        Of the layer: leading axes, height, width.

    Attributes
    ----------
    changes
        Number of masks that were set or removed.
    on_edit
        Called after a person painted, or undid that, with the frame and the masks from before, by
        label.
    on_put
        Called after masks of a frame were set or removed, in the thread in which that was done.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(int(n) for n in shape)
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))
        self.dtype = LABELS
        self.on_edit: OnEdit = lambda index, before: None
        self.on_put: OnPut = lambda index, masks: None
        self.changes = 0
        self._versions: dict[int, int] = {}
        self._frame_versions: dict[Index, int] = {}
        self._boxes: dict[Index, tuple[int, _Boxes]] = {}

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.shape[-2], self.shape[-1]

    def __deepcopy__(self, memo: Any) -> MaskStore:
        """Copy the masks, for napari to duplicate the layer; nobody listens to the copy."""
        copy = MaskStore(self.shape)
        copy.swap({index: dict(masks) for index, masks in self.snapshot().items()})
        return copy

    # -- masks

    def on_frame(self, index: Index) -> dict[int, ObjectMask]:
        """All masks of a frame by label, in order of label."""
        return dict(sorted(super().on_frame(index).items()))

    def neighbours(self, index: Index, label: int) -> list[ObjectMask]:
        """Masks of the other objects on a frame whose boxes meet that of an object, in no order."""
        labels, masks, boxes = self._boxes_on(index)
        mine = boxes[labels == label]
        if not len(mine):
            return []
        (x0, y0, x1, y1), (u0, v0, u1, v1) = mine[0], boxes.T
        meets = (x0 < u1) & (u0 < x1) & (y0 < v1) & (v0 < y1) & (labels != label)
        return [masks[i] for i in np.flatnonzero(meets)]

    def _boxes_on(self, index: Index) -> _Boxes:
        """Labels [n], visible masks, and their boxes [n, 4] on a frame."""
        version = self._frame_versions.get(index, 0)
        known = self._boxes.get(index)
        if known is None or known[0] != version:
            seen = [(n, m) for n, m in super().on_frame(index).items() if m.visible]
            boxes = np.array([mask.box for _, mask in seen], int).reshape(-1, 4)
            labels = np.array([label for label, _ in seen], int)
            known = self._boxes[index] = version, (labels, [mask for _, mask in seen], boxes)
        return known[1]

    def put(self, index: Index, label: int, mask: ObjectMask | None) -> ObjectMask | None:
        """Set a mask, or remove it; return the earlier one."""
        return self.swap({index: {label: mask}})[index][label]

    def remove(self, label: int) -> Change:
        """Remove an object from all frames; return the masks that undo it."""
        return {(index, label): self.put(index, label, None) for index in self.frames_of(label)}

    def indices(self, label: int) -> list[Index]:
        """Call `frames_of`; earlier name, for scripts."""
        warn("MaskStore.indices is frames_of now.", DeprecationWarning, stacklevel=2)
        return self.frames_of(label)

    def version(self, label: int) -> int:
        """Return a number that changes with every mask of an object."""
        return self._versions.get(label, 0)

    def swap(self, patch: Patch) -> Patch:
        """Set masks, or remove them; return the masks that undo it."""
        back: Patch = {}
        for index, masks in patch.items():
            here = self._masks.setdefault(index, {})
            back[index] = before = {label: here.get(label) for label in masks}
            for label, mask in masks.items():
                if mask is not None:
                    here[label] = mask
                    if before[label] is None:
                        self._known.setdefault(label, set()).add(index)
                elif before[label] is not None:
                    del here[label]
                    self._known[label].discard(index)
            self.changes += len(masks)
            self._frame_versions[index] = self._frame_versions.get(index, 0) + 1
            self.on_put(index, masks)
        for label in set().union(*patch.values()):
            self._versions[label] = self._versions.get(label, 0) + 1
        return back

    # -- an array for napari

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self[(slice(None),) * self.ndim]
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, key: Any) -> Any:
        key = self._expanded(key)
        if any(isinstance(part, np.ndarray) for part in key):
            return self._pick(key)
        indices, shape = self._frames(key)
        planes = [self._compose(index)[key[-2:]] for index in indices]
        found = np.array(planes, self.dtype).reshape(shape)
        return found if found.ndim else found[()]

    def __setitem__(self, key: Any, value: Any) -> None:
        key = self._expanded(key)
        if any(isinstance(part, np.ndarray) for part in key):
            self._place(key, value)
            return
        indices, shape = self._frames(key)
        values = np.broadcast_to(np.asarray(value), shape)
        leading = sum(isinstance(part, slice) for part in key[:-2])
        planes = values.reshape(len(indices), *shape[leading:])
        for index, plane in zip(indices, planes, strict=True):
            after = self._compose(index)
            after[key[-2:]] = plane
            self._paint(index, after)

    def take(self, labels: Any) -> None:
        """Take over an array of labels where it differs, as if a person had painted that.

        Raises
        ------
        Sam2PluginsError
            If it is of another shape, or has labels that are not possible here.
        """
        if tuple(labels.shape) != self.shape:
            raise Sam2PluginsError(
                f"The labels have shape {tuple(labels.shape)}, and the image {self.shape}: the "
                "masks are as before."
            )
        for index in np.ndindex(self.shape[:-2]):
            plane = np.asarray(labels[index])
            if plane.min() < 0 or plane.max() > LARGEST_LABEL:
                raise Sam2PluginsError(
                    f"The labels of frame {index} are not all from 0 to {LARGEST_LABEL}: the masks "
                    "there are as before."
                )
            if (plane != self._compose(index)).any():
                self[index] = plane

    def _frames(self, key: tuple[Any, ...]) -> tuple[list[Index], tuple[int, ...]]:
        """Frames that an index without arrays means, and the shape of what is there."""
        leading = key[:-2]
        frames = [_range(part, n) for part, n in zip(leading, self.shape, strict=False)]
        kept = [len(f) for f, part in zip(frames, leading, strict=True) if isinstance(part, slice)]
        plane = np.broadcast_to(self.dtype.type(0), self.frame_size)[key[-2:]]
        return list(product(*frames)), (*kept, *plane.shape)

    def _expanded(self, key: Any) -> tuple[Any, ...]:
        """Write an index out for every axis, with integers for numpy's and arrays for lists."""
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in [part for part in key if not isinstance(part, np.ndarray)]:
            at = next(i for i, part in enumerate(key) if part is Ellipsis)
            key = (*key[:at], *[slice(None)] * (self.ndim - len(key) + 1), *key[at + 1 :])
        if len(key) > self.ndim:
            raise IndexError(f"{len(key)} indices for {self.ndim} axes.")
        key = (*key, *[slice(None)] * (self.ndim - len(key)))
        return tuple(_plain(part) for part in key)

    def _pick(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Read single pixels: an array of coordinates for each axis."""
        *leading, rows, columns = self._coordinates(key)
        found = np.zeros(rows.shape, self.dtype)
        for index, chosen in _by_frame(leading, rows.shape):
            found[chosen] = self._compose(index)[rows[chosen], columns[chosen]]
        return found

    def _place(self, key: tuple[Any, ...], value: Any) -> None:
        *leading, rows, columns = self._coordinates(key)
        values = np.broadcast_to(np.asarray(value), rows.shape)
        for index, chosen in _by_frame(leading, rows.shape):
            after = self._compose(index)
            after[rows[chosen], columns[chosen]] = values[chosen]
            self._paint(index, after)

    def _coordinates(self, key: tuple[Any, ...]) -> list[NDArray[np.intp]]:
        if any(isinstance(part, slice) for part in key):
            raise IndexError("Coordinates are given for every axis, or for none.")
        return [np.asarray(part, np.intp) for part in np.broadcast_arrays(*key)]

    def _compose(self, index: Index) -> NDArray[Any]:
        """Draw a frame as it is exported: of masks that overlap, the smaller is in front."""
        return compose_label_image(self.on_frame(index), self.frame_size, self.dtype)

    def _paint(self, index: Index, after: NDArray[Any]) -> None:
        """Change masks so that a frame looks as a person painted it."""
        shown = self._compose(index)
        changed = shown != after
        before: dict[int, ObjectMask | None] = {}
        while changed.any():
            for label in {int(n) for n in np.unique([shown[changed], after[changed]])} - {0}:
                old = self.get(index, label)
                before.setdefault(label, old)
                pixels = (old or ObjectMask.empty(self.frame_size)).to_array()
                pixels[changed & (shown == label)] = False
                pixels[changed & (after == label)] = True
                iou, score = (old.iou, old.score) if old else (nan, nan)
                self.put(index, label, ObjectMask.from_array(pixels, iou, score))
            # A third object may lie over what was painted; under what was erased it may stay.
            shown = self._compose(index)
            changed &= (shown != after) & (after > 0)
        if before:
            self.on_edit(index, before)


def by_frame(change: Change) -> Patch:
    """Sort the masks of a change by frame."""
    patch: Patch = {}
    for (index, label), mask in change.items():
        patch.setdefault(index, {})[label] = mask
    return patch


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


def _plain(part: Any) -> Any:
    if isinstance(part, slice):
        return part
    array = np.asarray(part)
    return int(array) if array.ndim == 0 else array


def _range(part: Any, length: int) -> range:
    if isinstance(part, slice):
        return range(*part.indices(length))
    if not -length <= part < length:
        raise IndexError(f"There is no frame {part}: there are {length}.")
    return range(part % length, part % length + 1)


def _by_frame(
    leading: list[NDArray[np.intp]], shape: tuple[int, ...]
) -> Iterator[tuple[Index, NDArray[np.bool_]]]:
    """Group pixels by the frame that they are on."""
    if not leading:
        yield (), np.ones(shape, bool)
        return
    stacked = np.stack([part.ravel() for part in leading], axis=1)
    for index in np.unique(stacked, axis=0):
        chosen = np.all(stacked == index, axis=1).reshape(shape)
        yield tuple(int(n) for n in index), chosen
