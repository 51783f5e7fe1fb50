from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.prompts import (
    EXCLUDE,
    INCLUDE,
    box_of_corners,
    corners_of_box,
    point_row,
    read_prompts,
)

ALONG_T = Line(0, (0, 2))


def test_clicks_and_boxes_are_read_by_frame_and_object_boxes_first() -> None:
    drawn = read_prompts(
        np.array([[4, 2, 10.0, 20.0], [4, 2, 11.0, 21.0]]),
        {"object": [3, 3], "meaning": [INCLUDE, EXCLUDE]},
        [corners_of_box((5, 6, 9, 12), (4, 2))],
        {"object": [3]},
        ALONG_T,
    )
    assert drawn == {
        ((4, 2), 3): (
            Prompt.of(4, 3, box=(5, 6, 9, 12)),
            Prompt.of(4, 3, points=[(20, 10)]),
            Prompt.of(4, 3, points=[(21, 11)], labels=[0]),
        )
    }


def test_what_lies_on_another_plane_is_not_said_here() -> None:
    about = {"object": [1], "meaning": [INCLUDE]}
    assert not read_prompts(np.array([[4, 1, 10.0, 20.0]]), about, [], {}, ALONG_T)


def test_a_box_around_whole_pixels_has_whole_corners_in_the_core() -> None:
    # napari draws a pixel from half below to half above its coordinate.
    corners = np.array([[0, 9.5, 4.5], [0, 9.5, 8.5], [0, 19.5, 8.5], [0, 19.5, 4.5]])
    assert box_of_corners(corners) == (5, 10, 9, 20)


@given(st.lists(st.floats(0, 500), min_size=4, max_size=4))
def test_boxes_and_points_survive_the_way_to_napari_and_back(numbers: list[float]) -> None:
    x0, y0, width, height = numbers
    box = (x0, y0, x0 + width, y0 + height)
    assert np.allclose(box_of_corners(corners_of_box(box, (3, 2))), box)
    assert point_row((x0, y0), (3, 2)) == (3, 2, y0, x0)
