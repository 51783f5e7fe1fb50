from __future__ import annotations

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.fiftyone_plugin.marks import Cause, Mark, cause_of
from sam2_plugins.fiftyone_plugin.request import Request


def square(x: int, side: int = 5) -> ObjectMask:
    return ObjectMask(np.ones((side, side), bool), (x, 3), (40, 60))


def test_a_mark_comes_back_from_its_text() -> None:
    mark = Mark.of("cause", square(4), "cell")
    assert Mark.parse(str(mark)) == mark


def test_a_moved_or_changed_mask_no_longer_has_its_mark() -> None:
    assert Mark.of("c", square(4)) != Mark.of("c", square(5))
    assert Mark.of("c", square(4)) != Mark.of("c", square(4, 6))


def test_what_people_write_is_no_mark() -> None:
    assert Mark.parse(None) is None
    assert Mark.parse("") is None
    assert Mark.parse("word") is None


def test_the_cause_follows_the_prompts_and_the_settings() -> None:
    one, other = Prompt.of(0, "x", box=(1, 1, 5, 5)), Prompt.of(0, "x", box=(1, 1, 5, 6))
    assert cause_of([one], "nano") == cause_of([one], "nano")
    assert cause_of([one], "nano") != cause_of([other], "nano")
    assert cause_of([one], "nano") != cause_of([one], "tiny")


def test_the_cause_does_not_follow_the_name_of_the_object() -> None:
    one, other = Prompt.of(0, "x", box=(1, 1, 5, 5)), Prompt.of(0, "y", box=(1, 1, 5, 5 + 1e-9))
    assert cause_of([one], "nano") == cause_of([other], "nano")


def test_a_cause_knows_its_masks_of_both_directions_and_tells_them_apart() -> None:
    cause = Cause.of([Prompt.of(0, "x", box=(1, 1, 5, 5))], "nano")
    assert cause.on(True) in cause
    assert cause.on(False) in cause
    assert cause.on(True) != cause.on(False)
    assert "other" not in cause


def test_a_class_that_was_changed_since_is_a_persons() -> None:
    mark = Mark.of("cause", square(4), "cell")
    assert not mark.named_by_person("cell")
    assert mark.named_by_person("nucleus")


def test_masks_that_leave_no_neighbours_out_are_of_other_settings() -> None:
    assert Request.of({"neighbours": False}).settings != Request.of({}).settings
