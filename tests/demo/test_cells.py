from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.demo.cells import choose_prompts
from tests.support.movies import disc

SIZE = (200, 300)


def nuclei(*centres: tuple[int, int], radius: int = 10) -> np.ndarray:
    image = np.full(SIZE, 10, np.uint8)
    for centre in centres:
        image[disc(SIZE, centre, radius)] = 180
    return image


ALONE = [(50, 40), (150, 40), (250, 40), (50, 150), (150, 150), (250, 150)]


def where(prompt) -> tuple[float, float]:
    if prompt.points is not None:
        return prompt.points.xy[0]
    x0, y0, x1, y1 = prompt.box
    return (x0 + x1) / 2, (y0 + y1) / 2


def test_every_nucleus_that_stands_alone_gets_a_prompt_on_it():
    prompts = choose_prompts(nuclei(*ALONE))
    assert [prompt.obj for prompt in prompts] == [1, 2, 3, 4, 5, 6]
    found = {tuple(round(v, -1) for v in where(prompt)) for prompt in prompts}
    assert found == set(ALONE)


def test_clicks_and_boxes_take_turns():
    kinds = [prompt.box is None for prompt in choose_prompts(nuclei(*ALONE))]
    assert kinds == [True, False] * 3


def test_no_more_are_chosen_than_wanted_and_they_are_far_apart():
    chosen = [where(prompt) for prompt in choose_prompts(nuclei(*ALONE), count=2)]
    (ax, ay), (bx, by) = chosen
    assert np.hypot(ax - bx, ay - by) > 200


def test_clumps_neighbours_and_nuclei_at_the_border_are_left_out():
    clump = [(150, 40), (166, 46)]
    neighbours = [(240, 40), (262, 40)]
    image = nuclei((50, 40), (50, 150), (150, 150), *clump, *neighbours, (250, 192))
    found = {tuple(round(v, -1) for v in where(prompt)) for prompt in choose_prompts(image)}
    assert found == {(50, 40), (50, 150), (150, 150)}


@pytest.mark.parametrize("level", [0, 77])
def test_an_image_without_cells_gives_no_prompt(level: int):
    assert choose_prompts(np.full(SIZE, level, np.uint8)) == []


def test_the_choice_is_the_same_every_time():
    image = nuclei(*ALONE)
    assert choose_prompts(image, 4) == choose_prompts(np.stack([image] * 3, axis=2), 4)


def test_cells_are_taken_from_a_crowd_only_when_there_are_no_others():
    crowd = [(60 + 30 * column, 60 + 30 * row) for column in range(3) for row in range(3)]
    image = nuclei(*crowd, (240, 60), (240, 140))
    assert all(where(prompt)[0] > 200 for prompt in choose_prompts(image, count=2))
    assert len(choose_prompts(image, count=11)) == 11
