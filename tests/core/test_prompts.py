from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Box, Points, Prompt


def test_plain_values_become_a_prompt():
    mask = np.eye(4)
    prompt = Prompt.of(
        3, "cell", points=[(1, 2), (3.5, 4)], labels=[1, 0], box=(1, 2, 3, 4), mask=mask
    )
    assert prompt.points == Points(((1.0, 2.0), (3.5, 4.0)), (1, 0))
    assert prompt.box == Box(1, 2, 3, 4)
    assert prompt.mask == ObjectMask.from_array(mask)


def test_one_click_needs_neither_a_list_nor_a_label():
    assert Prompt.of(0, 1, points=(5, 6)) == Prompt.of(0, 1, points=[[5, 6]], labels=[1])
    assert Prompt.of(0, 1, points=(5, 6), labels=0).points == Points(((5.0, 6.0),), (0,))


def test_numpy_numbers_become_plain_ones():
    prompt = Prompt.of(np.int64(2), np.uint8(7), points=np.array([[1, 2]], np.float32))
    assert (type(prompt.frame), type(prompt.obj)) == (int, int)
    assert type(prompt.points.xy[0][0]) is float


def test_the_corners_of_a_box_are_sorted():
    assert tuple(Box.of([9, 2, 3, 8])) == (3.0, 2.0, 9.0, 8.0)


def test_prompts_are_values():
    prompts = {Prompt.of(0, 1, box=(0, 0, 2, 2), mask=np.eye(3)) for _ in range(2)}
    assert len(prompts) == 1
    assert Prompt.of(0, 1, points=(0, 0)) != Prompt.of(0, "1", points=(0, 0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give points, a box or a mask"),
        ({"points": []}, "pairs"),
        ({"points": [(1, 2, 3)]}, "pairs"),
        ({"points": "here"}, "pairs"),
        ({"points": [(nan, 2)]}, "not finite"),
        ({"points": [(1, 2)], "labels": [1, 0]}, "1 point.s. but 2 label"),
        ({"points": [(1, 2)], "labels": [2]}, "1 .on the object. or 0"),
        ({"points": [(1, 2)], "labels": [0.5]}, "1 .on the object. or 0"),
        ({"labels": [1]}, "without points"),
        ({"points": Points(((1, 2),), (1,)), "labels": [1]}, "labels already"),
        ({"box": (1, 2, 3)}, "four numbers"),
        ({"box": (1, 2, 1, 5)}, "empty"),
        ({"box": (1, 2, inf, 5)}, "not finite"),
        ({"mask": np.zeros((2, 3, 4))}, "two dimensions"),
    ],
)
def test_an_error_names_the_object_the_frame_and_the_fault(values, message):
    with pytest.raises(PromptError, match=f"Object 'a', frame 7: .*{message}"):
        Prompt.of(7, "a", **values)


@pytest.mark.parametrize("obj", [1.5, None, True, ("a",)])
def test_an_id_is_a_number_or_a_text(obj):
    with pytest.raises(PromptError, match="id"):
        Prompt.of(0, obj, points=(0, 0))


@pytest.mark.parametrize("frame", [-1, 1.5, "0", True])
def test_a_frame_is_a_whole_number_from_0_on(frame):
    with pytest.raises(PromptError, match="frame"):
        Prompt.of(frame, 1, points=(0, 0))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt.of(5, "a", points=(0, 0)), "ends with frame 4"),
        (Prompt.of(0, "a", points=[(0, 0), (11, 0)]), "point .11, 0. is outside"),
        (Prompt.of(0, "a", points=(0, -1)), "point .0, -1. is outside"),
        (Prompt.of(0, "a", box=(10, 0, 20, 5)), "box .10, 0, 20, 5. is outside"),
        (Prompt.of(0, "a", box=(0.1, 0.2, 0.5, 0.9)), "box .0.1, 0.2, 0.5, 0.9. is within a pixel"),
        (Prompt.of(0, "a", mask=np.eye(8)), "mask is 8×8 pixels"),
    ],
)
def test_a_prompt_that_is_not_in_the_movie_is_named(prompt, message):
    with pytest.raises(PromptError, match=f"Object 'a', frame {prompt.frame}: .*{message}"):
        prompt.check_fits((8, 10), n_frames=5)


def test_a_prompt_in_the_movie_fits_even_at_its_edges():
    prompt = Prompt.of(4, 1, points=[(0, 0), (10, 8)], box=(-5, -5, 1, 1), mask=np.zeros((8, 10)))
    prompt.check_fits((8, 10), n_frames=5)
    with pytest.raises(PromptError):
        prompt.check_fits((8, 9), n_frames=5)


@pytest.mark.parametrize(
    "mask",
    [
        np.array([[0, 1], [2, 2]]),
        np.array([[0, 0.2], [0.9, 1]]),
        np.array([[-4.0, 3.0], [-4.0, 3.0]]),
        np.array([[np.nan, 1], [1, 1]]),
    ],
    ids=["labels", "probabilities", "logits", "not a number"],
)
def test_a_mask_whose_object_is_not_clear_is_refused(mask):
    with pytest.raises(PromptError, match="Object 1, frame 0: The mask has several values"):
        Prompt.of(0, 1, mask=mask)


@pytest.mark.parametrize("value", [True, 255, 7.0, -1])
def test_a_mask_has_any_value_for_the_object(value):
    mask = np.zeros((4, 5), type(value))
    mask[1:3, 2:4] = value
    assert Prompt.of(0, 1, mask=mask).mask.box == (2, 1, 4, 3)
