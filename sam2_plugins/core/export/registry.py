"""Export formats by name, and what each of their writers is given and does.

Modules of this folder register their formats when imported.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.masks import LARGEST_LABEL, ObjectId, ObjectMask, plain_id

if TYPE_CHECKING:
    from sam2_plugins.core.frames import FrameSource


class Numbering:
    """Gives every object a label, a positive integer, and keeps it.

    Parameters
    ----------
    objects
        Objects known beforehand. An id that is a positive integer of up to 32 bits is its own
        label; the others get the lowest free ones.
    """

    def __init__(self, objects: Iterable[ObjectId] = ()) -> None:
        self._labels: dict[ObjectId, int] = {}
        self._taken: set[int] = set()
        # Numbers first, so that no name takes the label of a number that comes later.
        for obj in sorted(objects, key=lambda obj: isinstance(obj, str)):
            self.label(obj)

    def label(self, obj: ObjectId) -> int:
        """Return the object's label, the same every time."""
        obj = plain_id(obj)
        if obj not in self._labels:
            is_label = isinstance(obj, int) and 0 < obj <= LARGEST_LABEL
            own = is_label and obj not in self._taken
            self._labels[obj] = self._take(int(obj)) if own else self.fresh()
        return self._labels[obj]

    @property
    def largest(self) -> int:
        """The largest label so far."""
        return max(self._taken, default=0)

    def fresh(self) -> int:
        """Return the lowest label that nothing has, and take it."""
        return self._take(next(label for label in count(1) if label not in self._taken))

    def _take(self, label: int) -> int:
        self._taken.add(label)
        return label


Masks = Mapping[ObjectId, ObjectMask]

UNPAIRED = "backslashreplace"
"""Error handler for unpaired surrogates, which names may have and UTF-8 does not."""


class TrackWriter(Protocol):
    """Writes tracking results, frame by frame.

    Frames come once each, in increasing order; some may be missing. What was written is kept
    whenever the writer is closed; only a closed file is promised to be complete.
    """

    path: Path

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Write what is known of one frame: its index from 0 on, seconds, and masks by object."""

    def close(self) -> None:
        """Finish the file. Closing twice does no harm."""


class Blank:
    """A movie of known size without pictures, for writers that need a movie."""

    seekable = True
    fps: float | None = None

    def __init__(self, name: str, size: tuple[int, int], length: int | None) -> None:
        self.name = name
        self.height, self.width = size
        self.length = length

    def __getitem__(self, index: int) -> Any:
        """Refuse: no writer of masks alone needs a picture."""
        raise ExportError(f"{self.name} has no pictures.")


Frames: TypeAlias = "FrameSource | Blank"
"""The movie that was tracked."""


@dataclass(frozen=True)
class Scale:
    """The size of a pixel and the length of a frame; None: not known, and then 1.

    Attributes
    ----------
    pixel_size
        Micrometres per pixel (x, y).
    seconds
        From one frame to the next.
    """

    pixel_size: tuple[float, float] | None = None
    seconds: float | None = None

    @property
    def x(self) -> float:
        """Width of a pixel."""
        return self.pixel_size[0] if self.pixel_size else 1.0

    @property
    def y(self) -> float:
        """Height of a pixel."""
        return self.pixel_size[1] if self.pixel_size else 1.0

    @property
    def t(self) -> float:
        """Length of a frame."""
        return self.seconds or 1.0


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
