from __future__ import annotations

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Box, Points, Prompt
from sam2_plugins.core.tracking.query import Combined


def test_the_last_box_counts_and_clicks_add_up() -> None:
    prompts = [
        Prompt.of(0, 1, points=[(1, 2)], box=(50, 50, 90, 90)),
        Prompt.of(0, 1, points=[(3, 4)], labels=[0]),
        Prompt.of(0, 1, box=(10, 20, 26, 36)),
    ]
    clicks = Points(((1, 2), (3, 4)), (1, 0))
    assert Combined.of(prompts) == Combined(None, Box(10, 20, 26, 36), clicks)


def test_a_mask_replaces_what_came_before_it() -> None:
    mask = ObjectMask.from_box((3, 4, 9, 9), (40, 50))
    before = Prompt.of(0, 1, points=[(1, 2)], box=(5, 5, 9, 9))
    assert Combined.of([before, Prompt(0, 1, mask=mask)]) == Combined(mask)
