"""Which masks should be looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.doubt import doubt_of, obeyed
from tests.support.doubts import doubts

SIZE = (100, 200)


def box(x: int, side: int = 20, iou: float = 0.95, score: float = 20) -> ObjectMask:
    return replace(ObjectMask.from_box((x, 10, x + side, 10 + side), SIZE), iou=iou, score=score)


def steady(frames: int = 8) -> dict[int, ObjectMask]:
    return {frame: box(10 + 2 * frame) for frame in range(frames)}


def test_a_steady_object_is_sure() -> None:
    found = doubts(steady(), {0})
    assert not any(doubt.doubtful for doubt in found.values())
    assert found[3].reasons == ()


@pytest.mark.parametrize(
    ("mask", "neighbours", "reason"),
    [
        (box(16, iou=0.3, score=2), [], "low predicted IoU"),
        (box(14, side=60), [], "jump of area"),
        (box(16), [box(18)], "overlap with another object"),
        (ObjectMask.empty(SIZE), [], "lost"),
    ],
)
def test_each_sign_is_found_and_named(
    mask: ObjectMask, neighbours: list[ObjectMask], reason: str
) -> None:
    masks = {**steady(), 3: mask}
    found = doubts(masks, {0}, lambda frame: neighbours if frame == 3 else [])
    assert found[3].doubtful
    assert reason in found[3].reasons
    assert not found[2].doubtful


def test_a_jump_is_seen_from_the_prompt_on_in_both_directions() -> None:
    masks = {frame: box(10, side=60 if frame < 3 else 20) for frame in range(8)}
    found = doubts(masks, {6})
    assert "jump of area" in found[2].reasons
    assert "jump of area" not in found[3].reasons


def test_a_stage_that_drifts_is_no_doubt() -> None:
    masks = {frame: box(10 + 12 * frame) for frame in range(8)}
    assert not any(doubt.doubtful for doubt in doubts(masks, {0}).values())


def test_masks_by_a_person_have_no_score_and_are_judged_by_the_rest() -> None:
    nan = float("nan")
    mask = replace(box(10), iou=nan, score=nan)
    assert doubt_of(mask).value == 0


def test_a_click_that_is_not_obeyed_is_noticed() -> None:
    mask = box(10)
    inside, outside = Prompt.of(0, 1, [(20, 20)]), Prompt.of(0, 1, [(90, 90)])
    assert obeyed(mask, [inside, Prompt.of(0, 1, [(90, 90)], [0])])
    assert not obeyed(mask, [outside])
    assert not obeyed(mask, [Prompt.of(0, 1, [(20, 20)], [0])])
