from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.marks import (
    EXCLUDE,
    INCLUDE,
    Marks,
    box_of_corners,
    corners_of_box,
)

ALONG_T = Line(0, (0, 2))


def test_clicks_and_boxes_are_read_by_frame_and_object_boxes_first() -> None:
    corners = tuple(map(tuple, corners_of_box((5, 6, 9, 12), (4, 2))))
    marks = Marks(
        (((4, 2, 10.0, 20.0), 3, INCLUDE), ((4, 2, 11.0, 21.0), 3, EXCLUDE)),
        (("rectangle", corners, 3),),
    )
    assert marks.prompts(ALONG_T, (50, 50)) == {
        ((4, 2), 3): (
            Prompt.of(4, 3, box=(5, 6, 9, 12)),
            Prompt.of(4, 3, points=[(20, 10)]),
            Prompt.of(4, 3, points=[(21, 11)], labels=[0]),
        )
    }


def test_what_lies_on_another_plane_is_no_prompt_here() -> None:
    marks = Marks((((4, 1, 10.0, 20.0), 1, INCLUDE),))
    assert not marks.prompts(ALONG_T, (50, 50))


def test_a_box_around_whole_pixels_has_whole_corners_in_the_core() -> None:
    # napari draws a pixel from half below to half above its coordinate.
    corners = np.array([[0, 9.5, 4.5], [0, 9.5, 8.5], [0, 19.5, 8.5], [0, 19.5, 4.5]])
    assert box_of_corners(corners) == (5, 10, 9, 20)


@given(st.lists(st.floats(0, 500), min_size=4, max_size=4))
def test_boxes_and_points_survive_the_way_to_napari_and_back(numbers: list[float]) -> None:
    x0, y0, width, height = numbers
    box = (x0, y0, x0 + width + 1, y0 + height + 1)
    prompts = Prompt.of(4, 3, box=box), Prompt.of(4, 3, [(x0, y0)], [0])
    marks = Marks().adding((4, 2), prompts[0]).adding((4, 2), prompts[1])
    ((key, found),) = marks.prompts(ALONG_T, (50, 50)).items()
    assert key == ((4, 2), 3)
    assert np.allclose(tuple(found[0].box), box)
    assert found[1] == prompts[1]
    assert marks.without(3, (4, 1)) == marks
    assert marks.without(3) == Marks()
