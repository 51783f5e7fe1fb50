from __future__ import annotations

from sam2_plugins.core.export import Numbering


def test_positive_numbers_are_their_own_labels_and_names_get_free_ones():
    numbering = Numbering(["b", 1, "a", 3])
    assert [numbering.label(obj) for obj in (1, 3, "b", "a")] == [1, 3, 2, 4]


def test_a_label_is_kept_and_never_given_twice():
    numbering = Numbering()
    labels = [numbering.label(obj) for obj in ("a", 1, 0, -5, "1", "a", 2)]
    assert labels[0] == labels[5]
    assert len(set(labels)) == 6
    assert min(labels) > 0
    assert numbering.fresh() not in labels
