from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.tracking.proposals.landscape import _in_frame


@pytest.mark.parametrize("top", [0, 100, 255])
def test_what_is_flatter_than_a_pixel_is_a_row_of_pixels(top: int) -> None:
    box = (slice(top, top + 1), slice(10, 128))
    mask = _in_frame(np.ones((1, 118), bool), box, (256, 256), (128, 128))
    assert mask.box is not None
    x0, y0, x1, y1 = mask.box
    assert abs(x0 - 5) <= 1 and abs(x1 - 64) <= 1
    assert (y0, y1) == (min(round(top / 2), 127), min(round(top / 2), 127) + 1)


def test_a_hill_lies_where_its_cells_are() -> None:
    region = np.zeros((20, 30), bool)
    region[:, :] = True
    mask = _in_frame(region, (slice(40, 60), slice(80, 110)), (128, 128), (256, 512))
    assert mask.box == (320, 80, 440, 120)
