"""Colours of an object and of what is around it: what they say of a mask in a photograph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.colours import LEVELS, MOST_ODDS, Colours
from sam2_plugins.core.tracking.feature_cache import FeatureCache
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.tracking.windows.planner import Window
from sam2_plugins.core.tracking.windows.scale_search import is_photograph

RED, GREEN, BLUE = (200, 30, 30), (30, 160, 40), (40, 40, 220)
WHOLE = Window(0, 0, 64, 64)


def picture(*areas: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> NDArray[np.uint8]:
    """64 × 64 pixels of green with areas (x0, y0, x1, y1) of other colours."""
    made = np.full((64, 64, 3), GREEN, np.uint8)
    for (x0, y0, x1, y1), colour in areas:
        made[y0:y1, x0:x1] = colour
    return made


def logits(box: tuple[int, int, int, int], sure: float = 2.0) -> Tensor:
    """Logits [1, 1, 64, 64] of a rectangle."""
    mask = torch.full((1, 1, 64, 64), -sure)
    mask[0, 0, box[1] : box[3], box[0] : box[2]] = sure
    return mask


def colours_of(*pictures: NDArray[np.uint8]) -> Colours:
    return Colours(
        FeatureCache(cached_model("nano", device="cpu"), open_frames(np.stack(pictures)))
    )


def weighed(first: NDArray[np.uint8], then: NDArray[np.uint8], tracked: Tensor) -> Tensor:
    """What colours make of a mask, after an object of 16 to 48 was prompted on the first frame."""
    colours = colours_of(first, then)
    shown = colours.shown([0], logits((16, 16, 48, 48)), [WHOLE])
    return colours.weigh(1, tracked, [WHOLE], shown)[0, 0]


def test_a_mask_that_slid_to_another_colour_comes_back() -> None:
    red = picture(((16, 16, 48, 48), RED))
    then = picture(((16, 16, 48, 48), RED), ((48, 16, 64, 48), BLUE))
    found = weighed(red, then, logits((24, 16, 56, 48)))
    assert found[32, 20] > 0  # left out, and of the object's colour
    assert found[32, 40] > 2  # the object
    assert found[32, 60] < 0
    # Blue was not seen before, and says nothing; green was around the object.
    assert found[32, 54] == pytest.approx(2)
    assert found[4, 4] == pytest.approx(-2 - MOST_ODDS, abs=0.01)


def test_colours_that_both_have_change_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = np.where(rng.random((64, 64, 1)) < 0.5, np.uint8(RED), np.uint8(GREEN)).astype(np.uint8)
    tracked = logits((24, 16, 56, 48))
    found = weighed(noise, noise, tracked)
    assert (found - tracked[0, 0]).abs().max() < 0.1


def test_what_is_sure_without_colours_can_be_spoken_against() -> None:
    red = picture(((16, 16, 48, 48), RED))
    once = weighed(red, red, logits((0, 16, 48, 48), sure=30))
    assert once[32, 8] == pytest.approx(6 - MOST_ODDS, abs=0.01)


def test_colours_say_less_where_they_tell_half_of_the_object_only() -> None:
    half = picture(((16, 16, 32, 48), RED))
    found = weighed(half, half, logits((16, 16, 48, 48)))
    assert found[32, 24] == pytest.approx(2 + MOST_ODDS / 2, abs=0.05)


def test_known_colours_say_nothing_on_a_frame_without_colours() -> None:
    """What was grey lay around the object; in a grey frame all is."""
    grey = np.full((64, 64, 3), 90, np.uint8)
    first = grey.copy()
    first[16:48, 16:48] = RED
    tracked = logits((24, 16, 56, 48))
    assert torch.equal(weighed(first, grey, tracked), tracked[0, 0])


def test_an_object_that_is_not_there_is_not_brought_back() -> None:
    red = picture(((16, 16, 48, 48), RED))
    absent = torch.full((1, 1, 64, 64), -1024.0)
    assert torch.equal(weighed(red, red, absent), absent[0, 0])


def test_a_grey_frame_is_left_alone() -> None:
    red = picture(((16, 16, 48, 48), RED))
    grey = np.repeat(red.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    tracked = logits((24, 16, 56, 48))
    assert torch.equal(weighed(red, grey, tracked), tracked[0, 0])
    assert torch.equal(weighed(grey, red, tracked), tracked[0, 0])


@pytest.mark.parametrize("dye", [(0, 1, 0), (0.7, 0.1, 0.9), (-0.4, -0.8, -0.3)])
def test_a_movie_of_one_dye_is_tracked_as_a_grey_one(dye: tuple[float, float, float]) -> None:
    light = np.random.default_rng(0).integers(0, 60, (64, 64, 1))
    light[16:48, 16:48] += 140
    stained = np.uint8(light * dye + 255 * (min(dye) < 0))
    assert is_photograph(stained)
    tracked = logits((24, 16, 56, 48))
    assert torch.equal(weighed(stained, stained, tracked), tracked[0, 0])


def test_colours_are_counted_without_what_apple_processors_lack() -> None:
    red = picture(((16, 16, 48, 48), RED))
    with torch.profiler.profile() as called:
        weighed(red, red, logits((24, 16, 56, 48)))
    assert "aten::avg_pool2d" in (names := {event.key for event in called.key_averages()})
    assert "aten::avg_pool3d" not in names


def test_a_large_window_has_the_colours_of_a_small_one() -> None:
    small = picture(((16, 0, 48, 64), RED), ((48, 32, 64, 64), BLUE))
    large = small.repeat(48, axis=0).repeat(3, axis=1)
    of_both = [
        colours_of(one)._codes_of(
            [(0, Window(0, 0, one.shape[1], one.shape[0]))], torch.Size((8, 4))
        )
        for one in (small, large)
    ]
    inside = [codes.unflatten(1, (8, 4))[:, [1, 6]][..., [0, 1, 3]] for codes in of_both]
    assert torch.equal(*inside)


def test_each_object_is_held_against_its_own_colours() -> None:
    both = picture(((0, 0, 32, 64), RED), ((32, 0, 64, 64), BLUE))
    colours = colours_of(both, both)
    masks = torch.cat((logits((0, 0, 32, 64)), logits((32, 0, 64, 64))))
    shown = colours.shown([0, 0], masks, [WHOLE, WHOLE])
    found = colours.weigh(1, torch.cat([logits((0, 0, 64, 64))] * 2), [WHOLE, WHOLE], shown)
    assert (found[:, 0, 32, 16] > 0).tolist() == [True, False]
    assert (found[:, 0, 32, 48] > 0).tolist() == [False, True]


def test_an_object_without_colours_is_the_same_beside_one_that_has_some() -> None:
    red = picture(((16, 16, 48, 48), RED))
    grey = np.repeat(red.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    colours = colours_of(grey, red, red)
    mask, tracked = logits((16, 16, 48, 48)), logits((24, 16, 56, 48), sure=30)
    shown = colours.shown([0, 1], torch.cat([mask] * 2), [WHOLE] * 2)
    found = colours.weigh(2, torch.cat([tracked] * 2), [WHOLE] * 2, shown)
    assert torch.equal(found[:1], tracked)


def coloured_movie(count: int = 3) -> NDArray[np.uint8]:
    """A red disc that moves over green, 96 × 96."""
    y, x = np.mgrid[:96, :96]
    frames = np.full((count, 96, 96, 3), GREEN, np.uint8)
    for number, frame in enumerate(frames):
        frame[(x - 40 - 4 * number) ** 2 + (y - 48) ** 2 < 18**2] = RED
    return frames


def disc(number: int = 0) -> ObjectMask:
    y, x = np.mgrid[:96, :96]
    return ObjectMask.from_array((x - 40 - 4 * number) ** 2 + (y - 48) ** 2 < 18**2)


def remembered(tracker: VideoTracker) -> Any:
    (tracked,) = tracker._objects
    return tracked.bank.prompted[0]


def test_a_prompted_frame_is_remembered_with_its_colours() -> None:
    tracker = VideoTracker(cached_model("nano", device="cpu"), coloured_movie())
    tracker.add(Prompt.of(0, 1, mask=disc()))
    masks = [result.masks[1] for result in tracker.propagate()]
    assert remembered(tracker).colours.shape == (LEVELS**3,)
    assert masks[2].iou_with(disc(2)) > 0.9


def test_a_memory_that_moves_to_another_window_keeps_its_colours() -> None:
    tracker = VideoTracker(cached_model("nano", device="cpu"), coloured_movie())
    tracker.add(Prompt.of(0, 1, mask=disc()))
    list(tracker.propagate())
    before = remembered(tracker)
    there = Window(8, 8, 80, 80)
    (moved,) = tracker._operations.rebuild([0], [disc()], [there], [before])
    assert moved.window == there
    assert moved.colours is before.colours


def test_of_a_grey_movie_no_colours_are_remembered() -> None:
    grey = np.repeat(coloured_movie()[..., 1:2], 3, 3)
    tracker = VideoTracker(cached_model("nano", device="cpu"), grey)
    tracker.add(Prompt.of(0, 1, mask=disc()))
    list(tracker.propagate())
    assert remembered(tracker).colours is None
