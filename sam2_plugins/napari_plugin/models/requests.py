"""What a person wants tracked, and how far that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sam2_plugins.core.tracking.schedule import Direction
from sam2_plugins.napari_plugin.layers.frames import Line, View
from sam2_plugins.napari_plugin.layers.mask_store import Index


@dataclass(frozen=True)
class Request:
    """What a person wants tracked, and how it is looked at."""

    view: View
    line: Line
    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None
    since: Mapping[int, int] | None = None
    """By object, the first frame whose mask may change; None: all of all objects may."""
    over: int | None = None
    """Axis of the time points whose whole stacks are tracked, one after the other."""


@dataclass(frozen=True)
class Step:
    """A frame of a run is done."""

    index: Index
    done: int
    total: int
    """Of the frames on which a mask has to be computed."""
    computed: int = 0
    """Objects whose masks are new."""
