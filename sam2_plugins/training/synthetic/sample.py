"""A fluorescence time-lapse for demonstrations, when no real one is at hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .behaviour import Behaviour
from .bodies import press_together
from .colony import Colony
from .exposure import camera
from .optics import fluorescence_of
from .shapes import blob
from .tiles import chromatin, tile_size


def sample_timelapse(
    seed: int = 0, frames: int = 20, size: int = 512
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Make a movie of about thirty wandering nuclei, some of which divide.

    Returns
    -------
    movie
        uint16 [T, Y, X], in a narrow range as cameras give it.
    labels
        uint16 [T, Y, X]: 0 background, k nucleus k; daughters have labels of their own.
    """
    rng = np.random.default_rng(seed)
    behaviour = Behaviour(
        diameter=31.0,
        thickness=0.0,
        spread=0.07,
        contrast_spread=0.2,
        count=max(3, round(46 * size**2 / 512**2)),
        clusters=0,
        rods=False,
        step=1.6,
        inertia=0.8,
        flow=0j,
        spin=0.03,
        growth=0.0,
        division=0.006,
        hiding=0.0,
        softness=0.1,
        lineage=False,
    )
    shape = (size, size)
    colony = Colony(
        rng,
        shape,
        frames,
        behaviour,
        lambda: blob(rng, frames, 0.04, rng.uniform(1, 1.5), 5),
        lambda: chromatin(rng, tile_size(behaviour.diameter), coarse=4.0, spots=-3, rate=0.05),
    )
    bodies, _ = colony.grow(np.zeros(frames, np.complex128))
    expose = fluorescence_of(texture=0.2, slope=0.4, membrane=0.0, rim=1.0, psf=1.0, haze=0.15)
    take = camera(
        scenery=np.zeros((size + 4, size + 4), np.float32),
        lamp=np.ones(shape, np.float32),
        contrast=1.0,
        level=0.15,
        shot=0.06,
        read=0.02,
        fading=0.01,
    )
    movie = np.zeros((frames, *shape), np.uint16)
    labels = np.zeros((frames, *shape), np.uint16)
    for frame in range(frames):
        layers = press_together(bodies, frame, shape)
        light = take(rng, expose(layers, 0.0), frame, 0j)
        movie[frame] = np.clip(400 + 1800 * light, 0, 65535).astype(np.uint16)
        labels[frame] = layers.labels
    return movie, labels
