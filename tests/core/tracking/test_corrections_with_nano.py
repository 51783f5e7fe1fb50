"""What corrections do to masks that are there: real weights on two discs that move apart."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.run import TrackJournal, run
from sam2_plugins.core.tracking.tracker import VideoTracker
from tests.core.tracking.test_tracking_with_nano import cell, discs

pytestmark = pytest.mark.slow

FRAMES, SIZE = 9, (160, 240)
STEPS = np.arange(FRAMES)
PATHS = np.stack(
    [
        np.stack([60.0 + 3 * STEPS, 60.0 + STEPS], axis=1),
        np.stack([170.0 - 2 * STEPS, 110.0 + STEPS], axis=1),
    ],
    axis=1,
)
BOTH = TrackingOptions(model="nano", device="cpu", direction="both")


def truth(frame: int, which: int = 0) -> ObjectMask:
    return cell(PATHS[frame, which], SIZE)


def tracker_of() -> VideoTracker:
    tracker = BOTH.tracker(discs(PATHS, SIZE), cached_model("nano", device="cpu"))
    tracker.add_prompt(0, 1, mask=truth(0))
    return tracker


def overlaps(tracker: VideoTracker) -> list[float]:
    masks = [tracker.mask(frame, 1) for frame in range(1, FRAMES - 1)]
    return [m.iou_with(truth(f)) for f, m in enumerate(masks, 1) if m is not None]


def test_a_click_beside_an_object_leaves_its_tracked_mask_as_it_is() -> None:
    tracker = tracker_of()
    list(tracker.propagate(stop=3))
    before = tracker.mask(3, 1)
    x, y = PATHS[3, 0]
    assert tracker.add_prompt(3, 1, points=[(x + 17, y)], labels=[0]) == before


@pytest.mark.parametrize("tracked_before", [True, False])
def test_a_wrong_correction_on_the_last_frame_leaves_those_before_it(tracked_before: bool) -> None:
    tracker = tracker_of()
    if tracked_before:
        list(tracker.propagate())
    tracker.add_prompt(FRAMES - 1, 1, mask=truth(FRAMES - 1, which=1))
    list(tracker.propagate("both"))
    assert min(overlaps(tracker)) > 0.7


def test_frames_before_a_correction_keep_their_masks_on_the_way_forward() -> None:
    tracker = tracker_of()
    list(tracker.propagate())
    before = [tracker.mask(frame, 1) for frame in range(FRAMES - 2)]
    tracker.add_prompt(FRAMES - 2, 1, mask=truth(FRAMES - 2, which=1))
    list(tracker.propagate())
    assert [tracker.mask(frame, 1) for frame in range(FRAMES - 2)] == before


def test_a_doubtful_mask_before_a_correction_is_tracked_again() -> None:
    tracker = tracker_of()
    list(tracker.propagate())
    slipped = replace(truth(4, which=1), iou=0.3, score=-1.0)
    tracker.take(4, {1: slipped})
    tracker.add_prompt(FRAMES - 2, 1, mask=truth(FRAMES - 2))
    list(tracker.propagate())
    found = tracker.mask(4, 1)
    assert found is not None
    assert found.iou_with(truth(4)) > 0.7


def test_a_right_correction_reaches_back_to_where_the_object_was_lost() -> None:
    tracker = tracker_of()
    tracker.add_prompt(2, 1, mask=truth(2, which=1))  # from here on it is on the other disc
    list(tracker.propagate())
    tracker.remove_prompt(2, 1)
    tracker.add_prompt(FRAMES - 1, 1, mask=truth(FRAMES - 1))
    list(tracker.propagate("both"))
    assert min(overlaps(tracker)) > 0.7


def test_a_run_that_is_cut_off_while_it_joins_sweeps_goes_on_to_the_same_masks(
    tmp_path: Path,
) -> None:
    def corrected() -> VideoTracker:
        tracker = tracker_of()
        tracker.add_prompt(FRAMES - 1, 1, mask=truth(FRAMES - 1, which=1))
        return tracker

    whole = corrected()
    steps = sum(1 for _ in run(whole, BOTH))
    assert steps > FRAMES  # the sweeps did not meet
    for cut in (FRAMES + 2, steps - 3):
        journal = tmp_path / f"{cut}.jsonl"
        with closing(run(corrected(), BOTH, [TrackJournal(journal)])) as results:
            list(islice(results, cut))
        again = corrected()
        list(run(again, BOTH, [TrackJournal(journal)]))
        assert again.masklets() == whole.masklets(), f"cut off after {cut} of {steps}"


def test_a_click_on_another_object_moves_there_with_all_that_follows() -> None:
    tracker = tracker_of()
    list(tracker.propagate())
    moved = tracker.add_prompt(4, 1, points=[tuple(PATHS[4, 1])])
    assert moved.iou_with(truth(4, which=1)) > 0.7
    list(tracker.propagate())
    assert all(
        mask.iou_with(truth(frame, which=int(frame >= 4))) > 0.6
        for frame in range(1, FRAMES)
        if (mask := tracker.mask(frame, 1)) is not None
    )
