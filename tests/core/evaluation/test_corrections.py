from __future__ import annotations

from sam2_plugins.core.evaluation import ctc_scores
from tests.core.evaluation.scenes import DAUGHTERS, DIVISION, MOTHER, scene

A, B = (2, 12), (20, 30)
TWO = scene(*[{1: A, 2: B}] * 5)


def acts(result, truth=TWO, parents=None):
    """What is to be done, without what is not."""
    return {act: n for act, n in ctc_scores(result, truth, parents).acts.items() if n}


def test_the_truth_under_other_ids_needs_nothing():
    assert acts(scene(*[{7: A, 4: B}] * 5)) == {}


def test_what_is_missed_counts_once_for_each_time_that_it_is_lost():
    seen, lost = {1: A, 2: B}, {1: A}
    assert acts(scene(seen, lost, lost, lost, seen)) == {"add": 1}
    assert acts(scene(seen, lost, seen, lost, lost)) == {"add": 2}
    assert acts(scene(*[lost] * 5)) == {"add": 1}


def test_an_object_where_none_is_counts_once_for_its_whole_life():
    assert acts(scene(*[{1: A, 2: B, 3: (34, 38)}] * 5)) == {"delete": 1}


def test_a_label_that_slips_off_its_object_is_one_act():
    held, slipped = {1: A, 2: B}, {1: A, 2: (28, 38)}
    assert acts(scene(held, held, slipped, slipped, slipped)) == {"add": 1}


def test_two_objects_that_change_their_labels_are_two_acts():
    assert acts(scene(*[{1: A, 2: B}] * 2, *[{2: A, 1: B}] * 3)) == {"relink": 2}


def test_a_label_that_goes_over_to_a_new_object_is_relinked():
    truth = scene({1: A}, {1: A}, {2: B}, {2: B}, {2: B})
    assert acts(scene({1: A}, {1: A}, {1: B}, {1: B}, {1: B}), truth) == {"relink": 1}


def test_objects_that_melt_into_one_for_some_frames_are_one_act():
    apart, one = {1: A, 2: B}, {1: (2, 30)}
    assert acts(scene(apart, one, one, one, apart)) == {"split": 1}


def test_an_object_that_comes_out_of_a_merger_under_a_new_label_is_relinked_too():
    apart, one = {1: A, 2: B}, {1: (2, 30)}
    assert acts(scene(apart, one, one, {1: A, 5: B}, {1: A, 5: B})) == {"split": 1, "relink": 1}


def test_a_gap_that_the_result_has_closed_is_no_change_of_label():
    seen, lost = {1: A, 2: B}, {1: A}
    back = {1: A, 3: B}
    assert acts(scene(seen, seen, lost, back, back), parents={3: 2}) == {"add": 1}
    assert acts(scene(seen, seen, lost, back, back)) == {"add": 1, "relink": 1}


def test_a_division_that_is_there_needs_nothing():
    assert acts(DIVISION, DIVISION, {2: 1, 3: 1}) == {}


def test_a_division_that_is_missed_is_one_act_whatever_became_of_the_mothers_label():
    assert acts(DIVISION, DIVISION) == {"divide": 1}
    one_goes_on = {1: (9, 15), 3: (15, 21), 9: (30, 36)}
    assert acts(scene(MOTHER, MOTHER, *[one_goes_on] * 3), DIVISION) == {"divide": 1}
    both_in_one = {1: (9, 21), 9: (30, 36)}
    assert acts(scene(MOTHER, MOTHER, *[both_in_one] * 3), DIVISION) == {"divide": 1}


def test_a_division_of_an_object_that_does_not_divide_is_one_act():
    whole = {1: (9, 21), 9: (30, 36)}
    truth = scene(*[whole] * 5)
    halves = {2: (9, 17), 3: (17, 21), 9: (30, 36)}
    result = scene(whole, whole, *[halves] * 3)
    assert acts(result, truth, {2: 1, 3: 1}) == {"delete": 1, "unite": 1}


def test_a_division_one_frame_late_is_right_and_two_frames_late_is_both_missed_and_false():
    both_in_one = {1: (9, 21), 9: (30, 36)}
    late = scene(MOTHER, MOTHER, both_in_one, DAUGHTERS, DAUGHTERS)
    later = scene(MOTHER, MOTHER, both_in_one, both_in_one, DAUGHTERS)
    assert acts(late, DIVISION, {2: 1, 3: 1}) == {}
    assert acts(later, DIVISION, {2: 1, 3: 1}) == {"divide": 1, "unite": 1}


def test_each_act_tells_its_frame_and_its_object():
    (one,) = ctc_scores(scene({1: A, 2: B}, *[{1: A}] * 4), TWO).corrections
    assert (one.act, one.frame, one.label) == ("add", 1, 2)
