from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.journal import MaskJournal, read_journal

SIZE = (30, 40)


def square(x: int, iou: float = 0.5, score: float = 2.5) -> ObjectMask:
    return ObjectMask(np.ones((4, 5), bool), (x, 3), SIZE, iou, score)


def test_what_was_written_is_read_with_all_that_the_model_said(tmp_path: Path) -> None:
    path = tmp_path / "masks.jsonl"
    with closing(MaskJournal(path)) as journal:
        journal.write(0, {"cell": square(1), 7: square(9, math.nan, math.nan)})
        journal.write(1, {"cell": ObjectMask.empty(SIZE, 0.1, -3.0)})
    cell, other = read_journal(path).masklets()
    assert (cell.obj, other.obj) == ("cell", 7)
    assert cell.masks == {0: square(1), 1: ObjectMask.empty(SIZE)}
    assert (cell.masks[0].iou, cell.masks[0].score) == (0.5, 2.5)
    assert (cell.masks[1].iou, cell.masks[1].score) == (0.1, -3.0)
    assert math.isnan(other.masks[0].iou)


def test_another_file_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("no line ends here")
    with pytest.raises(ExportError, match="notes is there already, and is no journal"):
        MaskJournal(path)
    assert path.read_text() == "no line ends here"


def test_a_line_that_a_kill_cut_off_is_ignored_and_then_replaced(tmp_path: Path) -> None:
    path = tmp_path / "masks.jsonl"
    with closing(MaskJournal(path)) as journal:
        journal.write(0, {1: square(1)})
        journal.write(1, {1: square(2)})
    path.write_bytes(path.read_bytes()[:-10])
    assert read_journal(path).masklets()[0].masks.keys() == {0}
    with closing(MaskJournal(path)) as journal:
        journal.write(1, {1: square(5)})
    assert read_journal(path).masklets()[0].masks == {0: square(1), 1: square(5)}


def test_a_frame_written_again_counts_as_it_was_written_last(tmp_path: Path) -> None:
    path = tmp_path / "masks.jsonl"
    with closing(MaskJournal(path)) as journal:
        journal.write(0, {1: square(1)})
        journal.write(0, {1: square(8)})
    assert read_journal(path).masklets()[0].masks == {0: square(8)}


def test_a_journal_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert not read_journal(tmp_path / "masks.jsonl").frames


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "masks.jsonl"
    path.write_text('{"frame": 0, "masks": []}\n{"frame": 1}\n')
    with pytest.raises(ExportError, match="line 2"):
        read_journal(path)
