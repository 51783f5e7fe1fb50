"""Clips cut out of annotated movies, as the tracker would see them, for the training's batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import TrainingError
from sam2_plugins.core.frames import FrameSource
from sam2_plugins.core.masks import compose_label_image
from sam2_plugins.core.tracking.recent import Recent
from sam2_plugins.core.tracking.windows.planner import Window, WindowPlanner, extent_of
from sam2_plugins.training.finetuning.movies import AnnotatedMovie
from sam2_plugins.training.synthetic import Clip

LONGEST_GAP = 4
"""Annotated frames that are farther apart than this do not go into one clip."""

CACHE_BYTES = 256 << 20
"""Of frames that are kept, for reading those of a video again takes long."""

_MOST_OBJECTS = 255  # those of a clip's labels
_WIDER = 1.6  # windows are drawn up to so much wider: samples are cut out of them


class ClipCutter:
    """Draws clips at random: a run of annotated frames, through a window around some object.

    Parameters
    ----------
    movies
        They stay open until `close`.
    image_size
        Side of the model's input, by which the tracker's windows are chosen.
    """

    def __init__(self, movies: Sequence[AnnotatedMovie], image_size: int) -> None:
        self._movies = [movie for movie in movies if movie.masks]
        self._sources: list[FrameSource] = []
        self._cache: Recent[NDArray[np.uint8]] = Recent(math.inf, CACHE_BYTES / 1e6)
        self._image_size = image_size
        self._runs = [_runs(movie) for movie in self._movies]
        if not self._movies:
            raise TrainingError("There is no annotated frame to learn from.")
        try:
            for movie in self._movies:
                self._sources.append(movie.open())
        except BaseException:
            self.close()
            raise

    @property
    def longest(self) -> int:
        """Frames of the longest clip that can be had."""
        return max(len(run) for runs in self._runs for run in runs)

    def draw(self, count: int, frames: int, rng: np.random.Generator) -> list[Clip]:
        """Draw clips of a number of frames, at most `longest`; every place is as likely."""
        places = [
            (movie, run[i : i + frames])
            for movie, runs in enumerate(self._runs)
            for run in runs
            for i in range(len(run) - frames + 1)
        ]
        chosen = rng.integers(len(places), size=count)
        return [self._cut(*places[int(place)], rng) for place in chosen]

    def close(self) -> None:
        """Close the movies."""
        for source in self._sources:
            source.close()

    def _cut(self, movie: int, frames: list[int], rng: np.random.Generator) -> Clip:
        masks = self._movies[movie].masks
        source = self._sources[movie]
        first = masks[frames[0]]
        objects = list(first)
        seed = objects[int(rng.integers(len(objects)))]
        extent = extent_of(first[seed])
        assert extent is not None
        planner = WindowPlanner((source.height, source.width), self._image_size, "auto")
        side = planner.side_for(extent)
        window = planner.whole
        if side is not None:
            side = round(side * rng.uniform(1, _WIDER))
            x, y = ((extent.box[i] + extent.box[i + 2] - side) / 2 for i in (0, 1))
            window = planner.at(x, y, side)
        # As many objects as a clip has labels for, with the one that was chosen.
        shown = [seed, *(obj for obj in objects if obj != seed)][:_MOST_OBJECTS]
        labels = []
        for frame in frames:
            there = {n: masks[frame][o] for n, o in enumerate(shown, 1) if o in masks[frame]}
            image = compose_label_image(there, (source.height, source.width), np.uint8)
            labels.append(window.crop(image[..., None])[..., 0])
        images = [self._image(movie, frame, window) for frame in frames]
        return Clip(np.stack(images), np.stack(labels), "annotated")

    def _image(self, movie: int, frame: int, window: Window) -> NDArray[np.uint8]:
        read = self._sources[movie]
        return window.crop(self._cache.get((movie, frame), lambda: read[frame].image))


def _runs(movie: AnnotatedMovie) -> list[list[int]]:
    """Cut the annotated frames where the gap is too long, or no object is on both sides.

    Masks that a person drew on each frame anew, without saying which is which, share no object:
    none of them may be learned as one that went away.
    """
    runs: list[list[int]] = []
    for frame in movie.frames:
        last = runs[-1][-1] if runs else None
        near = last is not None and frame - last <= LONGEST_GAP
        if last is not None and near and movie.masks[last].keys() & movie.masks[frame].keys():
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs
