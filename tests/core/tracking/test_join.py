"""Where a new track meets masks that are there."""

from __future__ import annotations

import numpy as np
import torch

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.join import Joiner, stays
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.query import Output, Prediction
from sam2_plugins.core.tracking.schedule import plan_sweeps
from sam2_plugins.core.tracking.tracked_object import PromptedFrame, TrackedObject
from sam2_plugins.core.tracking.windows.planner import Window

SIZE = (100, 100)


def box(x: int, y: int = 20, side: int = 30, iou: float = 0.9, score: float = 15) -> ObjectMask:
    pixels = np.zeros(SIZE, bool)
    pixels[y : y + side, x : x + side] = True
    return ObjectMask.from_array(pixels, iou, score)


GONE = ObjectMask.empty(SIZE, 0.1, -5)
NOTHING = torch.zeros(1)
PREDICTION = Prediction(Output(NOTHING, NOTHING, NOTHING, 0.9, Window(0, 0, *SIZE)), GONE)


def test_what_a_new_track_finds_again_stays_with_all_beyond_it() -> None:
    assert stays(box(20), box(20), box(20), box(20))


def test_a_new_track_elsewhere_has_a_persons_word_for_it() -> None:
    assert not stays(box(20), box(60, iou=0.7), box(20), box(60))


def test_a_new_track_that_is_lost_leaves_what_is_there() -> None:
    assert stays(box(20), GONE, box(20), box(60))


def test_a_new_track_that_slips_to_another_place_leaves_what_is_there() -> None:
    slipped = box(65, 70, side=8, iou=0.4, score=1)
    assert stays(box(20), slipped, box(20), box(20))


def test_of_two_tracks_that_are_both_lost_what_is_there_stays() -> None:
    lost = box(20, side=8, iou=0.4, score=1)
    assert stays(lost, box(60, side=8, iou=0.3, score=0), box(40), box(20))


def test_an_object_that_a_person_says_is_gone_does_not_stay() -> None:
    assert not stays(box(20), GONE, box(20), GONE)


def test_of_two_outlines_of_one_object_the_old_one_stays_unless_the_new_one_is_as_sure() -> None:
    old = box(20)
    assert stays(old, box(23, iou=0.3, score=2), old, box(23))
    assert not stays(old, box(23), old, box(23))


def moved_on_frame_1() -> TrackedObject:
    """An object of five frames that a person showed to be elsewhere on frame 1."""
    tracked = TrackedObject(1, SIZE, Sam2Policy())
    for frame in range(5):
        tracked.record.put(frame, box(20))
    tracked.record.put(1, box(60))
    tracked.record.outdate([0, 2, 3, 4], by=1)
    tracked.prompted[1] = PromptedFrame([], PREDICTION, moved=True)
    return tracked


def keeps_on_frame_2(tracked: TrackedObject, new: ObjectMask) -> bool:
    [sweep] = plan_sweeps({1: tuple(tracked.prompted)}, "forward", None, None, 5, {})
    joiner = Joiner(None, None)  # type: ignore[arg-type]  # nothing is tracked
    return joiner.keeps(tracked, 2, new, sweep)


def test_a_track_from_where_the_object_was_moved_to_refutes_the_masks_beyond() -> None:
    tracked = moved_on_frame_1()
    assert not keeps_on_frame_2(tracked, box(60))
    assert [f for f in range(5) if tracked.record.standing(f)] == [0, 2]


def test_where_a_moved_object_is_lost_at_once_the_masks_beyond_stay() -> None:
    tracked = moved_on_frame_1()
    assert keeps_on_frame_2(tracked, GONE)
    assert tracked.record.current == {1, 2, 3, 4}


def test_a_track_that_comes_back_to_refuted_masks_replaces_them() -> None:
    assert not keeps_on_frame_2(moved_on_frame_1(), box(23, iou=0.3, score=2))


def test_a_track_from_another_prompt_does_not_keep_masks_that_a_move_refuted() -> None:
    tracked = moved_on_frame_1()
    tracked.prompted[4] = PromptedFrame([], PREDICTION)
    sweeps = plan_sweeps({1: (1, 4)}, "backward", None, None, 5, {})
    joiner = Joiner(None, None)  # type: ignore[arg-type]  # nothing is tracked
    assert not joiner.keeps(tracked, 3, box(60), sweeps[0])
