from __future__ import annotations

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.tracked_object import PromptedFrame, TrackedObject

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
