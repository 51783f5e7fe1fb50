from __future__ import annotations

from sam2_plugins.fiftyone_plugin.labels import Cue
from sam2_plugins.fiftyone_plugin.objects import Statement, find_instances, join

CUE = Cue(box=(1, 1, 5, 5))
SAMPLE = "5" * 24
INSTANCE = "a" * 24


def said(frame: int, id_: str, **who: object) -> Statement:
    return Statement(frame, CUE, id_, **who)  # type: ignore[arg-type]


def test_labels_with_the_same_class_and_index_are_one_object() -> None:
    objects = join(
        [said(0, "a", label="cell", index=1), said(4, "b", label="cell", index=1)], SAMPLE
    )
    (prompts,) = objects.values()
    assert [prompt.frame for prompt in prompts] == [0, 4]


def test_the_same_index_of_another_class_is_another_object() -> None:
    objects = join(
        [said(0, "a", label="cell", index=1), said(0, "b", label="dog", index=1)], SAMPLE
    )
    assert [(who.label, who.index) for who in objects] == [("cell", 1), ("dog", 1)]


def test_a_label_without_a_class_joins_the_only_class_of_its_index() -> None:
    objects = join([said(0, "a", label="cell", index=1), said(0, "b", index=1)], SAMPLE)
    assert len(objects) == 1


def test_an_index_joins_the_instance_that_bears_it() -> None:
    labels = [said(0, "a", index=1, instance=INSTANCE), said(3, "b", index=1)]
    assert find_instances(labels, SAMPLE) == [INSTANCE, INSTANCE]


def test_labels_with_neither_instance_nor_index_are_objects_of_their_own() -> None:
    objects = join([said(0, "a", label="cell"), said(0, "b", label="cell")], SAMPLE)
    assert [who.index for who in objects] == [1, 2]


def test_invented_instances_are_the_same_in_every_run_and_differ_by_sample() -> None:
    labels = [said(0, "a", index=1)]
    assert find_instances(labels, SAMPLE) == find_instances(labels, SAMPLE)
    assert find_instances(labels, SAMPLE) != find_instances(labels, "6" * 24)


def test_free_numbers_avoid_those_that_are_said_or_were_given_before() -> None:
    objects = join([said(0, "a"), said(0, "b", index=2)], SAMPLE, {INSTANCE: 1})
    assert sorted(who.index for who in objects) == [2, 3]


def test_index_0_is_an_index() -> None:
    (who,) = join([said(0, "a", index=0)], SAMPLE)
    assert who.index == 0
