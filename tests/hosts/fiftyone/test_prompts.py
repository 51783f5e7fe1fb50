"""Prompts that no other test uses: a segmentation, and points that are not on the object."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np

from sam2_plugins.fiftyone_plugin import propagate
from tests.hosts.fiftyone.conftest import FRAMES, HEIGHT, WIDTH, disc, masks, overlap, put


def test_each_value_of_a_segmentation_is_an_object(movie: Any) -> None:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number in (1, 2):
        values[disc(0, number)] = 10 * number
    sample = movie.first()
    sample.frames[1] = fo.Frame(seed=fo.Segmentation(mask=values))
    sample.save()
    (report,) = propagate(movie, "seed").movies
    assert (report.objects, report.frames) == (2, FRAMES)
    for number, found in masks(movie).items():
        discs = [disc(number - 1, k) for k in (1, 2)]
        best = [max(overlap(mask, one) for mask in found.values()) for one in discs]
        assert min(best) > 0.7, number


def test_a_negative_point_takes_a_neighbour_away(movie: Any) -> None:
    on = fo.Keypoint(label="disc", index=1, points=[(30 / WIDTH, 30 / HEIGHT)])
    off = fo.Keypoint(
        label="disc", index=1, points=[(99.5 / WIDTH, 65.5 / HEIGHT)], tags=["negative"]
    )
    put(movie, 1, "clicks", on, off)
    propagate(movie, "clicks", "clicked", last=1)
    found = masks(movie, "clicked")[1][1]
    assert overlap(found, disc(0, 1)) > 0.7
    assert not found[66, 100]
