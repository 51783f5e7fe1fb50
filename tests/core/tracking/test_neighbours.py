"""Clicks on other objects of a frame: real weights on two rods that touch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.tracker import VideoTracker

pytestmark = pytest.mark.slow

HALF_LENGTH, HALF_WIDTH = 12, 4.8
CLICKS = {1: (79.2, 80.0), 2: (100.8, 80.0)}


def rods(frames: int = 1) -> np.ndarray:
    """uint8 [T, H, W]: two bright rods, end to end, one on each side of the middle."""
    y, x = np.mgrid[:160, :200]
    image = np.full(x.shape, 30.0)
    for cx, cy in CLICKS.values():
        image[(abs(x - cx) <= HALF_LENGTH) & (abs(y - cy) <= HALF_WIDTH)] = 120
    image = ndimage.gaussian_filter(image, 1) + np.random.default_rng(3).normal(0, 2, x.shape)
    return np.stack([image.clip(0, 255).astype(np.uint8)] * frames)


def tracker_of(neighbours: bool = True, frames: int = 1) -> VideoTracker:
    options = TrackingOptions(model="nano", device="cpu", neighbours=neighbours)
    return options.tracker(rods(frames), cached_model("nano", device="cpu"))


def click(tracker: VideoTracker, *objects: int) -> None:
    for obj in objects:
        tracker.add_prompt(0, obj, points=[CLICKS[obj]])


def holds(tracker: VideoTracker, obj: int, other: int) -> bool:
    mask = tracker.mask(0, obj)
    assert mask is not None and mask.around(*CLICKS[obj], 0).any()
    return bool(mask.around(*CLICKS[other], 0).any())


def masks(tracker: VideoTracker) -> list[ObjectMask | None]:
    return [tracker.mask(0, obj) for obj in CLICKS]


@pytest.mark.parametrize("first", [1, 2])
def test_of_two_objects_that_a_click_takes_together_each_leaves_the_other_ones_click(
    first: int,
) -> None:
    tracker = tracker_of()
    click(tracker, first)
    assert holds(tracker, first, 3 - first)
    click(tracker, 3 - first)
    assert not holds(tracker, 1, 2)
    assert not holds(tracker, 2, 1)


def test_without_the_option_objects_know_nothing_of_each_other() -> None:
    tracker = tracker_of(neighbours=False)
    click(tracker, 1, 2)
    assert holds(tracker, 1, 2)
    assert holds(tracker, 2, 1)


def test_an_object_that_was_tracked_is_not_changed_by_a_click_on_another() -> None:
    tracker = tracker_of(frames=2)
    click(tracker, 1)
    before = {result.frame: result.masks[1] for result in tracker.propagate()}
    click(tracker, 2)
    assert not holds(tracker, 2, 1)
    assert {frame: tracker.mask(frame, 1) for frame in before} == before


def test_undo_brings_back_both_masks_and_redo_takes_them_again() -> None:
    tracker = tracker_of()
    click(tracker, 1)
    alone = tracker.mask(0, 1)
    click(tracker, 2)
    both = masks(tracker)
    tracker.undo_prompt()
    assert tracker.objects == (1,)
    assert tracker.mask(0, 1) == alone
    tracker.redo_prompt()
    assert masks(tracker) == both


@pytest.mark.parametrize("neighbours", [True, False])
def test_saved_prompts_give_the_same_masks(tmp_path: Path, neighbours: bool) -> None:
    tracker = tracker_of()
    click(tracker, 1, 2)
    tracker.save_prompts(tmp_path / "prompts.json")
    again = tracker_of(neighbours)
    again.load_prompts(tmp_path / "prompts.json")
    assert masks(again) == masks(tracker)


def test_saved_prompts_leave_a_mask_alone_that_was_tracked_before_the_other_click(
    tmp_path: Path,
) -> None:
    tracker = tracker_of(frames=2)
    click(tracker, 1)
    list(tracker.propagate())
    click(tracker, 2)
    tracker.save_prompts(tmp_path / "prompts.json")
    again = tracker_of(frames=2)
    again.load_prompts(tmp_path / "prompts.json")
    assert masks(again) == masks(tracker)


def test_prompts_given_again_in_another_order_give_the_same_masks() -> None:
    tracker = tracker_of()
    click(tracker, 1, 2)
    again = tracker_of()
    for prompt in reversed(tracker.prompts):
        again.add(prompt)
    assert masks(again) == masks(tracker)


def test_the_same_click_for_two_objects_gives_both_the_same_mask() -> None:
    tracker = tracker_of()
    click(tracker, 1)
    before = tracker.mask(0, 1)
    tracker.add_prompt(0, 2, points=[CLICKS[1]])
    assert masks(tracker) == [before, before]
