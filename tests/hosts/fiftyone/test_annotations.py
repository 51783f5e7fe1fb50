"""Masks of a real FiftyOne's field, as fine-tuning reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from PIL import Image

from sam2_plugins.fiftyone_plugin.annotations import annotated_movies
from sam2_plugins.training.finetuning import split_movies
from tests.hosts.fiftyone.conftest import HEIGHT, WIDTH, disc, label, picture, put


def test_a_field_of_a_video_is_read_with_who_is_who(movie: Any) -> None:
    for number in range(3, 11):
        put(movie, number, "truth", label(1, number), label(2, number))
    (found,) = annotated_movies(movie, "truth")
    assert found.frames == list(range(2, 10))
    for frame, masks in found.masks.items():
        for number in (1, 2):
            np.testing.assert_array_equal(masks[number].to_array(), disc(frame, number))
    with found.open() as source:
        assert (source.height, source.width) == (HEIGHT, WIDTH)
    assert split_movies([found]).held_out[0].frames == [8, 9]


def test_each_image_is_read_as_a_movie_of_its_own(dataset: Any, tmp_path: Path) -> None:
    for frame in range(2):
        path = tmp_path / f"{frame}.png"
        Image.fromarray(picture(frame)).save(path)
        labels = fo.Detections(detections=[label(1, frame + 1), label(2, frame + 1)])
        dataset.add_sample(fo.Sample(str(path), truth=labels))
    found = annotated_movies(dataset, "truth")
    assert [movie.name for movie in found] == ["0.png", "1.png"]
    assert [len(movie.masks[0]) for movie in found] == [2, 2]
    with found[1].open() as source:
        np.testing.assert_array_equal(source[0].image, picture(1))
