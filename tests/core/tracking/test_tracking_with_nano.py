"""What depends on masks being good: real weights on movies made here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sam2_plugins.core.masks import Masklet, ObjectMask
from sam2_plugins.core.model import Decoded, ImageFeatures, Sam2Model
from sam2_plugins.core.tracking.memory.policies import policies
from sam2_plugins.core.tracking.test_time_augmentation import decode_views
from sam2_plugins.core.tracking.tracker import VideoTracker
from tests.support.movies import disc

pytestmark = pytest.mark.slow


def discs(centres: np.ndarray, size: tuple[int, int], radius: int = 12) -> np.ndarray:
    """uint8 [T, H, W]: bright soft discs at centres [T, N, 2] (x, y) on noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]]
    movie = rng.normal(30, 6, (len(centres), *size))
    for t, at in enumerate(centres):
        for cx, cy in at:
            distance = np.hypot(x - cx, y - cy)
            movie[t] += 140 / (1 + np.exp((distance - radius) / 1.5))
    return movie.clip(0, 255).astype(np.uint8)


def cell(at: np.ndarray, size: tuple[int, int], radius: int = 12) -> ObjectMask:
    return ObjectMask.from_array(disc(size, tuple(at), radius))


def test_a_small_object_in_a_big_frame_is_followed_from_window_to_window(nano: Sam2Model) -> None:
    size = (600, 900)
    path = np.stack([np.linspace(100, 700, 40), np.full(40, 300.0)], axis=1)[:, None]
    tracker = VideoTracker(nano, discs(path, size))
    tracker.add_prompt(0, 1, box=(87, 287, 113, 313))
    windows, overlaps = set(), []
    for result in tracker.propagate():
        windows.add(tracker._objects[1].window)
        overlaps.append(result.masks[1].iou_with(cell(path[result.frame, 0], size)))
    assert len(windows) >= 4
    assert np.mean(overlaps) > 0.5
    assert overlaps[-1] > 0.4
    # What was prompted is remembered with the object where it lies in its window now.
    now, then = tracker._objects[1].window, tracker._objects[1].bank.prompted[0].window
    assert now is not None
    assert abs((path[-1, 0, 0] - now.x) - (path[0, 0, 0] - then.x)) < now.width / 4


def test_both_daughters_of_a_cell_stay_whole_while_they_part(nano: Sam2Model) -> None:
    size, apart = (600, 900), np.arange(28, 76, 4)
    places = np.stack([np.stack([450 + s * apart, 300 + s * apart], 1) for s in (-0.5, 0.5)], 1)
    truth = [cell(one, size).union_with(cell(other, size)) for one, other in places]
    tracker = VideoTracker(nano, discs(places, size))
    tracker.add_prompt(0, 1, mask=truth[0])
    found = [result.masks[1] for result in tracker.propagate()]
    assert min(mask.iou_with(t) for mask, t in zip(found, truth, strict=True)) > 0.7


def test_a_run_taken_up_again_goes_on_as_an_unbroken_one(nano: Sam2Model) -> None:
    size = (600, 900)
    path = np.stack([np.linspace(100, 400, 20), np.full(20, 300.0)], axis=1)[:, None]
    movie, box = discs(path, size), (87, 287, 113, 313)
    unbroken = VideoTracker(nano, movie)
    unbroken.add_prompt(0, 1, box=box)
    wanted = {result.frame: result.masks[1] for result in unbroken.propagate()}
    again = VideoTracker(nano, movie)
    again.add_prompt(0, 1, box=box)
    again.restore([Masklet(1, masks={f: m for f, m in wanted.items() if f < 12})])
    found = {result.frame: result.masks[1] for result in again.propagate()}
    assert min(found[f].iou_with(wanted[f]) for f in range(12, 20)) > 0.9


def test_windows_without_an_object_are_not_encoded(nano: Sam2Model) -> None:
    size = (600, 900)
    still = np.tile(np.array([[[120.0, 300.0], [150.0, 296.0]]]), (5, 1, 1))
    tracker = VideoTracker(nano, discs(still, size))
    tracker.add_prompt(0, 1, box=(108, 288, 133, 313))
    tracker.add_prompt(0, 2, box=(138, 284, 163, 309))
    assert tracker.frames_encoded == nano.variant.prompt_views
    list(tracker.propagate())
    assert tracker._objects[1].window == tracker._objects[2].window
    assert tracker.frames_encoded == nano.variant.prompt_views + 4


def test_without_windows_the_same_object_is_lost_or_coarser(nano: Sam2Model) -> None:
    size = (600, 900)
    path = np.tile(np.array([[[450.0, 300.0]]]), (4, 1, 1))
    movie = discs(path, size, radius=8)
    truth = cell(path[0, 0], size, radius=8)
    overlaps = {}
    for tile in ("auto", None):
        tracker = VideoTracker(nano, movie, window=tile)  # type: ignore[arg-type]
        tracker.add_prompt(0, 1, box=(442, 292, 459, 309))
        overlaps[tile] = [r.masks[1].iou_with(truth) for r in tracker.propagate()][-1]
    assert overlaps["auto"] > overlaps[None]


def test_hundreds_of_objects_are_tracked_in_batches(nano: Sam2Model) -> None:
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).reshape(1, -1, 2) * 30.0 + 20
    movie = discs(np.repeat(grid, 2, 0), (500, 500), radius=9)
    tracker = VideoTracker(nano, movie)
    for k, (x, y) in enumerate(grid[0]):
        tracker.add_prompt(0, k, box=(x - 9, y - 9, x + 10, y + 10))
    *_, last = tracker.propagate()
    found = [last.masks[k].iou_with(cell(at, (500, 500), 9)) for k, at in enumerate(grid[0])]
    assert len(found) == 256
    assert np.median(found) > 0.4


@pytest.mark.parametrize("policy", policies())
def test_every_memory_policy_follows_an_object_from_window_to_window(
    nano: Sam2Model, policy: str
) -> None:
    centres = np.array([(40 + 14 * t, 60 + 4 * t) for t in range(24)])
    size = (240, 420)
    tracker = VideoTracker(nano, discs(centres[:, None], size), window=128, policy=policy)
    tracker.add_prompt(0, "a", mask=cell(centres[0], size))
    for result in tracker.propagate():
        wanted = cell(centres[result.frame], size)
        assert result.masks["a"].iou_with(wanted) > 0.6, result.frame


@pytest.mark.parametrize("painted", [True, False])
def test_a_painted_mask_is_corrected_in_one_view_and_others_in_all(
    nano: Sam2Model, painted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = []

    def spy(model: Sam2Model, seen: Sequence[ImageFeatures], *how: Any) -> Decoded:
        views.append(len(seen))
        return decode_views(model, seen, *how)

    monkeypatch.setattr("sam2_plugins.core.tracking.operations.decode_views", spy)
    size, at = (96, 128), np.array([60.0, 40.0])
    tracker = VideoTracker(nano, discs(at[None, None], size), window=None)
    first: dict[str, Any] = {"mask": cell(at, size)} if painted else {"points": [at]}
    tracker.add_prompt(0, 1, **first)
    tracker.add_prompt(0, 1, points=[(at[0] + 9, at[1])], labels=[0])
    assert set(views) == {1 if painted else nano.variant.prompt_views}
