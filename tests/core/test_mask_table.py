"""MaskTable: masks by frame and object."""

from __future__ import annotations

import numpy as np

from sam2_plugins.core.masks import MaskTable, ObjectMask


def square(x: int) -> ObjectMask:
    pixels = np.zeros((8, 12), bool)
    pixels[2:5, x : x + 3] = True
    return ObjectMask.from_array(pixels)


def test_a_table_is_read_by_frame_and_by_object() -> None:
    table = MaskTable([(3, {"b": square(1)}), (0, {"a": square(2), "b": square(4)})])
    assert (table.frames, table.objects) == ([0, 3], ["b", "a"])
    assert table.on_frame(0) == {"a": square(2), "b": square(4)}
    assert table.of_object("b") == {0: square(4), 3: square(1)}
    assert [one.frames for one in table.masklets()] == [(0, 3), (0,)]
    assert (table.get(1, "a"), table.on_frame(1), table.frames_of("c")) == (None, {}, [])


def test_the_last_mask_of_an_object_on_a_frame_counts() -> None:
    table = MaskTable([(0, {1: square(1)}), (0, {1: square(5)})])
    assert table.of_object(1) == {0: square(5)}


def test_what_is_removed_leaves_nothing_behind() -> None:
    table = MaskTable([(0, {1: square(1)})])
    assert table.put(0, 1, None) == square(1)
    assert table.put(0, 1, None) is None
    assert (table.frames, table.objects, table.frames_of(1), table.snapshot()) == ([], [], [], {})


def test_what_was_taken_from_a_table_does_not_change_with_it() -> None:
    table = MaskTable([(0, {1: square(1)})])
    taken = table.on_frame(0), table.snapshot()
    table.put(0, 2, square(5))
    assert taken == ({1: square(1)}, {0: {1: square(1)}})
