from __future__ import annotations

import numpy as np

from sam2_plugins.core.evaluation.object_ids import ids_by_overlap, renamed
from tests.core.evaluation.scenes import scene

A, B, C = (0, 10), (12, 22), (24, 34)
TRUTH = scene(*[{1: A, 2: B, 3: C}] * 3)
FROM_THE_START = {1: 0, 2: 0, 3: 0}


def test_the_same_ids_are_taken_as_they_are_though_an_object_is_lost():
    assert ids_by_overlap(scene(*[{1: A, 2: B}] * 3), TRUTH, FROM_THE_START) is None
    assert ids_by_overlap(np.zeros_like(TRUTH), TRUTH, FROM_THE_START) is None


def test_a_swap_after_the_first_frame_is_left_for_the_scores():
    swapped = scene({1: A, 2: B, 3: C}, *[{3: A, 1: B, 2: C}] * 2)
    assert ids_by_overlap(swapped, TRUTH, FROM_THE_START) is None


def test_other_ids_are_matched_by_overlap_even_if_they_are_the_same_numbers():
    assert ids_by_overlap(scene(*[{2: A, 3: B, 1: C}] * 3), TRUTH, FROM_THE_START) == {
        1: 2,
        2: 3,
        3: 1,
    }


def test_one_id_that_agrees_by_chance_does_not_make_the_others_right():
    by_chance = scene(*[{1: A, 3: B, 2: C}] * 3)
    assert ids_by_overlap(by_chance, TRUTH, FROM_THE_START) == {1: 1, 2: 3, 3: 2}


def test_two_that_are_swapped_where_they_were_prompted_have_other_ids_though_others_agree():
    four = scene(*[{1: A, 2: B, 3: C, 4: (36, 40)}] * 3)
    swapped = scene(*[{1: A, 3: B, 2: C, 4: (36, 40)}] * 3)
    names = ids_by_overlap(swapped, four, dict.fromkeys(range(1, 5), 0))
    assert names == {1: 1, 2: 3, 3: 2, 4: 4}


def test_a_label_that_covers_its_neighbour_too_is_its_own_objects():
    grown = scene(*[{1: (0, 22)}, *[{1: A, 2: B}] * 2])
    assert ids_by_overlap(grown, scene(*[{1: (0, 4), 2: (5, 22)}] * 3), {1: 0, 2: 0}) is None


def test_an_object_is_met_where_its_prediction_begins():
    late = scene({7: A, 8: B}, {7: A, 8: B}, {7: A, 8: B, 5: C})
    assert ids_by_overlap(late, TRUTH, FROM_THE_START) == {1: 7, 2: 8, 3: 5}


def test_a_label_stands_for_one_object_only():
    names = ids_by_overlap(scene(*[{7: (0, 22), 8: C}] * 3), TRUTH, FROM_THE_START)
    assert sorted(names.values()) == [7, 8]


def test_labels_that_stand_for_nothing_do_not_become_an_objects():
    labels = scene({1: A, 4: B, 2: C})
    image = renamed(labels, {1: 4, 2: 1})[0, 1]
    assert (image[0], image[12]) == (2, 1)
    assert image[24] not in (0, 1, 2)
