"""From Image layers to the core's frames: swept axis, channels, contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import FrameSource, open_frames
from sam2_plugins.napari_plugin.layers.mask_store import Index
from sam2_plugins.napari_plugin.layers.placement import micrometres, time_step

Contrast: TypeAlias = Literal["layer", "movie"]

SHOWN_CHANNELS = 3
"""Layers that make one picture, at most: red, green, blue."""


@dataclass(frozen=True)
class Line:
    """The frames that one tracker sees: along one leading axis, with the others fixed.

    Attributes
    ----------
    axis
        The swept one of the leading axes; None for a single image.
    at
        Index along the leading axes; its entry for `axis` is 0.
    """

    axis: int | None
    at: Index

    @classmethod
    def through(cls, axis: int | None, step: Sequence[int]) -> Line:
        """Take the line along an axis that goes through a point of the leading axes."""
        return cls(axis, tuple(0 if i == axis else int(n) for i, n in enumerate(step)))

    def index(self, frame: int) -> Index:
        """Where a frame is along the leading axes."""
        return tuple(frame if i == self.axis else n for i, n in enumerate(self.at))

    def frame(self, index: Sequence[int]) -> int | None:
        """Frame of a leading index; None if it is not on the line."""
        here = tuple(int(n) for n in index)
        frame = 0 if self.axis is None else here[self.axis]
        return frame if self.index(frame) == here else None


class ImageLayer(Protocol):
    """The attributes of a napari Image layer that are used here."""

    name: str
    data: Any
    rgb: bool
    multiscale: bool
    contrast_limits: Sequence[float]


def full_level(layer: ImageLayer) -> Any:
    """Return the array of a layer in full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def leading_shape(layer: ImageLayer) -> tuple[int, ...]:
    """Shape of a layer's axes before rows and columns."""
    shape = tuple(int(n) for n in full_level(layer).shape)
    return shape[: -3 if layer.rgb else -2]


def frame_size(layer: ImageLayer) -> tuple[int, int]:
    """(height, width) of a layer's pictures."""
    height, width = full_level(layer).shape[-3:-1] if layer.rgb else full_level(layer).shape[-2:]
    return int(height), int(width)


def mask_shape(layer: ImageLayer) -> tuple[int, ...]:
    """Shape of a layer without its colours: that of its masks."""
    return (*leading_shape(layer), *frame_size(layer))


def shown_index(layer: Any, point: Sequence[float]) -> Index:
    """Leading index of the frame of a layer that a viewer shows.

    Parameters
    ----------
    point
        Where the viewer is, in world coordinates; a layer's axes are the last ones. While layers
        come and go, the viewer may have fewer axes than a layer: those are at 0.
    """
    lengths = leading_shape(layer)
    at = layer.world_to_data(tuple(point))
    shown = (round(float(n)) for n in at[: len(lengths)])
    return tuple(int(min(max(n, 0), m - 1)) for n, m in zip(shown, lengths, strict=True))


def default_axis(layer: ImageLayer, labels: Sequence[str] = ()) -> int | None:
    """Guess the axis to sweep: the one called t or time, else the first that is longer than 1."""
    shape = leading_shape(layer)
    for i, label in enumerate(labels[: len(shape)]):
        if label.lower() in ("t", "time"):
            return i
    return next((i for i, n in enumerate(shape) if n > 1), 0 if shape else None)


@dataclass(frozen=True)
class View:
    """How layers are shown to the model; two equal views give equal frames.

    Attributes
    ----------
    layers
        One, or two or three channels of equal shape.
    limits
        A pair per layer, or None: percentiles of the movie.
    """

    layers: tuple[Any, ...]
    limits: tuple[tuple[float, float], ...] | None

    @classmethod
    def of(cls, layers: Sequence[ImageLayer], contrast: Contrast = "layer") -> View:
        """Make a view of layers as they are now.

        Raises
        ------
        FrameSourceError
            If they do not fit together.
        """
        if not layers:
            raise FrameSourceError("There is no image: choose an image layer.")
        if len(layers) > SHOWN_CHANNELS:
            raise FrameSourceError(f"{len(layers)} channels are too many: choose up to three.")
        if any(layer.rgb for layer in layers) and len(layers) > 1:
            raise FrameSourceError("An RGB layer has all its channels: choose it alone.")
        shapes = {layer.name: tuple(full_level(layer).shape) for layer in layers}
        if len(set(shapes.values())) > 1:
            each = ", ".join(f"{name} is {shape}" for name, shape in shapes.items())
            raise FrameSourceError(f"Channels must have one shape, but {each}.")
        return cls(tuple(layers), limits_of(layers, contrast) or None)

    def source(self, line: Line) -> tuple[Any, dict[str, Any]]:
        """Return the frames along a line as a lazy array, and how `open_frames` is to read it."""
        stack = _Stack(self.layers, line)
        return stack, {"axes": stack.axes, "limits": self.limits}

    def open(self, line: Line, timed: bool = False) -> FrameSource:
        """Open the frames along a line; they are read one at a time, when they are needed.

        Parameters
        ----------
        timed
            Frames have the times of the layer, if it has any: time-lapses last for days.
        """
        first = self.layers[0]
        step = time_step(first, line.axis) if timed else None
        fps = None if step is None or not step > 0 else 1 / step
        stack, reading = self.source(line)
        frames = open_frames(stack, fps=fps, **reading)
        frames.pixel_size = micrometres(first)
        return frames


def limits_of(layers: Sequence[ImageLayer], contrast: Contrast) -> tuple[tuple[float, float], ...]:
    """Contrast limits of each layer; () where they are not what the model looks at."""
    # An RGB layer is shown as it is; napari gives it no contrast limits.
    if contrast != "layer" or any(layer.rgb for layer in layers):
        return ()
    found = [(float(low), float(high)) for low, high in (one.contrast_limits for one in layers)]
    return tuple((low, high) if low < high else (low, low + 1) for low, high in found)


class _Stack:
    """Layers along a line as a lazy array (T, Y, X), (T, Y, X, C)."""

    def __init__(self, layers: Sequence[ImageLayer], line: Line) -> None:
        self._arrays = [full_level(layer) for layer in layers]
        self._line = line
        first = layers[0]
        length = 1 if line.axis is None else leading_shape(first)[line.axis]
        channels = self._arrays[0].shape[-1:] if first.rgb else (len(layers),)
        self._single = not first.rgb and len(layers) == 1
        self.shape = (length, *frame_size(first), *(() if self._single else channels))
        self.axes = "TYX" if self._single else "TYXC"
        self.dtype = np.result_type(*(array.dtype for array in self._arrays))

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        index = self._line.index(int(key[0]))
        pictures = [np.asarray(array[index]) for array in self._arrays]
        picture = pictures[0] if len(pictures) == 1 else np.stack(pictures, axis=-1)
        return picture[key[1:]]
