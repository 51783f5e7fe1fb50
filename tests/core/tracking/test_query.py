from __future__ import annotations

import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Box, Points, Prompt
from sam2_plugins.core.tracking.query import Combined, Query


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


MASK = ObjectMask.from_box((20, 20, 60, 60), (100, 100))
BOX, CLICK = Prompt.of(0, 1, box=(20, 20, 70, 60)), Prompt.of(0, 1, points=[(40, 40)])


@pytest.mark.parametrize(
    ("first", "at", "label", "nearby", "corrects"),
    [
        (BOX, (57, 40), 0, True, True),
        (BOX, (40, 40), 0, True, True),  # a box tells what is meant, and how large it is
        (BOX, (95, 95), 1, True, False),
        (CLICK, (57, 40), 0, True, True),
        (CLICK, (72, 40), 1, True, False),
        (CLICK, (50, 50), 1, True, False),  # it tells more of what is meant
        (BOX, (50, 50), 1, True, True),
        (BOX, (57, 40), 0, False, False),
        (Prompt(0, 1, mask=MASK), (40, 40), 0, False, True),
        (Prompt(0, 1, mask=MASK), (95, 95), 1, True, False),
    ],
)
def test_a_click_corrects_the_mask_that_is_there_or_asks_for_another(
    first: Prompt, at: tuple[int, int], label: int, nearby: bool, corrects: bool
) -> None:
    query = Query(0, [first, Prompt.of(0, 1, points=[at], labels=[label])], recorded=MASK)
    assert query.corrects(nearby) == ((MASK, (*at, label)) if corrects else None)
