"""Masks in a field as annotations for fine-tuning."""

from __future__ import annotations

from typing import Any

from sam2_plugins.core.masks import Masklet
from sam2_plugins.fiftyone_plugin.evaluation import read_tracks
from sam2_plugins.fiftyone_plugin.finding import find_footage, find_images
from sam2_plugins.fiftyone_plugin.videos import Video
from sam2_plugins.training.finetuning.movies import AnnotatedMovie


def annotated_movies(
    view: Any,
    field: str,
    group_by: str | None = None,
    order_by: str | None = None,
) -> list[AnnotatedMovie]:
    """Read the masks of a field, for `sam2_plugins.training.finetuning`.

    Parameters
    ----------
    view
        A dataset or view of videos, or of images.
    field
        With masks, as people corrected them.
    group_by, order_by
        Of images that are frames of movies: the fields with their movie, and their place in
        it. Without them each image stands alone.

    Raises
    ------
    FootageError
        If there are no samples, or a label has no mask.
    """
    single = view.media_type == "image" and not group_by
    movies = []
    for footage in find_images(view) if single else find_footage(view, group_by, order_by):
        with footage.open() as frames:
            size = frames.height, frames.width
        tracks = read_tracks(footage, field, size)
        masklets = [Masklet(key, masks=masks) for key, masks in tracks.items()]
        files = list(footage.files)
        source = files[0] if isinstance(footage, Video) else files
        movie = AnnotatedMovie.from_masklets(footage.name, source, masklets)
        if movie.masks:
            movies.append(movie)
    return movies
