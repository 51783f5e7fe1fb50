"""The axes of an array: time, depth, channel, row and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam2_plugins.core.errors import FrameSourceError

_CHANNELS = range(1, 5)  # sizes that an axis of channels, rather than of space, can have


@dataclass(frozen=True)
class Layout:
    """Positions of an array's axes; None for those that it does not have.

    All others are of length 1, or not shown: they are read at index 0.
    """

    y: int
    x: int
    time: int | None
    depth: int | None
    channel: int | None


def guess_axes(shape: Sequence[int], name: str) -> str:
    """Guess the axes of an array from its shape."""
    count = len(shape)
    if count == 2:
        return "YX"
    if count == 3 and shape[2] in (1, 3, 4) and shape[0] > 4 and shape[1] > 4:
        return "YXC"
    if count == 3 and shape[2] == 2 and min(shape[:2]) > 4:
        raise _ambiguous(shape, name, "YXC", "TYX")
    if count == 3 and shape[0] != 3:
        return "TYX"
    if count == 3:
        raise _ambiguous(shape, name, "TYX", "CYX")
    if count == 4:
        last, first = shape[3] in _CHANNELS, shape[1] in _CHANNELS
        if last and not first:
            return "TYXC"
        if first and not last:
            return "TCYX"
        raise _ambiguous(shape, name, *(("TYXC", "TCYX") if last else ("TZYX", "TCYX")))
    if count == 5:
        raise _ambiguous(shape, name, "TCZYX", "TZCYX")
    raise FrameSourceError(
        f"{name} has {count} axes, {tuple(shape)}: frames need 2 to 5. Take a part of it."
    )


def told_axes(array: Any) -> str | None:
    """Return the axes as xarray or zarr names them; None if the names tell too little."""
    names = getattr(array, "dims", None)
    if not isinstance(names, tuple):
        names = getattr(getattr(array, "metadata", None), "dimension_names", None)
        attributes = getattr(array, "attrs", None)
        if not names and isinstance(attributes, Mapping):
            names = attributes.get("_ARRAY_DIMENSIONS")
    letters = "".join(str(name or "")[:1] for name in names or ()).upper()
    is_told = len(letters) == len(set(letters)) == len(array.shape) and {"Y", "X"} <= set(letters)
    return letters if is_told else None


def _ambiguous(shape: Sequence[int], name: str, *readings: str) -> FrameSourceError:
    choices = " or ".join(f'axes="{reading}"' for reading in readings)
    return FrameSourceError(
        f"{name} has the shape {tuple(shape)}, which can be read in several ways: "
        f"say which it is, for instance {choices}."
    )


def lay_out(axes: str, shape: Sequence[int], name: str, *, z_chosen: bool = False) -> Layout:
    """Find time, depth, channel, row and column among named axes.

    S (samples of a pixel) counts as channel. Where time is missing or of length 1, a longer axis of
    another name (I, Q ... in TIFF files) is time, or else Z, unless a plane of it was chosen.
    """
    axes = axes.upper()
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
        raise FrameSourceError(
            f'axes="{axes}" do not fit {name} with the shape {tuple(shape)}: give one letter per '
            "axis, each once, with Y and X among them (T time, Z depth, C channel)."
        )
    where = {letter: k for k, letter in enumerate(axes)}
    long = {letter for letter, size in zip(axes, shape, strict=True) if size > 1}
    channel = _only(long & {"C", "S"}, axes, name) or next((s for s in "CS" if s in where), None)
    others = [letter for letter in axes if letter in long - set("TZCSYX")]
    time = "T" if "T" in long else _only(set(others), axes, name)
    if time is None and "Z" in long and not z_chosen:
        time = "Z"
    time = time or ("T" if "T" in where else None)
    if stray := set(others) - {time}:
        raise FrameSourceError(
            f"{name} has the axes {axes}: {sorted(stray)} is neither time, depth nor channel. "
            'Name it with axes=, for instance "TCYX".'
        )
    depth = "Z" if "Z" in where and time != "Z" else None
    return Layout(
        y=where["Y"],
        x=where["X"],
        time=where[time] if time else None,
        depth=where[depth] if depth else None,
        channel=where[channel] if channel else None,
    )


def _only(letters: set[str], axes: str, name: str) -> str | None:
    if len(letters) > 1:
        raise FrameSourceError(
            f"{name} has the axes {axes}: {' and '.join(sorted(letters))} cannot both be the same "
            'thing. Name the axes with axes=, for instance "TCYX".'
        )
    return next(iter(letters), None)
