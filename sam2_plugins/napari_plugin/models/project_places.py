"""Where the project file of an image lies: beside the movie, or where the user wants it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import chain, count, islice
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.napari_plugin.layers.frames import mask_shape
from sam2_plugins.napari_plugin.models.project_file import SUFFIX, ImageFacts, read_facts

LONGEST_STEM = 200
"""Bytes of a movie's name that its project has: file systems end at 255, with all suffixes."""


def facts_of(image: Any) -> ImageFacts:
    """Properties by which an image layer is recognised."""
    path = source_of(image)
    return ImageFacts(_bare(image.name), mask_shape(image), "" if path is None else str(path))


def digest_of(image: Any, shape: tuple[int, ...]) -> str:
    """Return a digest of an image's first, middle and last frame of those of a shape.

    So a movie that became longer has its digest still. "" if they cannot be read.
    """
    pictures, digest = image.data[-1] if image.multiscale else image.data, sha256()
    for part in (0, 0.5, 1):
        lengths = zip(shape[:-2], pictures.shape, strict=False)
        index = tuple(min(int(part * (n - 1)), here - 1) for n, here in lengths)
        try:
            picture = np.asarray(pictures[index])
        except Exception:  # of whatever reads them; the other frames can be worked on
            return ""
        digest.update(picture[:: len(picture) // 64 + 1].tobytes())
    return digest.hexdigest()[:16]


def source_of(image: Any) -> Path | None:
    """The file or folder that an image layer was read from; None if there is none."""
    path = getattr(getattr(image, "source", None), "path", None)
    return Path(path).absolute() if path and Path(path).exists() else None


class Places:
    """Finds and claims project files.

    Parameters
    ----------
    recovery
        Folder for the work on images that are in no file; None: it is not saved.

    Attributes
    ----------
    chosen
        Where a user wants the project of a movie, by the movie's path.
    beside
        Whether work is saved beside the movie, where no other place was chosen.
    """

    def __init__(self, recovery: Path | None = None) -> None:
        self.recovery = recovery
        self.chosen: dict[str, str] = {}
        self.beside = True
        self._locks: dict[Path, tuple[FileLock, Any]] = {}

    def find(self, image: Any) -> list[Path]:
        """Project files that hold work on an image of a file, the one that is used first first."""
        found = []
        for path in self._candidates(image) if source_of(image) is not None else ():
            if path.exists() and fits(path, image):
                found.append(path)
            if not path.exists() and str(path) not in self.chosen.values():
                break
        return found

    def claim(self, image: Any) -> Path | None:
        """A place to save the work on an image to, where there is no other work."""
        free = (path for path in self._candidates(image) if not path.exists())
        return next((path for path in free if self.lock(path, image)), None)

    def of_longer(self, image: Any) -> Path | None:
        """The project of the file of an image from when that had more frames; None if none is."""
        for path in self._candidates(image) if source_of(image) is not None else ():
            if not path.exists():
                return None
            with suppress(Sam2PluginsError):
                facts = read_facts(path)
                if facts.path == str(source_of(image)) and not fits(path, image):
                    return path
        return None

    def refuges(self, image: Any) -> Iterator[Path]:
        """Free places for work that cannot be saved where it was: there, and with the recovered."""
        for places in (self._candidates(image), self._in_recovery(image)):
            yield from islice((path for path in places if not path.exists()), 1)

    def lock(self, path: Path, image: Any) -> bool:
        """Lock a project file for the work on an image; return whether no other work has it.

        Such work may be in another window, or on another layer of this one.
        """
        path = path.resolve()
        if path in self._locks:
            return self._locks[path][1] is image
        name = sha256(str(path).encode()).hexdigest()[:16]
        lock = FileLock(Path(gettempdir()) / f"sam2-plugins-{name}.lock")
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            return False
        self._locks[path] = lock, image
        return True

    def release(self, path: Path) -> None:
        """Unlock a project file."""
        lock, _ = self._locks.pop(path.resolve(), (None, None))
        if lock is not None:
            lock.release()

    def choose(self, image: Any, path: Path) -> None:
        """Remember where a user wants the project of a movie."""
        source = source_of(image)
        if source is not None:
            self.chosen[str(source)] = str(path)

    def left_behind(self, image: Any) -> list[Path]:
        """Saved work on images without a file that match this one, the newest first."""
        if self.recovery is None or source_of(image) is not None or not self.recovery.is_dir():
            return []
        found = [path for path in self.recovery.glob(f"*{SUFFIX}") if fits(path, image)]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)

    def _in_recovery(self, image: Any) -> Iterator[Path]:
        if self.recovery is None:
            return iter(())
        name = re.sub(r"[^\w-]+", "_", _bare(image.name))[:40] or "image"
        stamp = time.strftime("%Y-%m-%d-%H%M%S")
        stems = (f"{name}-{stamp}-{os.getpid()}{more}" for more in chain([""], count(2)))
        recovery = self.recovery
        return (recovery / f"{stem}{SUFFIX}" for stem in stems)

    def _candidates(self, image: Any) -> Iterator[Path]:
        source = source_of(image)
        if source is None:
            return self._in_recovery(image)
        chosen = self.chosen.get(str(source))
        first = [] if chosen is None else [Path(chosen)]
        if not self.beside:
            return iter(first)
        stem = source.name if source.is_dir() else source.stem.removesuffix(".ome")
        stem = stem.encode()[:LONGEST_STEM].decode(errors="ignore")
        names = chain([f"{stem}{SUFFIX}"], (f"{stem}-{n}{SUFFIX}" for n in count(2)))
        return chain(first, (source.parent / name for name in names))


def fits(path: Path, image: Any) -> bool:
    """Whether a file is a project of an image, or of one just like it.

    A layer that was renamed has the name of its file again when that is opened again.
    """
    try:
        facts = read_facts(path)
    except Sam2PluginsError:
        return False
    here = facts_of(image)
    return holds(here.shape, facts.shape) and here.name in (facts.name, Path(facts.path).stem)


def holds(shape: tuple[int, ...], earlier: tuple[int, ...]) -> bool:
    """Whether images of a shape have all frames of an earlier one: a movie may become longer."""
    pairs = zip(shape[:-2], earlier[:-2], strict=False)
    longer = len(shape) == len(earlier) and all(now >= before for now, before in pairs)
    return longer and shape[-2:] == earlier[-2:]


def is_renamed(facts: ImageFacts, image: Any) -> bool:
    """Whether the image of a project is this one, but its file or layer has another name now."""
    here = facts_of(image)
    if facts == here:
        return False
    return facts.path == here.path or not Path(facts.path).exists()


def _bare(name: str) -> str:
    """Name of a layer without the number that napari adds to a second one."""
    return re.sub(r" \[\d+\]$", "", name)
