from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.labelstudio_backend import keyframes, videos
from sam2_plugins.labelstudio_backend.formats.video_rectangle import (
    interpolate,
    keyframe_dict,
    read_region,
    read_regions,
)
from sam2_plugins.labelstudio_backend.regions import with_note
from sam2_plugins.labelstudio_backend.timing import FrameClock
from sam2_plugins.labelstudio_backend.tracking import MovieFacts

COUNT, SIZE = 20, (100, 200)


def view(masks: str = "keyframes", rate: float = 25) -> videos.VideoView:
    clock = FrameClock(rate, np.arange(COUNT) / 25, round(COUNT * rate / 25))
    return videos.VideoView(clock, SIZE, masks)


def drawn(*keys: dict) -> dict:
    value = {"sequence": list(keys), "labels": ["Cell"], "framesCount": COUNT, "duration": 0.8}
    about = {"id": "a", "from_name": "box", "to_name": "video", "type": "videorectangle"}
    return {**about, "value": value}


def key(frame: int, x: float = 10, enabled: bool = True) -> dict:
    return keyframe_dict(frame, (x, 10, 20, 40), enabled, 25)


def moving(frames: Collection[int], step: float = 1) -> dict[int, ObjectMask]:
    """A box that starts at (20, 10) on frame 0 and moves to the right."""
    made = {}
    for frame in range(COUNT):
        x = 20 + step * frame
        here = ObjectMask.from_box((x, 10, x + 40, 50), SIZE)
        made[frame] = here if frame in frames else ObjectMask.empty(SIZE)
    return made


def answer(result: dict, masks: dict[int, ObjectMask], how: videos.VideoView | None = None) -> dict:
    (region,) = read_regions([result])
    return videos.answer_region(region, masks, how or view())


def shown(result: dict) -> list[bool]:
    keys = read_region(result).keyframes
    return [interpolate(keys, frame) is not None for frame in range(1, COUNT + 1)]


def test_tracked_boxes_come_as_few_keyframes():
    result = answer(drawn(key(1)), moving(range(COUNT)))
    assert [k["frame"] for k in result["value"]["sequence"]] == [1, 20]
    x, *_ = interpolate(read_region(result).keyframes, 11)
    assert x == pytest.approx(15, abs=0.3)


def test_every_keyframe_has_what_the_export_of_interpolated_frames_wants():
    for keyframe in answer(drawn(key(1)), moving(range(5)))["value"]["sequence"]:
        assert {"x", "y", "width", "height", "rotation", "time", "enabled", "frame"} <= set(
            keyframe
        )


def test_an_object_that_is_gone_is_not_shown():
    visible = [frame < 6 or frame >= 12 for frame in range(COUNT)]
    masks = moving(range(COUNT)) | {f: ObjectMask.empty(SIZE) for f in range(6, 12)}
    assert shown(answer(drawn(key(3)), masks)) == visible


def test_what_is_not_tracked_yet_is_not_shown():
    masks = {f: m for f, m in moving(range(COUNT)).items() if f < 9}
    assert shown(answer(drawn(key(1)), masks)) == [frame < 9 for frame in range(COUNT)]


def test_a_persons_keyframes_are_kept_and_only_they_are_prompts():
    masks = moving(range(COUNT))
    first = answer(drawn(key(1)), masks)
    edited = [dict(k) for k in first["value"]["sequence"]]
    edited[-1] |= {"x": 33.0}
    person = {**edited[-1], "frame": 9, "x": 20.0}  # added by hand, with the next one's note
    (region,) = read_regions([drawn(edited[0], person, edited[1])])
    assert [p.frame for p in videos.prompts_of(region, view())] == [0, 8, 19]
    again = {
        k["frame"]: k for k in videos.answer_region(region, masks, view())["value"]["sequence"]
    }
    for frame, raw in ((1, edited[0]), (9, person), (20, edited[1])):
        kept = {k: v for k, v in again[frame].items() if k != "sam2"}
        assert kept == {k: v for k, v in raw.items() if k != "sam2"}
        assert not keyframes.is_ours(read_region(drawn(again[frame])).keyframes[0])


