from __future__ import annotations

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.fiftyone_plugin.marks import Mark, cause_of


def square(x: int, side: int = 5) -> ObjectMask:
    return ObjectMask(np.ones((side, side), bool), (x, 3), (40, 60))


def test_a_mark_comes_back_from_its_text() -> None:
    mark = Mark.of("cause", square(4))
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
