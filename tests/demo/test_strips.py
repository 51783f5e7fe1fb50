from __future__ import annotations

import numpy as np
from PIL import Image

from sam2_plugins.core.export import Numbering, Subject, colour_of
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.demo.strips import CellStripsWriter
from tests.support.movies import disc

SIZE = (80, 100)


def cell(x: int, y: int) -> ObjectMask:
    return ObjectMask.from_array(disc(SIZE, (x, y), 8))


def draw(tmp_path, results, columns: int = 10) -> np.ndarray:
    frames = open_frames(np.full((20, *SIZE), 30, np.uint8), axes="TYX")
    writer = CellStripsWriter(tmp_path / "cells.png", Subject(frames, Numbering([1, 2])), columns)
    for frame, masks in results:
        writer.write(frame, float(frame), masks)
    writer.close()
    return np.asarray(Image.open(tmp_path / "cells.png"))


def has_outline(picture: np.ndarray, label: int) -> bool:
    """Whether the paled colour of a label's outline is in a picture."""
    colour = 0.75 * np.array(colour_of(label)) + 0.25 * 255
    return bool((np.abs(picture.astype(float) - colour).max(axis=2) <= 1).any())


def test_there_is_a_row_per_object_and_a_column_per_frame(tmp_path):
    both = draw(tmp_path, [(frame, {1: cell(30, 30), 2: cell(70, 50)}) for frame in range(4)])
    one = draw(tmp_path, [(frame, {1: cell(30, 30)}) for frame in range(2)])
    assert both.shape[0] - one.shape[0] == 124
    assert both.shape[1] - one.shape[1] == 2 * 124


def test_a_row_shows_its_own_object_alone(tmp_path):
    page = draw(tmp_path, [(0, {1: cell(40, 40), 2: cell(50, 40)})])
    first, second = page[28:148], page[152:272]
    assert has_outline(first, 1) and not has_outline(first, 2)
    assert has_outline(second, 2) and not has_outline(second, 1)


def test_an_object_that_is_gone_leaves_the_place_where_it_was(tmp_path):
    page = draw(tmp_path, [(0, {1: cell(40, 40)}), (1, {1: ObjectMask.empty(SIZE)})])
    assert has_outline(page[:, 56:176], 1)
    gone = page[28:148, 180:300]
    assert (gone == 30).all()


def test_what_lies_outside_of_the_frame_is_black(tmp_path):
    page = draw(tmp_path, [(0, {1: cell(2, 40)})])
    assert (page[80, 58] == 0).all()


def test_long_movies_are_shown_at_even_distances(tmp_path):
    results = [(frame, {1: cell(30, 30)}) for frame in range(20)]
    assert draw(tmp_path, results, columns=5).shape[1] == 56 + 5 * 124


def test_nothing_is_written_where_nothing_came(tmp_path):
    frames = open_frames(np.zeros((2, *SIZE), np.uint8), axes="TYX")
    CellStripsWriter(tmp_path / "cells.png", Subject(frames)).close()
    assert not (tmp_path / "cells.png").exists()
