"""Export formats by name. Modules of this folder register theirs when imported."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from sam2_plugins.core.export.numbering import Numbering
from sam2_plugins.core.export.track_graph import Scale
from sam2_plugins.core.export.writer import Frames, TrackWriter
from sam2_plugins.core.masks import ObjectId


@dataclass(frozen=True)
class Subject:
    """The facts for a writer before the first frame.

    Attributes
    ----------
    frames
        The movie.
    numbering
        The label, and so the colour, of each object.
    parents
        Daughter to mother; divisions may come later.
    names
        What a person called the objects, if not by their ids.
    title
        Of the contact sheet; the movie's name if None.
    fps
        Of the video; that of the movie, or a pleasant one for a time-lapse, if None.
    """

    frames: Frames
    numbering: Numbering = field(default_factory=Numbering)
    parents: Mapping[ObjectId, ObjectId] = field(default_factory=dict)
    names: Mapping[ObjectId, str] = field(default_factory=dict)
    title: str | None = None
    fps: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.frames.height, self.frames.width

    @property
    def scale(self) -> Scale:
        """The size of a pixel and the length of a frame."""
        seconds = None if self.frames.fps is None else 1 / self.frames.fps
        # Not every movie has a notion of pixel size.
        return Scale(getattr(self.frames, "pixel_size", None), seconds)


@dataclass(frozen=True)
class Format:
    """A format of results.

    Attributes
    ----------
    name
        What a person types.
    file
        Name of what it makes in the folder.
    title
        For a person who chooses.
    has_pictures
        Whether it shows frames of the movie, not masks alone.
    open
        Opens a writer at a path.
    """

    name: str
    file: str
    title: str
    has_pictures: bool
    open: Callable[[Path, Subject], TrackWriter]


Opener = TypeVar("Opener", bound=Callable[[Path, Subject], TrackWriter])
_registered: dict[str, Format] = {}


def export_format(
    name: str, file: str, title: str, *, has_pictures: bool = False
) -> Callable[[Opener], Opener]:
    """Register a class of writers, or a function that opens one; see `Format`."""

    def register(opener: Opener) -> Opener:
        _registered[name] = Format(name, file, title, has_pictures, opener)
        return opener

    return register


@cache
def formats() -> dict[str, Format]:
    """Return all formats by name."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
    return dict(sorted(_registered.items()))
