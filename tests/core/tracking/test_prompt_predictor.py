"""Prompts to masks with the embedded model, on pictures whose objects are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompts import Box
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from sam2_plugins.core.tracking.tracker import VideoTracker
from tests.support.movies import disc

SIZE = 512
NUCLEI = [(120, 150, 14), (211, 150, 15), (330, 300, 16)]
"""x, y and radius; the first two are 91 px apart."""

y, x = np.mgrid[:SIZE, :SIZE]


def nucleus(at: tuple[int, int, int]) -> ObjectMask:
    return ObjectMask.from_array(disc((SIZE, SIZE), at[:2], at[2]))


def field(*shapes: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A grey picture with bright shapes."""
    image = np.random.default_rng(0).normal(30, 5, (SIZE, SIZE))
    for shape in shapes:
        image[shape] += 120
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def nuclei() -> NDArray[np.uint8]:
    return field(*(nucleus(at).to_array() for at in NUCLEI))


def test_a_click_on_another_nucleus_corrects_an_identity_switch(
    nano: Sam2Model, nuclei: NDArray[np.uint8]
) -> None:
    tracker = VideoTracker(nano, np.stack([nuclei] * 5))
    wrong, right = NUCLEI[:2]
    tracker.add_prompt(0, 1, points=[wrong[:2]])
    for _ in tracker.propagate():
        pass
    corrected = tracker.add_prompt(4, 1, points=[right[:2]])
    assert corrected.iou_with(nucleus(right)) > 0.85
    assert tracker.unmet_clicks(4, 1) == ()


def test_a_first_click_on_the_wrong_nucleus_is_overruled_by_one_on_the_right_with_an_exclusion(
    nano: Sam2Model, nuclei: NDArray[np.uint8]
) -> None:
    tracker = VideoTracker(nano, nuclei[None])
    wrong, right = NUCLEI[0], NUCLEI[2]
    tracker.add_prompt(0, 1, points=[wrong[:2]])
    tracker.add_prompt(0, 1, points=[wrong[:2]], labels=[0])
    mask = tracker.add_prompt(0, 1, points=[right[:2]])
    assert mask.iou_with(nucleus(right)) > 0.8
    # Of two clicks on one pixel, only one can be met, and the other is told of.
    assert tracker.unmet_clicks(0, 1) == ((120.0, 150.0, 1),)
    (result,) = tracker.propagate()
    assert result.unmet == {1: ((120.0, 150.0, 1),)}
    (note,) = tracker.unmet_notes()
    assert note.startswith("Object 1, frame 0: the mask leaves out the click at (120, 150)")


def test_three_clicks_on_a_large_object_are_answered_with_the_whole_of_it(nano: Sam2Model) -> None:
    bar = (np.abs(y - 256) < 40) & (np.abs(x - 256) < 180)
    tracker = VideoTracker(nano, field(bar)[None])
    for at in ((100, 256), (256, 256), (410, 256)):
        mask = tracker.add_prompt(0, 1, points=[at])
    assert mask.iou_with(ObjectMask.from_array(bar)) > 0.8
    assert tracker.unmet_clicks(0, 1) == ()


def test_a_refining_click_starts_from_the_mask_that_is_there(nano: Sam2Model) -> None:
    bar = (np.abs(y - 256) < 20) & (np.abs(x - 256) < 60)
    refined, at_once = (VideoTracker(nano, field(bar)[None], window=None) for _ in range(2))
    refined.add_prompt(0, 1, mask=nucleus((256, 256, 30)))
    mask = refined.add_prompt(0, 1, points=[(300, 256)])
    assert mask != at_once.add_prompt(0, 1, points=[(300, 256)])


def test_an_exclusion_is_obeyed_or_told(nano: Sam2Model) -> None:
    touching = [(240, 256, 20), (276, 256, 20)]
    tracker = VideoTracker(nano, field(*(nucleus(at).to_array() for at in touching))[None])
    tracker.add_prompt(0, 1, box=(218, 234, 300, 278))
    mask = tracker.add_prompt(0, 1, points=[(280, 256)], labels=[0])
    inside = mask.around(280, 256, 3).all()
    assert bool(inside) == bool(tracker.unmet_clicks(0, 1))


