from __future__ import annotations

import math

import numpy as np
import pytest

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin.labels import (
    Cue,
    detection_mask,
    detection_values,
    merge_cues,
    read_cue,
    read_segmentation,
    relative_box,
    relative_points,
)

SIZE = 40, 60


@pytest.mark.parametrize("side", [1, 2, 10, 23])
def test_a_mask_goes_to_a_detection_and_back_without_losing_a_pixel(side: int) -> None:
    array = np.zeros(SIZE, bool)
    array[7 : 7 + side, 11 : 11 + side] = np.random.default_rng(side).random((side, side)) > 0.3
    array[7, 11] = array[6 + side, 10 + side] = True
    mask = ObjectMask.from_array(array)
    assert detection_mask(detection_values(mask), SIZE) == mask


def test_a_mask_at_the_frames_edge_keeps_its_last_row_and_column() -> None:
    array = np.zeros(SIZE, bool)
    array[-3:, -5:] = True
    back = detection_mask(detection_values(ObjectMask.from_array(array)), SIZE)
    assert back is not None
    assert (back.to_array() == array).all()


def test_a_detection_without_a_mask_is_a_box_in_pixels() -> None:
    cue = read_cue({"_cls": "Detection", "bounding_box": [0.1, 0.25, 0.5, 0.5]}, SIZE)
    assert cue.box == pytest.approx((6, 10, 36, 30))


def test_points_come_back_at_the_pixel_that_was_clicked() -> None:
    label = {"_cls": "Keypoint", "points": relative_points([(12, 30)], SIZE)}
    assert read_cue(label, SIZE).points[0] == pytest.approx((12, 30))


def test_missing_points_are_passed_over_and_labels_stay_with_theirs() -> None:
    points = [(0.5, 0.5), (math.nan, math.nan), (0.1, 0.1)]
    label = {"_cls": "Keypoint", "points": points, "sam2_labels": [1, 1, 0]}
    cue = read_cue(label, SIZE)
    assert cue.point_labels == (1, 0)
    assert len(cue.points) == 2


def test_points_outside_the_frame_are_not_on_its_edge() -> None:
    label = {"_cls": "Keypoint", "points": [(0.5, 0.5), (1.5, 0.5), (1.0005, 0.5)]}
    assert read_cue(label, SIZE).points == ((29.5, 19.5), (59.5, 19.5))


def test_an_outline_that_leaves_the_frame_is_cut_and_not_bent() -> None:
    ring = [(0.1, 0.2), (0.1, 0.8), (-0.5, 0.5)]
    cue = read_cue({"_cls": "Polyline", "points": [ring], "closed": True}, SIZE)
    assert cue.mask is not None
    left_column = cue.mask.to_array()[:, 0]
    assert left_column.sum() == pytest.approx(0.6 * 40 * 0.5 / 0.6, abs=1.5)


def test_points_of_a_label_tagged_negative_are_not_on_the_object() -> None:
    label = {"_cls": "Keypoint", "points": [(0.5, 0.5)], "tags": ["negative"]}
    assert read_cue(label, SIZE).point_labels == (0,)


def test_an_outline_becomes_the_mask_inside_it() -> None:
    ring = [(10 / 60, 10 / 40), (20 / 60, 10 / 40), (20 / 60, 25 / 40), (10 / 60, 25 / 40)]
    cue = read_cue({"_cls": "Polyline", "points": [ring], "closed": True, "filled": True}, SIZE)
    assert cue.mask is not None
    assert cue.mask.box == (10, 10, 20, 25)


def test_a_segmentation_is_an_object_for_each_value() -> None:
    image = np.zeros(SIZE, np.uint8)
    image[5:9, 5:9], image[20:30, 20:30] = 3, 7
    found = read_segmentation(image, SIZE)
    assert {value: mask.area for value, mask in found.items()} == {3: 16, 7: 100}


@pytest.mark.parametrize(
    "label",
    [
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, 0.0, 0.2]},
        {"_cls": "Detection", "bounding_box": [math.nan, 0.1, 0.2, 0.2]},
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, math.inf, 0.2]},
        {"_cls": "Detection", "bounding_box": [1.5, 0.1, 0.2, 0.2]},
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, 0.2]},
        {"_cls": "Detection", "bounding_box": None},
        {"_cls": "Detection", "bounding_box": [1.5, 0.1, 0.2, 0.2], "mask": np.ones((8, 12))},
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, 0.2, 0.2], "mask": np.ones((8, 12, 3))},
        {"_cls": "Polyline", "points": [[(math.nan, 0), (1, 1), (0, 1)]], "closed": True},
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, 0.2, 0.2], "mask": np.zeros((8, 12))},
        {"_cls": "Keypoint", "points": []},
        {"_cls": "Keypoint", "points": [(0.1, 0.1)], "sam2_labels": [1, 0]},
        {"_cls": "Keypoint", "points": [(0.1, 0.1)], "sam2_labels": [None]},
        {"_cls": "Keypoint", "points": [(1.5, 0.5), (0.5, -0.2)]},
        {"_cls": "Polyline", "points": [[(1.5, 0.5), (2, 0.5)]]},
        {"_cls": "Classification"},
    ],
)
def test_a_label_that_says_nothing_is_told_of(label: dict) -> None:
    with pytest.raises(PromptError):
        read_cue(label, SIZE)


def test_a_box_and_points_refine_each_other_in_one_prompt() -> None:
    box = read_cue({"_cls": "Detection", "bounding_box": [0.1, 0.1, 0.5, 0.5]}, SIZE)
    points = read_cue({"_cls": "Keypoint", "points": [(0.2, 0.2)]}, SIZE)
    (prompt,) = merge_cues(3, "x", [box, points])
    assert prompt.frame == 3
    assert prompt.box is not None
    assert prompt.points is not None


def test_a_box_refines_a_mask_on_the_same_frame() -> None:
    array = np.zeros(SIZE, bool)
    array[5:9, 5:9] = True
    mask = Cue(mask=ObjectMask.from_array(array))
    box = read_cue({"_cls": "Detection", "bounding_box": [0.1, 0.1, 0.5, 0.5]}, SIZE)
    first, second = merge_cues(3, "x", [box, mask])
    assert first.mask == mask.mask
    assert tuple(second.box or ()) == box.box


def test_every_corner_of_a_box_lies_in_its_pixel_when_it_is_rounded_down() -> None:
    for side in range(1, 400):
        x, y, w, h = relative_box((side - 1, side, side + 3, side + 5), (1079, 1917))
        corners = int(x * 1917), int(y * 1079), int((x + w) * 1917), int((y + h) * 1079)
        assert corners == (side - 1, side, side + 3, side + 5)


def test_a_box_of_any_size_costs_no_more_than_the_frame() -> None:
    label = {"_cls": "Detection", "bounding_box": [-1e6, -1e6, 2e6, 2e6], "mask": np.ones((3, 3))}
    mask = detection_mask(label, SIZE)
    assert mask is not None
    assert mask.area == SIZE[0] * SIZE[1]
