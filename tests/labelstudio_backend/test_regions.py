from __future__ import annotations

import pytest

from sam2_plugins.labelstudio_backend.regions import with_note, without_note


def test_a_second_note_takes_the_place_of_the_first():
    (once,) = with_note([{"id": "a", "meta": {"who": "kept"}}], "no such file")
    (twice,) = with_note([once], "too large")
    assert twice["meta"]["text"] == ["SAM 2: too large"]
    assert without_note(twice["meta"]) == {"who": "kept"}


@pytest.mark.parametrize(
    ("before", "written", "words"),
    [
        ([], "SAM 2: too large mitosis", ["mitosis"]),
        (["mitosis"], "mitosis,SAM 2: too large", ["mitosis"]),
        (["mitosis"], "mitosis,SAM 2: too large\nor not?", ["mitosis,\nor not?"]),
        ([], "SAM 2: too small", ["SAM 2: too small"]),
    ],
)
def test_what_a_person_writes_beside_our_note_stays(before, written, words):
    """The editor shows all texts as one, with the cursor at the end, and keeps it as one."""
    (noted,) = with_note([{"id": "a", "meta": {"text": before}}], "too large")
    meta = {**noted["meta"], "text": [written]}
    assert without_note(meta) == {"text": words}
    (again,) = with_note([{"id": "a", "meta": meta}], "no such file")
    assert again["meta"]["text"] == [*words, "SAM 2: no such file"]


@pytest.mark.parametrize("meta", [None, "damaged", {}, {"text": ["SAM 2: too large"]}])
def test_without_our_note_nothing_is_left_where_nothing_else_was(meta):
    assert without_note(meta) == {}


def test_a_text_that_is_no_list_stays_a_persons():
    assert without_note({"text": "mitosis"}) == {"text": ["mitosis"]}