def test_a_box_that_is_drawn_beyond_the_frame_is_the_part_within(nano: Sam2Model) -> None:
    corner = nucleus((2, 2, 15))
    tracker = VideoTracker(nano, field(corner.to_array())[None])
    within = tracker.add_prompt(0, 1, box=(0, 0, 17, 17))
    assert within.iou_with(corner) > 0.85
    assert tracker.add_prompt(0, 2, box=(-100, -40, 17, 17)) == within
    assert tracker.prompts[1].box == Box(-100, -40, 17, 17)


@pytest.mark.parametrize("first", [{"box": (100, 130, 141, 171)}, {"points": [(120, 150)]}])
def test_a_click_at_the_outline_changes_a_mask_there_and_nowhere_else(
    nano: Sam2Model, nuclei: NDArray[np.uint8], first: dict[str, Any]
) -> None:
    tracker = VideoTracker(nano, nuclei[None])
    before = tracker.add_prompt(0, 1, **first)
    assert before.box is not None
    at = (before.box[2] - 4, 150)
    after = tracker.add_prompt(0, 1, points=[at], labels=[0])
    ys, xs = np.nonzero(before.to_array() ^ after.to_array())
    assert xs.size
    assert np.hypot(xs - at[0], ys - at[1]).max() <= 10


def test_a_small_part_that_was_clicked_on_stays(nano: Sam2Model) -> None:
    large, small = (200, 256, 40), (280, 256, 8)
    both = ObjectMask.from_array(nucleus(large).to_array() | nucleus(small).to_array())
    assert both.without_specks(0.1) == nucleus(large)
    assert both.without_specks(0.1, keep=[(280.0, 256.0)]) == both
    assert both.without_specks(0.1, keep=[(5.0, 256.0)]) == nucleus(large)


@pytest.mark.parametrize(
    "prompts",
    [
        [{"points": [(120, 150)]}],
        [{"points": [(120, 150), (150, 150)], "labels": [1, 0]}],
        [{"box": (195, 134, 228, 167)}],
        [{"mask": nucleus((330, 300, 12))}],
        [{"mask": nucleus((330, 300, 12)), "points": [(330, 314)]}],
        [{"mask": nucleus((330, 300, 12)), "box": (313, 283, 347, 317)}],
        [{"box": (195, 134, 228, 167), "points": [(330, 300)]}],
    ],
    ids=["click", "clicks", "box", "mask", "mask and click", "mask and box", "click outside"],
)
def test_an_image_and_a_frame_of_a_movie_are_answered_alike(
    nano: Sam2Model, nuclei: NDArray[np.uint8], prompts: list[dict[str, Any]]
) -> None:
    segmenter = ImageSegmenter(nano)
    segmenter.set_image(nuclei)
    tracker = VideoTracker(nano, np.stack([nuclei, nuclei]))
    for prompt in prompts:
        assert segmenter.predict(**prompt)[0] == tracker.add_prompt(0, 1, **prompt)


def test_a_mask_and_a_click_at_once_are_those_one_after_the_other(
    nano: Sam2Model, nuclei: NDArray[np.uint8]
) -> None:
    small = nucleus((330, 300, 12))
    at_once, one_by_one = (VideoTracker(nano, nuclei[None]) for _ in range(2))
    one_by_one.add_prompt(0, 1, mask=small)
    wanted = one_by_one.add_prompt(0, 1, points=[(330, 314)])
    assert at_once.add_prompt(0, 1, mask=small, points=[(330, 314)]) == wanted
    assert wanted != small


@pytest.mark.slow
def test_everything_finds_small_objects_in_a_large_picture(nano: Sam2Model) -> None:
    cells = [(100, 120, 9), (400, 90, 10), (260, 300, 9), (90, 430, 11), (430, 420, 10)]
    segmenter = ImageSegmenter(nano)
    segmenter.set_image(field(*(nucleus(at).to_array() for at in cells)))
    found = segmenter.everything(points_per_side=8, min_iou=0.6, min_stability=0.8)
    for at in cells:
        assert max(mask.iou_with(nucleus(at)) for mask in found) > 0.7
