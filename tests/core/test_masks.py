from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from sam2_plugins.core.masks import (
    Masklet,
    ObjectMask,
    compose_label_image,
    split_label_image,
)

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=14)
MASKS = arrays(bool, SHAPES)
LABELS = arrays(np.uint16, SHAPES, elements=st.integers(0, 6))
ODD_MASKS = {
    "empty": np.zeros((4, 5), bool),
    "full": np.ones((4, 5), bool),
    "one pixel": np.eye(1, 9, 4, dtype=bool),
    "one pixel frame": np.ones((1, 1), bool),
    "last pixel": np.arange(20).reshape(4, 5) == 19,
    "ring": np.pad(np.pad(np.zeros((2, 2), bool), 1, constant_values=True), 2),
    "chessboard": np.indices((6, 7)).sum(0) % 2 == 0,
    "island in a hole": np.pad(
        np.pad(np.pad(np.ones((1, 1), bool), 1), 1, constant_values=True), 0
    ),
}
odd_mask = pytest.mark.parametrize("array", ODD_MASKS.values(), ids=ODD_MASKS.keys())


def bar(x: int, width: int = 10, **scores: float) -> ObjectMask:
    array = np.zeros((4, 30), bool)
    array[:, x : x + width] = True
    return ObjectMask.from_array(array, **scores)


@given(MASKS)
def test_an_array_comes_back_as_it_was(array):
    assert np.array_equal(ObjectMask.from_array(array).to_array(), array)


@given(MASKS)
def test_rle_is_byte_equal_to_that_of_the_whole_frame(array):
    whole = coco_mask.encode(np.asfortranarray(array, dtype=np.uint8))
    rle = ObjectMask.from_array(array).to_rle()
    assert rle == {"size": list(array.shape), "counts": whole["counts"].decode()}


@given(MASKS)
def test_rle_is_lossless(array):
    mask = ObjectMask.from_array(array)
    assert ObjectMask.from_rle(mask.to_rle()) == mask


@odd_mask
def test_rle_of_odd_masks_is_lossless(array):
    mask = ObjectMask.from_array(array)
    assert ObjectMask.from_rle(mask.to_rle()) == mask


def test_uncompressed_rle_is_understood():
    rle = {"size": [2, 2], "counts": [1, 2, 1]}
    assert ObjectMask.from_rle(rle).to_array().tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    "rle",
    [
        {"counts": "04"},
        {"size": [2], "counts": "04"},
        {"size": [2, 2], "counts": None},
        {"size": [2, 2], "counts": "\x01"},
        {"size": [2, 2], "counts": "é"},
        {"size": [2, 2], "counts": "T"},
        {"size": [2, 2], "counts": [[4]]},
        {"size": [2, 2], "counts": [5, -1]},
        {"size": [2, 2], "counts": "3"},
        {"size": [2, 2], "counts": ""},
    ],
)
def test_a_damaged_rle_is_named(rle):
    with pytest.raises(ValueError, match="COCO run-length encoding"):
        ObjectMask.from_rle(rle)


@given(MASKS, st.data())
def test_a_truncated_rle_is_never_read_as_a_mask(array, data):
    rle = ObjectMask.from_array(array).to_rle()
    rle["counts"] = rle["counts"][: data.draw(st.integers(0, len(rle["counts"]) - 1))]
    with pytest.raises(ValueError, match="COCO run-length encoding"):
        ObjectMask.from_rle(rle)


@given(MASKS)
def test_polygons_are_lossless(array):
    mask = ObjectMask.from_array(array)
    assert ObjectMask.from_polygons(mask.to_polygons(), array.shape) == mask


@odd_mask
def test_polygons_of_odd_masks_are_lossless(array):
    mask = ObjectMask.from_array(array)
    assert ObjectMask.from_polygons(mask.to_polygons(), array.shape) == mask


def test_polygons_of_a_rectangle_have_no_vertex_on_a_straight_line():
    (ring,) = bar(3).to_polygons()
    assert len(ring) == 8  # each corner is cut at 45 degrees