def test_a_span_that_a_person_hides_stays_hidden():
    result = answer(drawn(key(1), key(5, enabled=False), key(10)), moving(range(COUNT)))
    assert shown(result) == [frame <= 5 or frame >= 10 for frame in range(1, COUNT + 1)]


@pytest.mark.parametrize("gone", [range(8, 13), range(8, COUNT)])
def test_a_span_in_which_a_person_shows_a_lost_object_stays_shown(gone):
    seen = moving([frame for frame in range(COUNT) if frame not in gone])
    result = answer(drawn(key(1)), seen)
    assert shown(result) == [frame not in gone for frame in range(COUNT)]
    (last,) = (k for k in result["value"]["sequence"] if k["frame"] == gone[0])
    last["enabled"] = True  # the editor's "toggle lifespan", on a frame of the gap
    for _ in range(2):
        result = answer(result, seen)
        assert all(shown(result))


def test_an_object_hidden_just_before_a_keyframe_of_the_model_is_shown_again_from_there_on():
    next_one = keyframes.make_keyframe(6, (12.5, 10, 20, 40), True, 25, None)
    result = drawn(key(1), key(5, enabled=False), next_one)
    assert all(shown(answer(result, moving(range(COUNT)))))


def test_a_count_of_another_frame_rate_does_not_end_the_tracks_early():
    (region,) = read_regions([drawn(key(1))])
    facts = MovieFacts(SIZE, np.arange(COUNT) / 25)
    for counted, known in ((COUNT // 2, COUNT), (1, COUNT), (COUNT - 1, COUNT - 1)):
        counts = replace(region, frames_count=counted)
        assert videos.view_of(facts, 25, [counts], "none").clock.count == known


def test_a_persons_last_sight_of_a_lost_object_does_not_stand_to_the_end():
    result = answer(drawn(key(4)), moving(range(4)))
    assert shown(result) == [frame <= 5 for frame in range(1, COUNT + 1)]


def test_a_turned_box_is_a_prompt_that_holds_all_of_it():
    (region,) = read_regions([drawn({**key(1), "rotation": 90})])
    (prompt,) = videos.prompts_of(region, view())
    assert tuple(prompt.box) == pytest.approx((20 - 40, 10, 20, 50))


def test_boxes_beside_a_turned_one_are_upright():
    turned = {**key(10, x=14.5), "rotation": 30}
    keys = read_region(answer(drawn(turned), moving(range(COUNT)))).keyframes
    assert [k.rotation for k in keys if k.frame in (9, 10, 11)] == [0, 30, 0]


def test_at_another_rate_the_prompt_is_on_the_frame_that_is_shown():
    (region,) = read_regions([drawn(key(5))])
    (prompt,) = videos.prompts_of(region, view(rate=50))
    assert prompt.frame == 2


def test_masks_travel_in_keyframes_and_all_of_them_if_wanted():
    masks = moving(range(COUNT))
    few = answer(drawn(key(1)), masks)["value"]["sequence"]
    assert [list(k["sam2"]["masks"]) for k in few] == [["1"], ["20"]]
    assert ObjectMask.from_rle(few[1]["sam2"]["masks"]["20"]) == masks[19]
    everything = answer(drawn(key(1)), masks, view("all"))["value"]["sequence"]
    assert sorted(f for k in everything for f in map(int, k["sam2"]["masks"])) == [*range(1, 21)]
    none = answer(drawn(key(1)), masks, view("none"))["value"]["sequence"]
    assert all("masks" not in k.get("sam2", {}) for k in none)


def test_our_note_goes_when_it_works_again_and_a_persons_words_stay():
    (noted,) = with_note([{**drawn(key(1)), "meta": {"text": ["mitosis"]}}], "no such file")
    assert noted["meta"]["text"] == ["mitosis", "SAM 2: no such file"]
    assert answer(noted, moving(range(COUNT)))["meta"] == {"text": ["mitosis"]}


def test_what_an_imported_keyframe_lacks_is_filled_in_so_that_the_editor_shows_it():
    bare = {"frame": 1, "x": 10, "y": 10, "width": 20, "height": 40}
    first = answer(drawn(bare), moving(range(COUNT)))["value"]["sequence"][0]
    assert (first["enabled"], first["rotation"], first["time"]) == (True, 0, 1 / 25)
