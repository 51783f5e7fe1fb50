from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import NEGATIVE, POSITIVE, Points, Prompt
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.query import Output, Prediction
from sam2_plugins.core.tracking.tracked_object import PromptedFrame, TrackedObject
from sam2_plugins.core.tracking.windows.planner import Window

SIZE = (40, 50)
NOTHING = torch.zeros(1)
OUTPUT = Output(NOTHING, NOTHING, NOTHING, 0.9, Window(0, 0, 50, 40))
PREDICTION = Prediction(OUTPUT, ObjectMask.empty(SIZE))


def test_a_prompt_taken_back_outdates_the_masks_between_its_neighbours_only() -> None:
    tracked = TrackedObject(1, SIZE, Sam2Policy())
    for frame in (2, 5, 8):
        tracked.prompted[frame] = PromptedFrame([], PREDICTION)
    for frame in range(11):
        tracked.record.put(frame, ObjectMask.from_box((3, 4, 9, 9), SIZE))
    tracked.remove_prompts(5)
    outdated = [f for f in range(11) if not tracked.record.is_current(f)]
    assert outdated == [3, 4, 5, 6, 7]


def test_an_outdated_mask_stays_until_it_is_replaced() -> None:
    record = TrackedObject(1, SIZE, Sam2Policy()).record
    mask = ObjectMask(np.ones((5, 6), bool), (3, 4), SIZE, 0.5, 2.0)
    record.put(4, mask)
    record.outdate([4])
    assert record.get(4) == mask
    assert not record.is_current(4)
    record.put(4, mask)
    assert record.is_current(4)


@pytest.mark.parametrize(("label", "refutes"), [(NEGATIVE, False), (POSITIVE, True)])
def test_only_what_shows_where_the_object_is_refutes_the_masks_after_it(
    label: int, refutes: bool
) -> None:
    tracked = TrackedObject(1, SIZE, Sam2Policy())
    for frame in range(5):
        tracked.record.put(frame, ObjectMask.from_box((3, 4, 30, 30), SIZE))
    left = ObjectMask.from_box((3, 4, 10, 10), SIZE)
    click = Prompt(2, 1, points=Points(((20.0, 20.0),), (label,)))
    tracked.add_prompt(click, lambda query: Prediction(OUTPUT, left))
    assert [f for f in range(5) if tracked.record.standing(f)] == [0, 1, 3, 4]
    assert [f for f in range(5) if tracked.is_refuted(f)] == ([3, 4] if refutes else [])
