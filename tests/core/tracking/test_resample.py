from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.resample import to_frame_logits, to_logits, to_object_mask
from sam2_plugins.core.tracking.windows.planner import Window


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(10, 90),
    height=st.integers(10, 90),
    level=st.floats(-3, 3),
)
def test_a_mask_is_where_interpolated_logits_are_positive(
    seed: int, width: int, height: int, level: float
) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(16, 16) + level
    window = Window(7, 5, width, height)
    mask = to_object_mask(logits, window, (100, 100), iou=0.5, score=1.0)
    inside = F.interpolate(logits[None, None], size=(height, width), mode="bilinear")[0, 0]
    wanted = np.zeros((100, 100), bool)
    wanted[5 : 5 + height, 7 : 7 + width] = inside.numpy() > 0
    # A logit within rounding of 0 may fall on either side.
    unsure = np.zeros((100, 100), bool)
    unsure[5 : 5 + height, 7 : 7 + width] = inside.abs().numpy() < 1e-5
    assert not ((mask.to_array() != wanted) & ~unsure).any()


def test_an_object_that_is_not_there_has_an_empty_mask() -> None:
    mask = to_object_mask(torch.full((8, 8), -1024.0), Window(0, 0, 50, 50), (50, 50), 0.1, -2.0)
    assert not mask.visible
    assert mask.score == -2.0


def test_logits_outside_of_the_window_are_minus_infinity() -> None:
    frame = to_frame_logits(torch.ones(4, 4), Window(2, 3, 8, 8), (20, 20))
    assert (frame > 0).sum() == 64
    assert torch.isneginf(frame[0, 0])


def test_a_recorded_mask_survives_the_way_to_logits_and_back() -> None:
    y, x = np.mgrid[:64, :64]
    disc = ObjectMask.from_array((y - 30) ** 2 + (x - 36) ** 2 < 200)
    window = Window(0, 0, 64, 64)
    again = to_object_mask(
        to_logits(disc, window, 64, torch.device("cpu"))[0, 0], window, (64, 64), 1.0, 1.0
    )
    assert disc.iou_with(again) > 0.9


def test_small_separate_parts_are_left_out() -> None:
    logits = torch.full((32, 32), -5.0)
    logits[4:14, 4:14] = 5
    logits[25, 25] = 5
    window = Window(0, 0, 32, 32)
    whole = to_object_mask(logits, window, (32, 32), 1.0, 1.0)
    tidy = to_object_mask(logits, window, (32, 32), 1.0, 1.0, specks=0.1)
    assert whole.area - tidy.area == 1
    assert tidy.box == (4, 4, 14, 14)


def test_a_part_of_some_size_stays() -> None:
    logits = torch.full((32, 32), -5.0)
    logits[4:14, 4:14] = 5
    logits[22:26, 22:26] = 5
    window = Window(0, 0, 32, 32)
    whole, tidy = (to_object_mask(logits, window, (32, 32), 1.0, 1.0, s) for s in (0.0, 0.1))
    assert tidy == whole
