from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin.labels import Cue
from sam2_plugins.fiftyone_plugin.objects import PromptLabel, Track, TrackedObject, find_objects

CUE = Cue(box=(1, 1, 5, 5))
SAMPLE = "5" * 24
INSTANCE, OTHER = "a" * 24, "b" * 24
SIZE = 40, 60


def label(frame: int, id_: str, **values: object) -> PromptLabel:
    return PromptLabel(frame, **{"cue": CUE, "id": id_, "field": "seed"} | values)  # type: ignore[arg-type]


def square(x: int, y: int = 1, side: int = 4) -> ObjectMask:
    return ObjectMask(np.ones((side, side), bool), (x, y), SIZE)


def track(instance: str = INSTANCE, index: int = 1, x: int = 1, name: str = "cell") -> Track:
    return Track(instance, name, index, {0: square(x), 1: square(x + 1)})


def objects(*labels: PromptLabel, tracks: tuple[Track, ...] = ()) -> list[TrackedObject]:
    return find_objects(labels, tracks, SAMPLE)


def test_labels_with_the_same_class_and_index_are_one_object() -> None:
    (one,) = objects(label(0, "a", label="cell", index=1), label(4, "b", label="cell", index=1))
    assert [prompt.frame for prompt in one.prompts] == [0, 4]


def test_the_same_index_of_another_class_is_another_object() -> None:
    found = objects(label(0, "a", label="cell", index=1), label(0, "b", label="dog", index=1))
    assert [(one.who.label, one.who.index) for one in found] == [("cell", 1), ("dog", 1)]


def test_a_label_without_a_class_joins_the_only_class_of_its_index() -> None:
    assert len(objects(label(0, "a", label="cell", index=1), label(0, "b", index=1))) == 1


def test_an_index_joins_the_instance_that_bears_it() -> None:
    (one,) = objects(label(0, "a", index=1, instance=INSTANCE), label(3, "b", index=1))
    assert one.who.instance == INSTANCE


def test_an_index_joins_instances_that_are_never_on_one_frame() -> None:
    first, second = {"index": 1, "instance": INSTANCE}, {"index": 1, "instance": OTHER}
    assert len(objects(label(0, "a", **first), label(3, "b", **second))) == 1
    assert len(objects(label(0, "a", **first), label(0, "b", **second))) == 2


def test_labels_with_neither_instance_nor_index_are_objects_of_their_own() -> None:
    found = objects(label(0, "a", label="cell"), label(0, "b", label="cell"))
    assert [one.who.index for one in found] == [1, 2]


def test_invented_instances_are_the_same_in_every_run_and_differ_by_sample() -> None:
    (one,) = objects(label(0, "a", index=1))
    (again,) = objects(label(0, "a", index=1))
    (other,) = find_objects([label(0, "a", index=1)], (), "6" * 24)
    assert one.who == again.who
    assert one.who.instance != other.who.instance


def test_free_numbers_avoid_those_of_labels_and_of_tracks() -> None:
    found = objects(label(0, "a"), label(0, "b", index=2), tracks=(track(index=1, x=40),))
    assert sorted(one.who.index for one in found) == [2, 3]


def test_index_0_is_an_index() -> None:
    (one,) = objects(label(0, "a", index=0))
    assert one.who.index == 0


@pytest.mark.parametrize(
    "names",
    [
        {"label": "cell", "index": 1, "instance": INSTANCE},
        {"label": "cell", "index": 1, "instance": "c" * 24},
        {"label": "nucleus", "index": 1},
        {"label": "cell"},
        {"label": "cell", "index": 7},
        {},
    ],
    ids=["unchanged", "other instance", "other class", "no index", "other index", "nothing"],
)
def test_a_label_finds_the_track_that_was_made_of_it(names: dict[str, object]) -> None:
    mine, other = track(x=1), track(OTHER, index=2, x=30)
    (one,) = objects(label(0, "new", **names), tracks=(other, mine))
    assert one.track is mine
    assert one.who.index == names.get("index", 1)
    assert one.who.label == names.get("label", "cell")


def test_a_click_finds_its_track_by_what_it_is_on() -> None:
    mine, other = track(x=1), track(OTHER, index=2, x=30)
    click = Cue(points=((31.0, 2.0),), point_labels=(1,))
    (one,) = objects(label(0, "a", cue=click), tracks=(mine, other))
    assert one.track is other


def test_another_object_with_the_index_of_a_track_does_not_get_it() -> None:
    far = Cue(box=(30, 20, 40, 30))
    (one,) = objects(label(0, "a", label="dog", index=1, cue=far), tracks=(track(),))
    assert one.track is None
    assert one.who.instance != INSTANCE


def test_a_correction_without_names_joins_the_prompt_of_its_track() -> None:
    seed = label(0, "seed", label="cell")
    correction = label(1, "fixed", field="", cue=Cue(mask=square(2)))
    (one,) = objects(seed, correction, tracks=(track(),))
    assert [prompt.frame for prompt in one.prompts] == [0, 1]


def test_a_corrected_mask_comes_after_the_box_that_it_corrects() -> None:
    correction = label(0, "fixed", index=1, field="", cue=Cue(mask=square(2)))
    (one,) = objects(correction, label(0, "box", index=1))
    assert [prompt.mask is not None for prompt in one.prompts] == [False, True]


def test_a_box_refines_a_mask_that_is_no_correction() -> None:
    (one,) = objects(label(0, "box", index=1), label(0, "mask", index=1, cue=Cue(mask=square(2))))
    assert [prompt.mask is not None for prompt in one.prompts] == [True, False]


def test_two_prompts_at_one_place_stay_two_objects_with_a_track_each() -> None:
    labels = label(0, "a", field="boxes"), label(0, "b", field="clicks")
    tracks = track(index=1), track(OTHER, index=2)
    found = objects(*labels, tracks=tracks)
    assert {one.who.index for one in found} == {1, 2}


def test_a_label_that_is_not_chosen_keeps_its_track_without_prompting() -> None:
    mine = track()
    (one,) = objects(label(0, "a", label="cell", index=1, chosen=False), tracks=(mine,))
    assert one.track is mine
    assert one.prompts == ()


def test_a_box_elsewhere_with_the_name_of_another_is_an_object_of_its_own() -> None:
    far = Cue(box=(30, 20, 36, 26))
    names = {"label": "cell", "index": 1}
    found = objects(label(0, "a", **names), label(0, "b", **names), label(0, "c", cue=far, **names))
    assert [len(one.prompt_labels) for one in found] == [2, 1]
    assert [one.who.index for one in found] == [1, 2]
