"""Decisions, on label images as proposals: what is proposed is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from scipy import ndimage

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.lineage import Event, LineageFrame, LineageTracker, from_label_images
from sam2_plugins.core.lineage.events import parents_of, summary_of
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.tracking.tracker import VideoTracker
from tests.core.lineage.scenes import CELL, SECOND, SIZE, Labels, dividing, lineage_of, scene

PAIR = scene([(40, 34, 13), (40, 60, 13), SECOND, (80, 30, 12), (78, 66, 12), (16, 110, 12)])
TOGETHER = np.where(PAIR == 2, np.uint8(1), PAIR)
"""Six objects, and the first two of them as one."""


def kinds(lineage: LineageTracker) -> list[tuple[str, int]]:
    return [(event.kind, event.frame) for event in lineage.events]


def division_of(lineage: LineageTracker) -> Event:
    (event,) = (event for event in lineage.events if event.kind == "divided")
    return event


def test_what_is_there_on_the_first_frame_is_born_there_and_keeps_its_outline() -> None:
    labels = [scene([CELL, SECOND])] * 4
    lineage = lineage_of(labels)
    frames = list(lineage.run())
    assert [frame.frame for frame in frames] == [0, 1, 2, 3]
    assert kinds(lineage) == [("born", 0), ("born", 0)]
    for frame in frames:
        assert sorted(frame.masks) == [1, 2]
        for number, mask in frame.masks.items():
            assert np.array_equal(mask.to_array(), labels[0] == number)


def test_an_outline_that_is_not_certain_is_shown_as_the_mean_with_the_tracked_one() -> None:
    shown = scene([CELL])
    lineage = lineage_of([shown] + [scene([(*CELL[:2], 15)])] * 3, shown=[shown] * 4)
    propose = lineage.propose
    lineage.propose = lambda frame: [replace(mask, iou=0.9) for mask in propose(frame)]
    areas = [frame.masks[1].area for frame in lineage.run()]
    assert 1.1 * areas[0] < areas[1] < 0.9 * propose(1)[0].area


def test_a_newcomer_is_born_on_the_frame_on_which_it_was_first_found() -> None:
    lineage = lineage_of([scene([CELL])] * 2 + [scene([CELL, SECOND])] * 4)
    frames = list(lineage.run())
    assert kinds(lineage) == [("born", 0), ("born", 2)]
    newcomer = lineage.events[1].objects[0]
    assert [newcomer in frame.masks for frame in frames] == [False, False, True, True, True, True]
    assert "3 frames" in lineage.events[1].reason


def test_what_is_found_once_only_leaves_no_trace() -> None:
    lineage = lineage_of(
        [scene([CELL])] * 2 + [scene([CELL, SECOND])] + [scene([CELL])] * 4,
        shown=[scene([CELL])] * 7,
    )
    frames = list(lineage.run())
    assert all(len(frame.masks) == 1 for frame in frames)
    assert len(lineage.tracker.objects) == 1


def test_what_is_not_found_any_more_ended_on_the_last_frame_on_which_it_was() -> None:
    lineage = lineage_of([scene([CELL, SECOND])] * 3 + [scene([CELL])] * 5)
    frames = list(lineage.run())
    assert kinds(lineage) == [("born", 0), ("born", 0), ("ended", 2)]
    assert [len(frame.masks) for frame in frames] == [2, 2, 2, 1, 1, 1, 1, 1]


def test_two_lasting_parts_of_an_object_are_its_daughters() -> None:
    lineage = lineage_of(dividing())
    frames = list(lineage.run())
    event = division_of(lineage)
    assert event.frame == 3
    assert lineage.parents == dict.fromkeys(event.objects, event.mother)
    assert all((event.mother in frame.masks) == (frame.frame < 3) for frame in frames)
    assert all((set(event.objects) <= set(frame.masks)) == (frame.frame >= 3) for frame in frames)
    assert parents_of(lineage.events) == lineage.parents


def test_daughters_of_what_grew_until_it_divided_are_as_large_as_it_was_last() -> None:
    grown = [scene([(40, 34, r), (40, 50, r), SECOND]) for r in (7, 9, 11)]
    whole = [np.where(labels == 2, np.uint8(1), labels) for labels in grown]
    halves = scene([(40, 29, 11), (40, 55, 11), SECOND])
    assert (halves == 1).sum() * 2 > 1.5 * (whole[1] == 1).sum()
    lineage = lineage_of([*whole, *[halves] * 4])
    list(lineage.run())
    event = division_of(lineage)
    assert event.frame == 3


def test_what_is_seen_in_two_on_the_last_frame_alone_is_no_division() -> None:
    for light in (dividing(after=1), dividing(4, 0)):  # one half is followed, or the whole
        lineage = lineage_of(dividing(after=1), shown=light)
        frames = list(lineage.run())
        assert len(frames) == 4
        assert not lineage.parents


def test_what_parts_into_objects_of_full_size_was_several_taken_together() -> None:
    frames = list((lineage := lineage_of([TOGETHER] * 3 + [PAIR] * 5, shown=[PAIR] * 8)).run())
    assert not lineage.parents
    assert [len(frame.masks) for frame in frames] == [5] * 3 + [6] * 5
    ended = next(event for event in lineage.events if event.kind == "ended")
    assert (ended.frame, ended.reason) == (2, "several objects, taken together")


def test_the_last_of_a_generation_divides_into_daughters_that_are_usual_by_then() -> None:
    cells = [(16, 30, 7), (16, 92, 7), (48, 30, 7), (48, 92, 7), (80, 60, 8)]

    def frame(divided: int) -> Labels:
        discs = [
            (y, x + side * (9 if n < divided else 5), radius)
            for n, (y, x, radius) in enumerate(cells)
            for side in (-1, 1)
        ]
        labels = scene(discs)
        for n in range(divided, len(cells)):
            labels[labels == 2 * n + 2] = 2 * n + 1
        return labels

    light = [frame(0)] * 2 + [frame(4)] * 10  # the tracker holds both daughters for one
    lineage = lineage_of([*light[:8], *[frame(5)] * 4], light)
    list(lineage.run())
    divided = [event.frame for event in lineage.events if event.kind == "divided"]
    assert len(divided) == len(cells)
    assert divided[-1] == 8


def test_a_newcomer_is_the_daughter_of_what_it_completes_and_not_of_what_is_nearest() -> None:
    long = scene([(30, 40, 12), (30, 70, 12)]) > 0
    long[18:43, 40:71] = True
    column = np.indices(SIZE)[1]
    left, right = long & (column < 54), long & (column > 59)
    other, shrunk = (scene([(y, 70, radius)]) > 0 for y, radius in ((58, 14), (55, 11)))
    before = long * np.uint8(1) + other * np.uint8(2)
    after = left * np.uint8(1) + right * np.uint8(3) + shrunk * np.uint8(2)
    without = np.where(after == 3, np.uint8(0), after)
    lineage = lineage_of([before] * 3 + [without] + [after] * 4, [before] * 3 + [after] * 5)
    list(lineage.run())
    divided = division_of(lineage)
    assert divided.mother is not None
    mother = lineage.tracker.mask(0, divided.mother)
    assert mother is not None
    assert mother.area == int(long.sum())


def test_daughters_that_moved_apart_before_they_were_seen_have_a_mother() -> None:
    whole = scene([(40, 44, 14), SECOND])
    apart = scene([(28, 44, 9), (52, 44, 9), SECOND])
    lineage = lineage_of([whole] * 3 + [apart] * 5)
    list(lineage.run())
    assert kinds(lineage) == [("born", 0), ("born", 0), ("divided", 3)]


def test_a_newcomer_that_lies_where_no_mother_was_comes_from_outside() -> None:
    before, after = scene([(40, 44, 14), SECOND]), scene([(40, 40, 11), SECOND, (40, 66, 10)])
    lineage = lineage_of([before] * 3 + [after] * 5)
    list(lineage.run())
    assert kinds(lineage) == [("born", 0), ("born", 0), ("born", 3)]


def test_a_daughter_lies_where_her_mother_would_be_by_the_drift_of_the_stage() -> None:
    whole = scene([(24, 24, 14), (24, 64, 9)])
    apart = scene([(12, 24, 9), (36, 24, 9), (24, 64, 9)])
    drifted = [np.roll(apart, 14 * n, axis=1) for n in (1, 2, 2, 2)]
    lineage = lineage_of([whole] * 3 + drifted)
    list(lineage.run())
    divided = division_of(lineage)
    assert (divided.frame, divided.reason[:10]) == (3, "a newcomer")


def test_what_was_missed_on_a_frame_is_found_where_the_stage_took_it() -> None:
    shown = [np.roll(scene([(30, 24, 9), (30, 54, 9)]), (9 * n, 14 * n), (0, 1)) for n in range(5)]
    labels = [*shown[:2], shown[2] * (shown[2] == 1), *shown[3:]]
    lineage = lineage_of(labels, shown)
    list(lineage.run())
    assert kinds(lineage) == [("born", 0), ("born", 0)]


def test_parts_that_are_proposed_as_one_again_are_no_daughters() -> None:
    whole, parted = dividing(1, 1)
    light = (whole > 0) * 150.0
    light[:, 42:45] *= 0.7  # a dent, which was taken for a gap once
    rng = np.random.default_rng(0)
    movie = rng.normal(40, 4, (8, *SIZE)) + ndimage.gaussian_filter(light, 1)
    tracker = VideoTracker(cached_model("nano", device="cpu"), movie.clip(0, 255).astype(np.uint8))
    proposed = [whole] * 3 + [parted] + [whole] * 4
    lineage = LineageTracker(tracker, from_label_images(proposed))
    assert [len(frame.masks) for frame in lineage.run()] == [2] * 8
    assert not lineage.parents


def taken_back(
    lineage: LineageTracker, meant: Callable[[Event], bool]
) -> tuple[Event, list[LineageFrame]]:
    """Take a decision back as soon as it is made; return it, and the frames that come then."""
    run = lineage.run()
    event = next(event for frame in run for event in frame.events if meant(event))
    lineage.take_back(event)
    return event, list(run)


def test_a_division_that_is_taken_back_is_one_object_again_and_stays_one() -> None:
    lineage = lineage_of(dividing(after=7))
    event, rest = taken_back(lineage, lambda event: event.kind == "divided")
    mother = event.mother
    assert mother is not None
    assert not lineage.parents
    assert all(event.kind != "divided" for event in lineage.events)
    assert all(mother in frame.masks for frame in rest)


def test_a_birth_that_is_taken_back_is_not_made_again() -> None:
    lineage = lineage_of([scene([CELL])] * 2 + [scene([CELL, SECOND])] * 7)
    _, rest = taken_back(lineage, lambda event: event.frame == 2)
    assert all(len(frame.masks) == 1 for frame in rest)
    assert kinds(lineage) == [("born", 0)]


def test_an_end_that_is_taken_back_goes_on() -> None:
    shown = [scene([CELL, SECOND])] * 10
    lineage = lineage_of([scene([CELL, SECOND])] * 3 + [scene([CELL])] * 7, shown)
    _, rest = taken_back(lineage, lambda event: event.kind == "ended")
    assert rest
    assert all(len(frame.masks) == 2 for frame in rest)


def test_parts_whose_whole_goes_on_after_all_are_gone() -> None:
    run = (lineage := lineage_of([TOGETHER] * 3 + [PAIR] * 4, shown=[PAIR] * 7)).run()
    last: dict[int, LineageFrame] = {}
    for frame in run:
        last[frame.frame] = frame
        for event in frame.events:
            if event.kind == "ended":
                lineage.take_back(event)
    assert [len(frame.masks) for frame in last.values()] == [5] * 7
    assert {event.kind for event in lineage.events} == {"born"}


def test_a_decision_that_does_not_stand_any_more_is_not_taken_back_again() -> None:
    lineage = lineage_of(dividing(after=4))
    list(lineage.run())
    divided = division_of(lineage)
    lineage.take_back(divided)
    with pytest.raises(TrackingError, match="does not stand any more"):
        lineage.take_back(divided)


def test_decided_frames_that_a_person_changes_come_again_at_the_end_too() -> None:
    lineage = lineage_of(dividing(after=4))
    frames = []
    for frame in lineage.run():
        frames.append(frame)
        divided = [event for event in lineage.events if event.kind == "divided"]
        if frame.frame == 6 and divided:
            lineage.take_back(divided[0])
    assert [frame.frame for frame in frames] == [*range(7), 3, 4, 5, 6]
    assert all(len(frame.masks) == 2 for frame in frames[7:])


def test_what_is_tracked_to_where_something_was_refused_is_found_there() -> None:
    way = [(min(40 + 5 * n, 70), min(32 + 12 * n, 104), 12) for n in range(12)]
    labels = [scene([place, SECOND] if n < 3 else [place]) for n, place in enumerate(way)]
    lineage = lineage_of(labels)
    for frame in lineage.run():
        if frame.frame == 0 and len(frame.masks) == 2:
            refused = max(frame.masks, key=lambda obj: (frame.masks[obj].box or (0,))[0])
            lineage.take_back(next(e for e in lineage.events if e.objects == (refused,)))
    assert kinds(lineage) == [("born", 0)]
    assert len(frame.masks) == 1


def prompted_on_the_way(
    lineage: LineageTracker, obj: ObjectId, mask: np.ndarray
) -> dict[int, LineageFrame]:
    """Give a mask of frame 3 after frame 4; return each frame as it came last."""
    last: dict[int, LineageFrame] = {}
    for frame in lineage.run():
        if frame.frame == 4 and 4 not in last:
            lineage.tracker.add_prompt(3, obj, mask=mask)
        last[frame.frame] = frame
    return last


def test_an_object_that_a_person_adds_on_the_way_is_there_though_it_is_not_found() -> None:
    shown = [scene([CELL, SECOND])] * 9
    lineage = lineage_of([scene([CELL])] * 9, shown)
    last = prompted_on_the_way(lineage, "mine", shown[0] == 2)
    assert ["mine" in frame.masks for frame in last.values()] == [False] * 3 + [True] * 6


def test_an_object_that_a_person_removes_on_the_way_has_no_lineage() -> None:
    lineage = lineage_of(dividing(after=7))
    for frame in lineage.run():
        if frame.frame == 3 and lineage.parents and 1 in lineage.tracker.objects:
            lineage.tracker.remove_object(next(iter(lineage.parents.values())))
    assert not lineage.parents
    assert {event.kind for event in lineage.events} == {"born"}
    assert len(frame.masks) == 3


def test_a_mask_that_a_person_corrects_on_the_way_is_tracked_on_from_there() -> None:
    shown = [scene([CELL, SECOND])] * 9
    lineage = lineage_of([scene([(40, 32, 6), SECOND])] * 9, shown)
    last = prompted_on_the_way(lineage, 1, shown[0] == 1)
    true = int((shown[0] == 1).sum())
    assert all(0.8 * true < last[n].masks[1].area < 1.2 * true for n in range(3, 9))


def test_what_a_person_prompted_is_kept_and_counts() -> None:
    labels = [scene([CELL, SECOND])] * 4
    lineage = lineage_of(labels)
    lineage.tracker.add_prompt(0, "mine", mask=labels[0] == 1)
    frames = list(lineage.run())
    assert all(set(frame.masks) == {"mine", 1} for frame in frames)


def test_objects_are_looked_for_on_every_third_frame_and_tracked_in_between() -> None:
    labels = [scene([CELL])] * 2 + [scene([CELL, SECOND])] * 10
    asked: list[int] = []
    lineage = lineage_of(labels)
    propose = lineage.propose
    lineage.propose = lambda frame: asked.append(frame) or propose(frame)  # type: ignore[func-returns-value]
    frames = list(lineage.run(every=3))
    assert asked == [0, 3, 6, 9]
    assert [frame.frame for frame in frames] == list(range(12))
    assert kinds(lineage) == [("born", 0), ("born", 3)]
    assert all(len(frame.masks) == (1 if frame.frame < 3 else 2) for frame in frames)


def test_what_is_missed_once_between_looks_far_apart_goes_on() -> None:
    both, one = scene([CELL, SECOND]), scene([CELL])
    lineage = lineage_of([both] * 3 + [one] * 3 + [both] * 7, shown=[both] * 13)
    frames = list(lineage.run(every=3))
    assert kinds(lineage) == [("born", 0), ("born", 0)]
    assert all(len(frame.masks) == 2 for frame in frames)


def test_what_ended_between_looks_far_apart_is_on_no_frame_after_its_end() -> None:
    lineage = lineage_of([scene([CELL, SECOND])] * 4 + [scene([CELL])] * 12)
    frames = list(lineage.run(every=3))
    assert kinds(lineage)[-1] == ("ended", 3)
    assert [len(frame.masks) for frame in frames] == [2] * 4 + [1] * 12


def test_a_part_of_a_movie_is_tracked_and_the_run_can_be_left() -> None:
    lineage = lineage_of([scene([CELL])] * 8)
    assert [frame.frame for frame in lineage.run(2, 5)] == [2, 3, 4, 5]
    run = lineage_of([scene([CELL])] * 8).run()
    first: list[LineageFrame] = list(islice(run, 2))
    run.close()
    assert [frame.frame for frame in first] == [0, 1]


def test_a_stage_that_jumps_takes_all_objects_along() -> None:
    places = [(30 + 9 * n, 30 + 14 * n) for n in range(5)]
    labels = [scene([(y, x, 9), (y, x + 24, 9)]) for y, x in places]
    lineage = lineage_of(labels)
    frames = list(lineage.run())
    assert kinds(lineage) == [("born", 0), ("born", 0)]
    overlaps = [
        frame.masks[number].iou_with(from_label_images(labels)(frame.frame)[number - 1])
        for frame in frames
        for number in (1, 2)
    ]
    assert min(overlaps) > 0.7


def test_events_survive_being_written_and_are_told_in_plain_words() -> None:
    events = [
        Event("born", 0, (1,), "there on the first frame"),
        Event("divided", 7, (2, 3), "two parts of it lasted", 1),
        Event("ended", 9, (2,), "not found for 3 frames"),
    ]
    assert [Event.of(event.as_json()) for event in events] == events
    assert str(events[1]) == "Frame 7: 1 divided into 2 and 3: two parts of it lasted"
    assert summary_of(events) == "1 objects appeared, 1 divided, 1 ended."


def test_an_object_that_a_person_prompted_on_a_later_frame_begins_there() -> None:
    labels = [scene([CELL])] * 8
    lineage = lineage_of(labels, shown=[scene([CELL, SECOND])] * 8)
    lineage.tracker.add_prompt(5, "mine", mask=scene([CELL, SECOND]) == 2)
    frames = list(lineage.run())
    assert ["mine" in frame.masks for frame in frames] == [False] * 5 + [True] * 3


def test_what_a_person_prompts_where_an_object_is_goes_on_in_its_place() -> None:
    for later in (1, 5):
        labels = [scene([CELL, SECOND])] * 8
        lineage = lineage_of(labels)
        lineage.tracker.add_prompt(later, "mine", mask=labels[0] == 2)
        frames = list(lineage.run())
        assert all(len(frame.masks) == 2 for frame in frames)
        assert ["mine" in frame.masks for frame in frames] == [n >= later for n in range(8)]
        assert ("ended", later - 1) in kinds(lineage)


def test_a_division_counts_where_a_person_knows_the_daughters_from_a_later_frame_on() -> None:
    movie = dividing(before=3)
    lineage = lineage_of(movie)
    for name, number in (("left", 1), ("right", 2)):
        lineage.tracker.add_prompt(4, name, mask=movie[4] == number)
    list(lineage.run())
    divided = division_of(lineage)
    heirs = {event.objects[0]: event.goes_on_as for event in lineage.events if event.goes_on_as}
    assert divided.frame == 3
    assert {heirs[daughter] for daughter in divided.objects} == {"left", "right"}


def test_what_a_person_prompted_later_again_neither_ends_nor_divides_before_that() -> None:
    found_until_two = [scene([CELL, SECOND])] * 2 + [scene([CELL])] * 8
    lineage = lineage_of(found_until_two, shown=[scene([CELL, SECOND])] * 10)
    for frame in (0, 8):
        lineage.tracker.add_prompt(frame, "mine", mask=scene([CELL, SECOND]) == 2)
    assert all("mine" in frame.masks for frame in lineage.run())
    movie = dividing(after=7)
    lineage = lineage_of(movie)
    for frame in (0, 8):
        lineage.tracker.add_prompt(frame, "mine", mask=movie[0] == 1)
    assert all("mine" in frame.masks for frame in lineage.run())


def test_a_run_from_a_later_frame_leaves_what_was_tracked_before_it() -> None:
    lineage = lineage_of([scene([CELL])] * 5 + [scene([])] * 5)
    lineage.tracker.add_prompt(0, "mine", mask=scene([CELL]) == 1)
    list(lineage.tracker.propagate(stop=2))
    list(lineage.run(3))
    assert all(lineage.tracker.mask(frame, "mine") is not None for frame in range(3))
