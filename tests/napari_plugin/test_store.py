from __future__ import annotations

from copy import deepcopy
from threading import Lock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2_plugins.core.masks import ObjectMask, compose_label_image
from sam2_plugins.napari_plugin.layers.mask_store import Index, MaskStore, by_frame

SIZE = (20, 30)


def box(x0: int, y0: int, x1: int, y1: int) -> ObjectMask:
    return ObjectMask.from_box((x0, y0, x1, y1), SIZE)


def two_objects() -> MaskStore:
    store = MaskStore((4, *SIZE))
    store.put((1,), 5, box(2, 2, 10, 10))
    store.put((1,), 7, box(8, 8, 15, 15))
    return store


def test_neighbours_are_the_objects_whose_boxes_meet() -> None:
    store = two_objects()
    store.put((1,), 8, box(20, 15, 25, 19))
    assert store.neighbours((1,), 5) == [store.get((1,), 7)]
    assert store.neighbours((1,), 8) == store.neighbours((0,), 5) == []
    store.put((1,), 8, box(9, 9, 12, 12))
    assert len(store.neighbours((1,), 5)) == 2
    store.swap({(1,): {7: None}})
    assert store.neighbours((1,), 5) == [store.get((1,), 8)]


def test_a_frame_is_composed_of_its_masks() -> None:
    store = two_objects()
    frame = store[1]
    assert frame.dtype == np.uint16 and frame.shape == SIZE
    assert frame[3, 3] == 5 and frame[12, 12] == 7 and frame[0, 0] == 0
    assert not store[0].any()
    assert np.asarray(store).shape == store.shape


def test_overlapping_objects_keep_their_pixels_and_the_smaller_is_in_front() -> None:
    small, large = ObjectMask.from_box((3, 3, 5, 5), SIZE), ObjectMask.from_box((1, 1, 9, 9), SIZE)
    store = MaskStore((1, *SIZE))
    store.put((0,), 1, small)
    store.put((0,), 2, large)
    assert np.array_equal(np.asarray(store[0]), compose_label_image({1: small, 2: large}))
    assert (np.asarray(store[0]) == 1).sum() == 4
    assert store.get((0,), 2) == large


def test_what_is_painted_is_what_is_seen_under_three_objects() -> None:
    store = MaskStore((1, *SIZE))
    for label, box in ((1, (3, 3, 5, 5)), (2, (2, 2, 7, 7)), (3, (0, 0, 10, 10))):
        store.put((0,), label, ObjectMask.from_box(box, SIZE))
    store[0, 4, 4] = 3
    assert store[0, 4, 4] == 3


KEYS = [
    np.s_[1],
    np.s_[-3],
    np.s_[1, 3:12, ::2],
    np.s_[0:3, 9, 4:],
    np.s_[..., 9],
    np.s_[:, :, :],
    np.s_[1, np.array([3, 9, 12]), np.array([3, 9, 12])],
    np.s_[np.array([0, 1, 1]), np.array([3, 9, 12]), np.array([3, 9, 12])],
    np.s_[1:1],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_it_reads_as_an_array_does(key: object) -> None:
    store = two_objects()
    array = np.stack([store[i] for i in range(4)])
    found = store[key]
    assert np.array_equal(found, array[key])  # type: ignore[index]
    assert np.shape(found) == array[key].shape  # type: ignore[index]


@pytest.mark.parametrize("key", KEYS[:-1], ids=str)
def test_painting_changes_what_is_seen_as_in_an_array(key: object) -> None:
    store = two_objects()
    array = np.stack([store[i] for i in range(4)])
    store[key] = 9
    array[key] = 9  # type: ignore[index]
    assert np.array_equal(np.asarray(store), array)


def test_painting_over_an_object_leaves_what_lies_below_it() -> None:
    store = two_objects()
    below, above = store.get((1,), 5), store.get((1,), 7)
    told: list[tuple[Index, dict[int, ObjectMask | None]]] = []
    store.on_edit = lambda index, before: told.append((index, before))
    store[1, 9, 9] = 0
    assert store[1, 9, 9] == 5
    assert told == [((1,), {7: above})]
    store[1, 0, 0] = 5
    assert told[-1] == ((1,), {5: below})
    store[1, 0, 1] = 0
    assert len(told) == 2


def test_masks_of_a_program_are_no_edits() -> None:
    store = two_objects()
    store.on_edit = lambda index, before: pytest.fail("no person did that")
    store.put((2,), 5, box(0, 0, 3, 3))
    store.remove(7)
    assert not np.any(store[1] == 7)


def test_a_change_is_taken_back_and_brought_on_again() -> None:
    store = two_objects()
    before = np.asarray(store)
    change = {((1,), 5): store.put((1,), 5, box(0, 0, 2, 2)), ((2,), 5): None}
    store.put((2,), 5, box(1, 1, 5, 5))
    after = np.asarray(store)
    again = store.swap(by_frame(change))
    assert np.array_equal(np.asarray(store), before)
    store.swap(again)
    assert np.array_equal(np.asarray(store), after)


def test_one_image_has_one_frame() -> None:
    store = MaskStore(SIZE)
    store.put((), 3, box(2, 2, 10, 10))
    assert store[3, 3] == 3
    store[0, 0] = 4
    assert store.on_frame(()).keys() == {3, 4}
    assert store.frames_of(3) == [()]


def test_a_frame_that_does_not_exist_is_refused() -> None:
    with pytest.raises(IndexError, match="no frame 4"):
        two_objects()[4]
    with pytest.raises(IndexError):
        two_objects()[0, 0, 0, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 14), st.integers(0, 24)), max_size=8))
def test_many_strokes_leave_what_an_array_would_hold(strokes: list[tuple[int, int, int]]) -> None:
    store, array = MaskStore((4, *SIZE)), np.zeros((4, *SIZE), np.uint16)
    for number, (frame, y, x) in enumerate(strokes):
        label = number % 3
        store[frame, y : y + 5, x : x + 5] = label
        array[frame, y : y + 5, x : x + 5] = label
    # Erasing shows what lies below, which an array has lost: compare what is not erased.
    seen = np.asarray(store)
    assert np.array_equal(seen[array > 0], array[array > 0])


def test_a_copy_of_the_layers_data_has_its_masks_and_tells_nobody() -> None:
    store = MaskStore((2, 6, 6))
    told: list[object] = []
    store.on_put = lambda *about: told.append(Lock())  # what cannot be copied
    store[1, 2:4, 2:4] = 5
    told.clear()
    copy = deepcopy(store)
    copy[1, 0, 0] = 5
    assert told == []
    assert int(np.asarray(copy)[1].sum()) == 5 * 5
    assert int(np.asarray(store)[1].sum()) == 5 * 4
