from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sam2_plugins.labelstudio_backend.errors import FormatError
from sam2_plugins.labelstudio_backend.formats import bitmask, brush

TINY = [0, 0, 0, 24, 57, 27, 252, 96, 19, 255, 206, 1, 31, 248]
SMALL = "d053b856a635f82c3441ae9deef04e4fd1b4450fb399796da6ebeae9b6be545b"
WIDE = "66bbf0b3a140c3a5c76d898da6e67539dac5a92d0b5150af9048805c2f8f992a"

masks = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))


def ellipse(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return ((x - width / 3) / (width / 4)) ** 2 + ((y - height / 2) / (height / 3)) ** 2 < 1


def test_the_bytes_are_those_of_label_studio_sdk():
    """Of label_studio_sdk 2.1.2: converter.brush.mask2rle(255 * mask)."""
    tiny = np.array([[0, 1, 1], [0, 0, 1]], bool)
    assert brush.encode(tiny) == TINY
    for mask, digest in ((ellipse(48, 64), SMALL), (ellipse(300, 900), WIDE)):
        assert hashlib.sha256(bytes(brush.encode(mask))).hexdigest() == digest


@settings(deadline=None)
@given(masks)
def test_a_brush_mask_comes_back(mask):
    np.testing.assert_array_equal(brush.decode(brush.encode(mask), *mask.shape), mask)


@settings(deadline=None)
@given(masks)
def test_a_bitmask_comes_back(mask):
    np.testing.assert_array_equal(bitmask.decode(bitmask.encode(mask), *mask.shape), mask)


def test_runs_of_single_values_are_read():
    """As the editor writes what was painted: no repeats, four values at once."""
    values = [0, 0, 0, 255]
    bits = f"{4:032b}{7:05b}" + "0010001101111111" + "000" + f"{3:03b}"
    bits += "".join(f"{value:08b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    rle = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert brush.decode(rle, 1, 1).tolist() == [[True]]


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), max_size=60))
def test_damaged_brush_bytes_are_an_error_that_says_so(rle):
    with pytest.raises(FormatError, match="damaged"):
        brush.decode(rle, 7, 9)


@pytest.mark.parametrize("rle", [[1000], ["x"], [None], [-1]])
def test_what_are_no_bytes_is_an_error_that_says_so(rle):
    with pytest.raises(FormatError, match="damaged"):
        brush.decode(rle, 7, 9)


@pytest.mark.parametrize("url", ["", "data:image/png;base64,", "data:image/png;base64,AAAA", "x,y"])
def test_a_damaged_bitmask_is_an_error_that_says_so(url):
    with pytest.raises(FormatError, match="damaged"):
        bitmask.decode(url, 7, 9)


def test_a_bitmask_of_another_size_is_refused():
    with pytest.raises(FormatError, match="8×8 pixels, not 9×7"):
        bitmask.decode(bitmask.encode(np.ones((8, 8), bool)), 7, 9)
