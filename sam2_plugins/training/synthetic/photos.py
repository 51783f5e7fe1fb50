"""Real photographs as material: surfaces of objects and backgrounds of natural clips.

None is shipped. `Photos.installed` finds those that other packages brought to this machine:

- scikit-image (the pictures in its wheel; sources and licences in `skimage/data`'s documentation,
  public domain, CC0 or CC BY),
- Debian's `mate-backgrounds` (nature/; GPL-2+), `plasma-workspace-wallpapers` (GPL-2+, CC BY-SA),
  `lomiri-wallpapers-16.04` and `-20.04` (CC BY 4.0, CC BY-SA 3.0 and 4.0, CC0), by their authors
  as their copyright files name them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .noise import Field, log_uniform

_SHORTER_SIDE = 480
"""Pixels to which pictures are brought when they are read; clips are smaller than that."""

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
_OF_SCIKIT_IMAGE = (
    "astronaut",
    "chelsea",
    "coffee",
    "grass",
    "gravel",
    "motorcycle_left",
    "rocket",
)
_OF_DEBIAN = (
    "/usr/share/backgrounds/mate/nature/*",
    "/usr/share/wallpapers/*/contents/images/1920x1200.jpg",
    "/usr/share/backgrounds/*_by_*.jpg",
)


@dataclass(frozen=True)
class Photos:
    """Pictures on disk, which are read when the first one is wanted."""

    paths: tuple[Path, ...]

    @classmethod
    def in_folder(cls, folder: Path) -> Photos:
        """All pictures of a folder and those below it."""
        return cls(tuple(sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)))

    @classmethod
    def installed(cls) -> Photos:
        """Those that other packages ship, as far as they are installed."""
        return cls(tuple(sorted(p for p in _candidates() if p.is_file())))

    def __bool__(self) -> bool:
        return bool(self.paths)

    @cached_property
    def _pictures(self) -> list[np.ndarray]:
        return [_read(path) for path in self.paths]

    def surface(self, rng: np.random.Generator, shape: tuple[int, int]) -> Field:
        """A part of some picture, [H, W, 3], 0 to 1, at random size, turn and exposure."""
        from PIL import Image

        picture = self._pictures[int(rng.integers(len(self._pictures)))]
        height, width = picture.shape[:2]
        share = log_uniform(rng, 0.2, 1.0) * min(height / shape[0], width / shape[1])
        tall, wide = share * shape[0], share * shape[1]
        left, top = rng.uniform(0, width - wide), rng.uniform(0, height - tall)
        part = Image.fromarray(picture).resize(
            (shape[1], shape[0]), Image.Resampling.BILINEAR, (left, top, left + wide, top + tall)
        )
        image = np.asarray(part, np.float32) / 255
        if rng.random() < 0.5:
            image = image[:, ::-1]
        if shape[0] == shape[1]:
            image = np.rot90(image, int(rng.integers(4)))
        tint = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.08, 3)).astype(np.float32)
        return np.ascontiguousarray(np.clip(image * tint, 0, 1))


def _candidates() -> Iterable[Path]:
    spec = find_spec("skimage")
    if spec is not None and spec.origin:
        data = Path(spec.origin).parent / "data"
        for name in _OF_SCIKIT_IMAGE:
            yield from data.glob(f"{name}.*")
    for pattern in _OF_DEBIAN:
        yield from Path("/").glob(pattern.lstrip("/"))


def _read(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        image.draft("RGB", (_SHORTER_SIDE, _SHORTER_SIDE))
        picture = image.convert("RGB")
    scale = _SHORTER_SIDE / min(picture.size)
    if scale < 1:
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    return np.asarray(picture)
