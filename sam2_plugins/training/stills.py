"""Clips of real pictures whose objects a person outlined: moved and bent, so the truth stays exact.

None is shipped. Texture and edges are those of a microscope, and outlines are as people draw them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from sam2_plugins.core.datasets import find_datasets
from sam2_plugins.core.errors import TrainingError
from sam2_plugins.core.masks import compose_label_image
from sam2_plugins.training.finetuning.movies import AnnotatedMovie
from sam2_plugins.training.samples import vary_contrast
from sam2_plugins.training.synthetic import Clip
from sam2_plugins.training.synthetic.noise import Field, drifting, log_uniform, white_noise
from sam2_plugins.training.synthetic.region import BORDER, carried

_SIDES = 140, 420
"""Of the frames, in pixels."""

_SCALES = 0.7, 2.5
"""By which pictures are enlarged: those of a low magnification show little of an outline."""

_FINEST = 16
"""Bends along a side: as many as there are cells, so that each has a way of its own."""

_STRETCHED = 0.7
"""Share of pictures whose contrast is brought to the whole range, as a viewer does."""


@dataclass(frozen=True)
class Stills:
    """Annotated frames in folders, of which each is drawn from as often as the others."""

    folders: tuple[tuple[AnnotatedMovie, ...], ...]

    @classmethod
    def in_folders(cls, folders: Iterable[Path]) -> Stills:
        """Open what is in folders, in any layout of `core.datasets`.

        Raises
        ------
        FrameSourceError
            If there is nothing in one, or it is damaged.
        TrainingError
            If there is no mask in one.
        """
        return cls(tuple(map(_annotated, folders)))

    def clip(self, rng: np.random.Generator, frames: int) -> Clip:
        """Move and bend one of them, with an object on the first frame; frames are square."""
        while True:
            image, labels = self._draw(rng)
            side = int(len(labels) / BORDER)
            movie, truth = carried(rng, image, labels, (side, side), frames, _FINEST)
            if truth[0].any():
                break
        noise = np.float32(log_uniform(rng, 0.002, 0.05))
        fading = rng.choice([0, log_uniform(rng, 0.003, 0.05)])
        blur = rng.choice([0, log_uniform(rng, 0.3, 2)]) * np.abs(drifting(rng, frames, (), 0.8))
        for frame, light in enumerate(movie):
            faded = light * np.float32(np.exp(-fading * frame))
            light[:] = ndimage.gaussian_filter(faded, (blur[frame], blur[frame], 0))
            light += noise * white_noise(rng, (side, side, 1))
        images = torch.from_numpy(255 * movie.clip(0, 1)).permute(0, 3, 1, 2)
        return Clip(vary_contrast(images, rng).permute(0, 2, 3, 1).numpy(), truth, "still")

    def _draw(self, rng: np.random.Generator) -> tuple[Field, Field]:
        """A part of a picture, from 0 to 1, and the labels of what is whole there."""
        folder = self.folders[int(rng.integers(len(self.folders)))]
        movie = folder[int(rng.integers(len(folder)))]
        frame = movie.frames[int(rng.integers(len(movie.frames)))]
        with movie.open() as source:
            image = np.asarray(source[frame].image, np.float32) / 255
        size = (image.shape[0], image.shape[1])
        masks = dict(enumerate(movie.masks[frame].values(), 1))
        labels = compose_label_image(masks, size, np.uint16)
        scale = max(log_uniform(rng, *_SCALES), BORDER * _SIDES[0] / min(size))
        side = int(min(BORDER * rng.integers(*_SIDES), scale * min(size)))
        box = _around_one(rng, labels, int(side / scale))
        if rng.random() < _STRETCHED:
            low, high = np.percentile(image[box][::3, ::3], [0.5, 99.5])
            image = (image - low) / max(high - low, np.float32(0.02))
        return _enlarged(image[box].clip(0, 1), side), _whole(_enlarged(labels[box], side))


def _annotated(folder: Path) -> tuple[AnnotatedMovie, ...]:
    movies = map(AnnotatedMovie.from_dataset, find_datasets(folder))
    annotated = tuple(movie for movie in movies if movie.masks)
    if not annotated:
        raise TrainingError(
            f"All masks in {folder} are empty: give pictures with outlined objects."
        )
    return annotated


def _around_one(
    rng: np.random.Generator, labels: NDArray[np.uint16], side: int
) -> tuple[slice, slice]:
    """A square of a picture in which some object is."""
    places = np.argwhere(labels)
    corner = places[int(rng.integers(len(places)))] - rng.uniform(0.25, 0.75, 2) * side
    y, x = np.clip(corner.astype(int), 0, np.array(labels.shape) - side)
    return slice(y, y + side), slice(x, x + side)


def _enlarged(picture: NDArray, side: int) -> Field:
    """Bring a square picture, or labels, to a side."""
    layers = torch.from_numpy(np.atleast_3d(picture).astype(np.float32)).permute(2, 0, 1)[None]
    if picture.ndim == 2:
        return np.asarray(F.interpolate(layers, (side, side), mode="nearest-exact")[0, 0])
    new = F.interpolate(layers, (side, side), mode="bilinear", antialias=True)
    return np.asarray(new[0].permute(1, 2, 0))


def _whole(labels: Field) -> Field:
    """Number what does not reach the edge, where it would go on, from 1: as many as a clip has."""
    edge = np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1]))
    numbers, places = np.unique(labels, return_inverse=True)
    inside = (numbers > 0) & ~np.isin(numbers, edge)
    table = np.where(inside, np.cumsum(inside), 0)
    return np.where(table > 255, 0, table)[places].reshape(labels.shape).astype(np.float32)
