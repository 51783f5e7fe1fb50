"""A lineage that is cut off anywhere goes on to exactly what one gives that was not.

The movie has all that can happen: a newcomer on frame 2, a division on frame 4, an end on frame 6.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.lineage import LineageFrame, LineageJournal, LineageTracker, run_all
from sam2_plugins.core.masks.journal import read_journal
from sam2_plugins.core.tracking import run as run_module
from tests.core.lineage.scenes import Labels, dividing, lineage_of, scene

FRAMES = 11
THIRD = (12, 108, 9)


def eventful() -> list[Labels]:
    labels = []
    for frame, halves in enumerate(dividing(before=4, after=FRAMES - 4)):
        there = 2 <= frame <= 6
        third = (scene([THIRD]) > 0) * np.uint8(7 if there else 0)
        labels.append(np.maximum(halves, third))
    return labels


def lineage() -> LineageTracker:
    shown = [np.maximum(one, scene([THIRD])) for one in dividing(before=4, after=FRAMES - 4)]
    return lineage_of(eventful(), shown)


@pytest.fixture(scope="module")
def whole() -> tuple[list[LineageFrame], LineageTracker]:
    made = lineage()
    return list(run_all(made)), made


class Killed(BaseException):
    """Ends a process in which nothing is saved any more."""


def kill_amid(frame: int, journal: Path) -> None:
    cut = lineage()
    propose = cut.propose

    def dying(now: int):  # type: ignore[no-untyped-def]
        if now == frame:
            raise Killed
        return propose(now)

    cut.propose = dying
    with pytest.raises(Killed):
        list(run_all(cut, journal=LineageJournal(journal)))


def gone_on(journal: Path) -> tuple[list[LineageFrame], LineageTracker, int]:
    """Frames, what they came from, and how many were computed."""
    made, kept = lineage(), LineageJournal(journal)
    computed, frames = 0, []
    for frame in run_all(made, journal=kept):
        frames.append(frame)
        computed += kept.wrote
    return frames, made, computed


def test_all_that_can_happen_happens(whole: tuple[list[LineageFrame], LineageTracker]) -> None:
    kinds = [(event.kind, event.frame) for event in whole[1].events]
    assert sorted(kinds) == [("born", 0), ("born", 0), ("born", 2), ("divided", 4), ("ended", 6)]


@pytest.mark.parametrize(
    "frame", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4, 6, 8, 10))]
)
def test_a_run_that_is_killed_amid_any_frame_goes_on_to_the_same_lineage(
    whole: tuple[list[LineageFrame], LineageTracker],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    frame: int,
) -> None:
    monkeypatch.setattr(run_module, "BLOCK", 2)
    kill_amid(frame, tmp_path / "masks.jsonl")
    frames, made, computed = gone_on(tmp_path / "masks.jsonl")
    assert frames == whole[0]
    assert (made.events, made.parents) == (whole[1].events, whole[1].parents)
    assert made.tracker.masklets() == whole[1].tracker.masklets()
    assert computed <= FRAMES - max(0, frame - 3)


@pytest.mark.slow
def test_a_run_that_is_stopped_again_and_again_goes_on_to_the_same_lineage(
    whole: tuple[list[LineageFrame], LineageTracker], tmp_path: Path
) -> None:
    for stop in (2, 5, 6, 10):
        with closing(run_all(lineage(), journal=LineageJournal(tmp_path / "m.jsonl"))) as results:
            for _ in range(stop):
                next(results)
    frames, _, computed = gone_on(tmp_path / "m.jsonl")
    assert frames == whole[0]
    assert computed == FRAMES - 10


def test_a_finished_run_is_read_without_tracking(
    whole: tuple[list[LineageFrame], LineageTracker], tmp_path: Path
) -> None:
    gone_on(tmp_path / "m.jsonl")
    frames, made, computed = gone_on(tmp_path / "m.jsonl")
    assert (frames, computed) == (whole[0], 0)
    assert made.tracker.frames_encoded == 0


@pytest.mark.slow
def test_a_run_of_other_frames_or_other_prompts_begins_anew(tmp_path: Path) -> None:
    journal = tmp_path / "m.jsonl"
    list(run_all(lineage(), stop=5, journal=LineageJournal(journal)))
    shorter = list(run_all(lineage(), stop=4, journal=LineageJournal(journal)))
    assert shorter == list(run_all(lineage(), stop=4))
    prompted = lineage()
    prompted.tracker.add_prompt(0, "mine", mask=eventful()[0] == 1)
    first = next(run_all(prompted, stop=4, journal=LineageJournal(journal)))
    assert "mine" in first.masks
    assert shorter == list(run_all(lineage(), stop=4, journal=LineageJournal(journal)))


@pytest.mark.slow
def test_a_damaged_memory_costs_time_and_no_work(
    whole: tuple[list[LineageFrame], LineageTracker], tmp_path: Path
) -> None:
    gone_on(tmp_path / "m.jsonl")
    LineageJournal(tmp_path / "m.jsonl").memory_path.write_bytes(b"torn")
    frames, _, computed = gone_on(tmp_path / "m.jsonl")
    assert (frames, computed) == (whole[0], FRAMES)


@pytest.mark.slow
def test_damaged_masks_begin_anew(
    whole: tuple[list[LineageFrame], LineageTracker], tmp_path: Path
) -> None:
    journal = tmp_path / "m.jsonl"
    with closing(run_all(lineage(), journal=LineageJournal(journal))) as results:
        for _ in range(6):
            next(results)
    content = bytearray(journal.read_bytes())
    content[content.rindex(b'"masks"')] = 0
    journal.write_bytes(content)
    frames, made, computed = gone_on(journal)
    assert (frames, computed) == (whole[0], FRAMES)
    assert made.tracker.masklets() == whole[1].tracker.masklets()


def take_back(lineage: LineageTracker) -> None:
    lineage.take_back(next(event for event in lineage.events if event.kind == "divided"))


def correct(lineage: LineageTracker) -> None:
    lineage.tracker.add_prompt(3, 1, mask=eventful()[0] == 3)


@pytest.mark.parametrize("act", [take_back, correct])
@pytest.mark.parametrize("stop", [5, pytest.param(7, marks=pytest.mark.slow)])
def test_what_a_person_did_on_the_way_holds_when_the_run_goes_on_later(
    tmp_path: Path, act: Callable[[LineageTracker], None], stop: int
) -> None:
    def run_with_act(journal: Path, stop: int | None) -> list[LineageFrame]:
        made = lineage()
        frames: list[LineageFrame] = []
        with closing(run_all(made, journal=LineageJournal(journal))) as results:
            for frame in islice(results, stop):
                frames.append(frame)
                if len(frames) == 5:
                    act(made)
        return frames

    whole = run_with_act(tmp_path / "whole.jsonl", None)
    run_with_act(tmp_path / "m.jsonl", stop)
    frames, _, _ = gone_on(tmp_path / "m.jsonl")
    assert frames == whole
    assert [frame.frame for frame in whole] != list(range(FRAMES))
    kept = read_journal(tmp_path / "m.jsonl")
    for frame in {frame.frame: frame for frame in frames}.values():
        on_disk = kept.on_frame(frame.frame)
        assert {obj: mask for obj, mask in on_disk.items() if mask.visible} == frame.masks
