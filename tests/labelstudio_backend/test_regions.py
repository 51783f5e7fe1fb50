from __future__ import annotations

import pytest

from sam2_plugins.labelstudio_backend.regions import with_note, without_note


def test_a_second_note_takes_the_place_of_the_first():
    (once,) = with_note([{"id": "a", "meta": {"who": "kept"}}], "no such file")
    (twice,) = with_note([once], "too large")
    assert twice == {"id": "a", "meta": {"who": "kept", "text": ["SAM 2: too large"]}}


@pytest.mark.parametrize("meta", [None, "damaged", {}, {"text": ["SAM 2: too large"]}])
def test_without_our_note_nothing_is_left_where_nothing_else_was(meta):
    assert without_note(meta) == {}


def test_a_text_that_is_no_list_stays_a_persons():
    assert without_note({"text": "mitosis"}) == {"text": ["mitosis"]}
