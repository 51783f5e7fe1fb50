"""Frames of arrays that can be sliced: numpy, dask, zarr, and our lazy files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames._axes import guess_axes, lay_out
from sam2_plugins.core.frames._gate import DAMAGE
from sam2_plugins.core.frames._normalise import check_channels
from sam2_plugins.core.frames._source import FrameSource, ReadOptions


class LazyArray(Protocol):
    """The attributes of an array that are used; it may read on slicing."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, key: Any) -> ArrayLike: ...


class ArraySource(FrameSource):
    """Frames of an array, read one at a time.

    Parameters
    ----------
    array
        Anything with `shape`, `dtype` and slicing.
    times
        Seconds per frame, [T], if known; what does not increase is not known.
    known_axes
        Letters from the file; `options.axes` overrules them. None: guessed.
    white
        Value of white, of grey in fewer bits than its type has.
    close
        Called once, on closing.
    """

    def __init__(
        self,
        array: LazyArray,
        name: str,
        options: ReadOptions,
        *,
        kind: str = "array",
        known_axes: str | None = None,
        times: NDArray[np.float64] | None = None,
        white: int | None = None,
        close: Callable[[], None] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        super().__init__(name, options)
        self._white = white
        self._warnings.extend(warnings)
        self._array: LazyArray | None = array
        self._close = close
        self.kind = kind
        self.dtype = np.dtype(array.dtype)
        self.shape = tuple(int(n) for n in array.shape)
        axes = options.axes or known_axes
        self.axes_guessed = axes is None
        self.axes = (axes or guess_axes(self.shape, name)).upper()
        self._layout = lay_out(self.axes, self.shape, name, z_chosen=options.z is not None)
        if 0 in self.shape:
            raise FrameSourceError(f"{name} is empty: its shape is {self.shape}.")
        self._own_times: NDArray[np.float64] | None = None
        self._channels = self._choose_channels()
        self._z = self._choose_plane()
        if times is not None and len(times) == self.length and np.isfinite(times).all():
            self._own_times = times if (np.diff(times) > 0).all() else None

    @property
    def length(self) -> int:
        return 1 if self._layout.time is None else self.shape[self._layout.time]

    @property
    def height(self) -> int:
        return self.shape[self._layout.y]

    @property
    def width(self) -> int:
        return self.shape[self._layout.x]

    @property
    def fps(self) -> float | None:
        if self._options.fps or self._own_times is None or self.length < 2:
            return self._options.fps
        return float((self.length - 1) / (self._own_times[-1] - self._own_times[0]))

    @property
    def _known_times(self) -> NDArray[np.float64] | None:
        return self._own_times

    def _choose_channels(self) -> list[int]:
        axis = self._layout.channel
        count = 1 if axis is None else self.shape[axis]
        channels = check_channels(self._options.channels, count, self.name)
        is_rgba = axis is not None and axis > self._layout.x and count == 4
        if self._options.channels is None and count > 3 and not is_rgba:
            self._warn(f"Of {count} channels the first three are shown. Choose with channels=.")
        return channels

    def _choose_plane(self) -> int:
        axis, z = self._layout.depth, self._options.z
        planes = 1 if axis is None else self.shape[axis]
        if z is None:
            z = planes // 2
            if planes > 1:
                self._warn(f"Of {planes} planes the middle one, z={z}, is shown. Choose with z=.")
        if not 0 <= z < planes:
            raise FrameSourceError(
                f"z={z}, but {self.name} has {planes} planes, counted from 0: choose among those."
            )
        return z

    def _picked(self, index: int) -> NDArray:
        return self._samples(index)  # only the wanted channels were read

    def _samples(self, index: int) -> NDArray:
        channel = self._layout.channel
        if channel is None:
            return self._read(index, None)
        if channel > max(self._layout.y, self._layout.x):  # interleaved: one read brings them all
            samples = self._read(index, slice(None))
            if self._channels == list(range(samples.shape[-1])):
                return samples  # taking all would copy them, which costs as much as the reading
            return np.take(samples, self._channels, axis=-1)
        return np.stack([self._read(index, c) for c in self._channels], axis=-1)

    def _read(self, index: int, channel: int | slice | None) -> NDArray:
        layout = self._layout
        key: list[int | slice] = [0] * len(self.shape)
        key[layout.y] = key[layout.x] = slice(None)
        if layout.time is not None:
            key[layout.time] = index
        if layout.depth is not None:
            key[layout.depth] = self._z
        if layout.channel is not None and channel is not None:
            key[layout.channel] = channel
        assert self._array is not None
        try:
            samples: NDArray = np.asarray(self._array[tuple(key)])
        except DAMAGE as error:
            raise FrameSourceError(
                f"Frame {index} of {self.name} cannot be read: {error}. "
                "If the file is damaged, restore it from its origin."
            ) from error
        return samples.swapaxes(0, 1) if layout.y > layout.x else samples

    def _release(self) -> None:
        self._array = None
        if self._close is not None:
            self._close()


class StackedArray:
    """Items that each load to an array of one shape, seen as one array.

    Parameters
    ----------
    items
        In the order of the leading axes, the last fastest.
    shape
        Of all: the leading axes, which count the items, and those of an item.
    """

    def __init__(
        self,
        items: Sequence[Any],
        load: Callable[[Any], NDArray],
        shape: tuple[int, ...],
        dtype: np.dtype,
    ) -> None:
        self._items = items
        self._load = load
        self.shape = shape
        self.dtype = dtype
        self._leading, count = 0, 1
        while count < len(items) or self._leading == 0:
            count *= shape[self._leading]
            self._leading += 1

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray:
        leading = self.shape[: self._leading]
        number = int(np.ravel_multi_index(key[: self._leading], leading))
        item = self._load(self._items[number])
        wanted = self.shape[self._leading :]
        if item.shape != wanted:
            raise ValueError(f"its shape is {item.shape}, and should be {wanted}")
        return cast("NDArray", item[key[self._leading :]])
