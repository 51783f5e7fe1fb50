from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.query import Answer, Output
from sam2_plugins.core.tracking.tracked_object import PromptedFrame, TrackedObject
from sam2_plugins.core.tracking.windows.planner import Window

SIZE = (40, 50)


def test_a_prompt_taken_back_outdates_the_masks_between_its_neighbours_only() -> None:
    tracked = TrackedObject(1, SIZE, Sam2Policy())
    for frame in (2, 5, 8):
        tracked.prompted[frame] = PromptedFrame()
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


def test_who_moves_an_object_says_nothing_of_the_track_behind_a_doubtful_mask() -> None:
    tracked = TrackedObject(1, SIZE, Sam2Policy())
    for frame in range(7):
        jumped = 20 if frame >= 4 else 0
        mask = ObjectMask(np.ones((6, 6), bool), (3 + jumped, 4), SIZE, 0.9, 20.0)
        tracked.record.put(frame, replace(mask, iou=0.4) if frame == 4 else mask)
    there = ObjectMask.from_box((40, 30, 46, 36), SIZE)
    nothing = torch.zeros(1)
    output = Output(nothing, nothing, nothing, 0.9, Window(0, 0, 50, 40))
    tracked.add_prompt(Prompt.of(2, 1, points=[(42, 32)]), lambda query: Answer(output, there))
    assert [f for f in range(7) if tracked.record.standing(f)] == [0, 1, 4, 5, 6]
    assert not tracked.record.is_current(3)