def test_polygons_are_simplified_within_the_tolerance():
    ys, xs = np.mgrid[:80, :80]
    disk = ObjectMask.from_array((xs - 40) ** 2 + (ys - 40) ** 2 < 30**2)
    simple = disk.to_polygons(tolerance=1.0)
    assert sum(map(len, simple)) < sum(map(len, disk.to_polygons())) / 3
    assert disk.iou_with(ObjectMask.from_polygons(simple, (80, 80))) > 0.95


def test_polygons_that_leave_the_frame_are_cut_there():
    ring = [(-5, -5), (2.5, -5), (2.5, 50), (-5, 50)]
    assert ObjectMask.from_polygons([ring], (4, 6)).box == (0, 0, 3, 4)


@pytest.mark.parametrize("ring", [[(0, 0), (1, 1)], [(0, 0, 0)] * 3, [(0, nan)] * 3])
def test_what_is_no_ring_is_refused(ring):
    with pytest.raises(ValueError, match="polygon ring"):
        ObjectMask.from_polygons([ring], (4, 6))


@given(SHAPES, st.data())
def test_a_box_is_lossless(shape, data):
    height, width = shape
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    mask = ObjectMask.from_box((x0, y0, x1, y1), shape)
    assert mask.box == (x0, y0, x1, y1)
    assert mask.area == (x1 - x0) * (y1 - y0)


def test_a_box_is_cut_at_the_frame():
    assert ObjectMask.from_box((-3, -3, 99, 2), (4, 6)).box == (0, 0, 6, 2)
    assert ObjectMask.from_box((7, 7, 99, 99), (4, 6)).box is None


@given(LABELS)
def test_a_label_image_is_lossless(labels):
    masks = split_label_image(labels)
    assert list(masks) == [n for n in np.unique(labels) if n]
    assert np.array_equal(compose_label_image(masks, labels.shape), labels)


@given(LABELS)
def test_sparse_labels_are_as_lossless_as_dense_ones(labels):
    sparse = labels.astype(np.uint32) * 700_000_000
    masks = split_label_image(sparse)
    assert np.array_equal(compose_label_image(masks, labels.shape), sparse)


def test_a_label_of_64_bits_keeps_all_of_them():
    labels = np.array([[0, 2**60 + 1, 2**60 + 3]], np.uint64)
    assert list(split_label_image(labels)) == [2**60 + 1, 2**60 + 3]


@pytest.mark.parametrize(
    ("label", "dtype"), [(255, "uint8"), (256, "uint16"), (65_535, "uint16"), (65_536, "uint32")]
)
def test_a_label_image_takes_the_smallest_dtype(label, dtype):
    assert compose_label_image({label: bar(0)}).dtype == dtype


def test_the_smaller_mask_is_in_front_and_of_equals_the_first():
    masks = {
        1: ObjectMask.from_box((0, 0, 20, 1), (1, 30)),
        2: ObjectMask.from_box((15, 0, 25, 1), (1, 30)),
        3: ObjectMask.from_box((20, 0, 30, 1), (1, 30)),
        4: ObjectMask.from_box((3, 0, 5, 1), (1, 30)),
    }
    row = compose_label_image(masks)[0]
    assert row.tolist() == [1] * 3 + [4] * 2 + [1] * 10 + [2] * 10 + [3] * 5


@pytest.mark.parametrize("label", [0, -1, "cell", True, 1.5])
def test_a_label_that_is_no_positive_integer_is_named(label):
    with pytest.raises(ValueError, match=f"positive integer, not {label!r}"):
        compose_label_image({label: bar(0)})


def test_a_label_too_large_for_the_dtype_is_named():
    with pytest.raises(ValueError, match="300 does not fit uint8: take uint16"):
        compose_label_image({300: bar(0)}, dtype=np.uint8)


def test_a_label_image_of_nothing_needs_a_size():
    assert not compose_label_image({}, (3, 4)).any()
    with pytest.raises(ValueError, match="size"):
        compose_label_image({})


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2)), np.zeros((1, 2, 2), int), -np.eye(2, dtype=int)]
)
def test_what_is_no_label_image_is_refused(labels):
    with pytest.raises(ValueError, match="label image"):
        split_label_image(labels)


