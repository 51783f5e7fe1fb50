from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_plugins.labelstudio_backend import keyframes
from sam2_plugins.labelstudio_backend.errors import FormatError
from sam2_plugins.labelstudio_backend.formats.video_rectangle import (
    Keyframe,
    interpolate,
    keyframe_dict,
    read_region,
    turned_box,
)


def region(*raws: dict) -> tuple[Keyframe, ...]:
    return read_region({"id": "a", "value": {"sequence": list(raws)}}).keyframes


def raw(frame: int, x: float = 10, enabled: bool = True) -> dict:
    return keyframe_dict(frame, (x, 20, 30, 40), enabled, 25)


def made(frame: int, x: float = 10, enabled: bool = True) -> dict:
    return keyframes.make_keyframe(frame, (x, 20, 30, 40), enabled, 25, None)


walks = st.lists(st.tuples(*[st.integers(-6, 6)] * 4), min_size=1, max_size=60).map(
    lambda steps: (
        np.cumsum(np.array([(100, 100, 140, 150), *steps]), axis=0).clip(0, 400)
        + np.array([0, 0, 401, 401])
    ).astype(float)
)


@given(walks, st.sets(st.integers(0, 60), max_size=5))
def test_every_box_is_within_the_tolerance_of_the_lines(corners, fixed):
    fixed = {position for position in fixed if position < len(corners)}
    chosen = keyframes.thin(np.arange(len(corners)), corners, fixed)
    at = np.array(list(chosen))
    told = np.array(list(chosen.values()))
    assert {0, len(corners) - 1, *fixed} <= set(chosen)
    assert at.tolist() == sorted(at)
    lines = np.stack([np.interp(np.arange(len(corners)), at, side) for side in told.T], axis=1)
    extent = corners[:, [2, 3, 2, 3]] - corners[:, [0, 1, 0, 1]]
    allowed = np.maximum(keyframes.TOLERANCE * extent, keyframes.LEEWAY)
    assert (np.abs(lines - corners) <= allowed + 1e-6).all()
    for position in fixed:
        np.testing.assert_allclose(chosen[position], corners[position])


def test_a_straight_way_needs_two_keyframes_and_a_bend_a_third():
    ahead = np.arange(50)[:, None] * [3.0, 1, 3, 1] + [10, 10, 50, 60]
    assert list(keyframes.thin(np.arange(50), ahead, set())) == [0, 49]
    bent = np.concatenate([ahead, ahead[::-1]])
    assert 3 <= len(keyframes.thin(np.arange(100), bent, set())) <= 4


def test_what_the_model_made_is_recognised_after_a_journey_as_json():
    (keyframe,) = region(json.loads(json.dumps(made(7, x=100 / 3))))
    assert keyframes.is_ours(keyframe)


@pytest.mark.parametrize(
    "touched",
    [
        {"x": 11},
        {"width": 30.01},
        {"enabled": False},
        {"rotation": 5},
        {"frame": 8},  # the editor copies the note of the next keyframe to one that a person adds
        {"sam2": None},
        {"sam2": {"box": "?"}},
        {"sam2": {"box": [1, 2, 3, None], "frame": 7, "enabled": True}},
    ],
)
def test_what_a_person_touched_is_a_persons(touched):
    (keyframe,) = region({**made(7), **touched})
    assert not keyframes.is_ours(keyframe)


def test_a_persons_keyframe_stays_as_it_is_but_for_our_note():
    drawn = {**raw(3), "note": "kept"}
    (keyframe,) = region({**drawn, "sam2": {"box": [1, 2, 3, 4]}})
    assert keyframes.keep_keyframe(keyframe, 25, None) == drawn
    with_mask = keyframes.keep_keyframe(keyframe, 25, {"3": {"size": [1, 1], "counts": "0"}})
    (again,) = region(with_mask)
    assert not keyframes.is_ours(again)
    assert {k: v for k, v in with_mask.items() if k != "sam2"} == drawn


def test_boxes_are_shown_as_the_editor_shows_them():
    keys = region(raw(3, 10), raw(5, 20), raw(7, 30, enabled=False), raw(10, 50))
    assert interpolate(keys, 2) is None
    assert interpolate(keys, 3) == (10, 20, 30, 40)
    assert interpolate(keys, 4) == (15, 20, 30, 40)
    assert interpolate(keys, 7) == (30, 20, 30, 40)
    assert interpolate(keys, 8) is None
    assert interpolate(keys, 400) == (50, 20, 30, 40)


def test_a_turn_is_interpolated_the_short_way_round():
    keys = region({**raw(1), "rotation": 170}, {**raw(3), "rotation": -170})
    assert turned_box(keys, 2) == ((10, 20, 30, 40), 180)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"sequence": {}},
        {"sequence": [3]},
        {"sequence": [{"frame": 0, "x": 1, "y": 1, "width": 1, "height": 1}]},
        {"sequence": [{"frame": 1, "x": "1", "y": 1, "width": 1, "height": 1}]},
        {"sequence": [{"frame": 1, "x": float("nan"), "y": 1, "width": 1, "height": 1}]},
        {"sequence": [raw(1)], "framesCount": "many"},
    ],
)
def test_a_damaged_region_is_an_error_that_says_so(value):
    with pytest.raises(FormatError):
        read_region({"id": "a", "value": value})
