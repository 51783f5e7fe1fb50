from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.export import Numbering, colour_of, overlay
from sam2_plugins.core.masks import ObjectMask, compose_label_image
from tests.core.export.movie import square

SIZE = (60, 80)
GREY = np.full(SIZE, 100, np.uint8)


def changed(picture: np.ndarray) -> np.ndarray:
    return (picture != 100).any(axis=2)


def test_only_the_pixels_of_the_mask_are_coloured():
    mask = square(30, 20, 25, SIZE)
    picture = overlay(GREY, {1: mask}, names=False)
    assert (picture.shape, picture.dtype) == ((*SIZE, 3), np.uint8)
    assert np.array_equal(changed(picture), mask.to_array())


def test_the_fill_is_translucent_and_the_outline_is_not():
    picture = overlay(GREY, {1: square(30, 20, 25, SIZE)}, names=False, alpha=0.5)
    colour = np.array(colour_of(1))
    assert np.allclose(picture[32, 42], (100 + colour) / 2, atol=1)
    edge = picture[20, 42].astype(int)
    assert np.abs(edge - colour).sum() < np.abs(edge - 100).sum()


@pytest.mark.parametrize("scale", [0.5, 1.7, 3])
def test_a_scaled_overlay_has_the_mask_in_its_place(scale):
    mask = square(30, 20, 25, SIZE)
    found = changed(overlay(GREY, {1: mask}, scale=scale, names=False))
    assert found.shape == (round(60 * scale), round(80 * scale))
    ys, xs = np.nonzero(found)
    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / scale
    assert np.allclose(box, mask.box, atol=1 / scale)


def test_a_view_shows_its_part_of_the_frame():
    mask = square(30, 20, 25, SIZE)
    found = changed(overlay(GREY, {1: mask}, view=(40, 10, 80, 50), names=False))
    assert np.array_equal(found, mask.window((40, 10, 80, 50)))


def test_objects_at_the_edge_and_out_of_view_and_empty_ones_are_no_trouble():
    masks = {
        1: square(0, 0, 5, SIZE),
        2: square(75, 55, 5, SIZE),
        3: ObjectMask.empty(SIZE),
        4: square(20, 20, 1, SIZE),
    }
    whole = overlay(GREY, masks, scale=2.5)
    assert changed(whole)[:12, :12].any()
    assert changed(whole)[-12:, -12:].any()
    away = overlay(GREY, masks, view=(40, 5, 60, 15))
    assert not changed(away).any()


def test_of_equal_objects_the_same_is_in_front_as_in_label_images():
    masks = {1: square(20, 20, 20, SIZE), 2: square(30, 20, 20, SIZE)}
    picture = overlay(GREY, masks, names=False, alpha=1)
    front = compose_label_image(masks)[25, 35]
    assert front == 1
    assert np.array_equal(picture[25, 35], colour_of(front))


def test_a_name_is_white_on_its_object():
    mask = square(20, 15, 30, SIZE)
    picture = overlay(GREY, {1: mask})
    ys, xs = np.nonzero((picture > 240).all(axis=2))
    assert len(xs)
    assert abs(xs.mean() - 34.5) < 3
    assert abs(ys.mean() - 29.5) < 3


def test_a_name_without_room_is_beside_its_object():
    mask = square(40, 30, 4, SIZE)
    picture = overlay(GREY, {1: mask})
    ys, _ = np.nonzero((picture > 200).all(axis=2))
    assert len(ys)
    assert ys.max() < 30


def test_a_name_that_would_cover_another_is_left_out():
    front, behind = square(20, 15, 30, SIZE), square(19, 14, 32, SIZE)
    both, one = overlay(GREY, {8: front, 1: behind}, alpha=0), overlay(GREY, {1: behind}, alpha=0)
    inside = np.s_[20:40, 24:46]
    assert np.array_equal(both[inside], one[inside])


def test_names_of_a_crowd_find_places_beside_it():
    crowd = {obj: square(30 + 4 * obj, 30, 3, SIZE) for obj in range(1, 4)}
    letters = (overlay(GREY, crowd) > 200).all(axis=2)
    assert not letters[30:33, 34:45].any()
    assert letters.sum() > 2 * (overlay(GREY, {1: crowd[1]}) > 200).all(axis=2).sum()


def test_a_colour_belongs_to_the_label():
    numbering = Numbering(["b", "a"])
    both = overlay(GREY, {"a": square(5, 5, 9, SIZE), "b": square(50, 5, 9, SIZE)}, numbering)
    one = overlay(GREY, {"a": square(5, 5, 9, SIZE)}, numbering)
    assert np.array_equal(both[:, :30], one[:, :30])
    assert len({colour_of(label) for label in range(1, 60)}) == 59


@pytest.mark.parametrize("image", [GREY[..., None], np.stack([GREY] * 3, axis=2)])
def test_grey_and_colour_images_are_taken(image):
    assert np.array_equal(overlay(image, {1: square(9)}), overlay(GREY, {1: square(9)}))


@pytest.mark.parametrize("image", [GREY.astype(np.uint16), GREY[0]])
def test_an_image_that_was_not_normalised_is_refused(image):
    with pytest.raises(ValueError, match="normalise"):
        overlay(image, {})