def test_a_loose_crop_is_tightened_and_not_shared():
    loose = np.pad(np.ones((2, 3), bool), 4)
    mask = ObjectMask(loose, (10, 20), (100, 200))
    loose[:] = True
    assert mask.box == (14, 24, 17, 26)
    assert mask.area == 6
    with pytest.raises(ValueError, match="read-only"):
        mask.crop[0, 0] = False


def test_an_object_that_is_not_there_has_no_box():
    mask = ObjectMask.from_array(np.zeros((5, 6)), score=-3.0)
    assert not mask.visible
    assert (mask.crop.shape, mask.box, mask.centroid, mask.area) == ((0, 0), None, None, 0)
    assert mask == ObjectMask.empty((5, 6))


@pytest.mark.parametrize("offset", [(-1, 0), (0, -1), (5, 0), (0, 3)])
def test_a_crop_out_of_the_frame_is_refused(offset):
    with pytest.raises(ValueError, match="out of its frame of 6×4"):
        ObjectMask(np.ones((2, 2), bool), offset, (4, 6))


def test_box_centroid_and_area_of_a_hand_made_mask():
    mask = ObjectMask(np.array([[1, 1], [1, 0]], bool), (3, 5), (10, 10))
    assert mask.box == (3, 5, 5, 7)
    assert mask.area == 3
    assert mask.centroid == pytest.approx((3 + 1 / 3, 5 + 1 / 3))


@given(SHAPES, st.data())
def test_iou_of_crops_is_that_of_the_frames(shape, data):
    a, b = (data.draw(arrays(bool, shape)) for _ in "ab")
    union = (a | b).sum()
    expected = (a & b).sum() / union if union else 1.0
    assert ObjectMask.from_array(a).iou_with(ObjectMask.from_array(b)) == expected


def test_masks_of_different_frames_are_not_compared():
    with pytest.raises(ValueError, match="different size"):
        bar(0).iou_with(ObjectMask.empty((9, 9)))


@given(MASKS, *[st.integers(-3, 16)] * 4)
def test_a_window_is_a_cut_of_the_frame(array, x0, y0, width, height):
    x1, y1 = x0 + max(width, 0), y0 + max(height, 0)
    padded = np.pad(array, 40)
    expected = padded[40 + y0 : 40 + y1, 40 + x0 : 40 + x1]
    assert np.array_equal(ObjectMask.from_array(array).window((x0, y0, x1, y1)), expected)


def test_a_mask_is_painted_into_a_colour_image():
    image = np.zeros((4, 30, 3), np.uint8)
    bar(2, 3).paste_into(image, (7, 8, 9))
    assert image.sum() == 4 * 3 * (7 + 8 + 9)
    with pytest.raises(ValueError, match="does not fit"):
        bar(2).paste_into(np.zeros((5, 30)), 1)


def test_equal_masks_have_equal_hashes_whatever_their_scores():
    assert bar(1, iou=0.5) == bar(1)
    assert len({bar(1, iou=0.5), bar(1), bar(2)}) == 2
    assert bar(1) != "bar"


def test_a_masklet_goes_forward_in_time_whatever_the_order_of_frames():
    track = Masklet("cell 1")
    track.masks[5] = bar(0, iou=0.5, score=1.0)
    track.masks[3] = bar(1, iou=0.7, score=3.0)
    track.masks[9] = ObjectMask.empty((4, 30), iou=0.1, score=-9.0)
    assert [frame for frame, _ in track] == [3, 5, 9]
    assert (track.first, track.last, track.frames_seen, len(track)) == (3, 5, 2, 3)
    assert (track.mean_iou, track.mean_score) == pytest.approx((0.6, 2.0))


def test_an_empty_masklet_was_never_seen():
    track = Masklet(4)
    assert (track.first, track.last, track.frames) == (None, None, ())
    assert np.isnan(track.mean_score)


@settings(max_examples=300)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=6)))
def test_a_mask_is_connected_exactly_if_it_has_one_part_or_none(pixels: np.ndarray) -> None:
    mask = ObjectMask.from_array(pixels)
    assert mask.is_connected == (mask.parts()[1] <= 1)
