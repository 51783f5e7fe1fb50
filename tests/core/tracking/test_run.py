"""A run that is cut off anywhere goes on to exactly the masks of one that was not."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.masks import Masklet, ObjectId
from sam2_plugins.core.masks.journal import read_journal
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking import run as run_module
from sam2_plugins.core.tracking.memory.memory_file import save_memory, unpack
from sam2_plugins.core.tracking.memory.policies import policies
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.run import TrackJournal, make_room, run
from sam2_plugins.core.tracking.tracker import VideoTracker
from tests.support.movies import disc

pytestmark = pytest.mark.slow


FRAMES, SIZE = 20, 200


@pytest.fixture(scope="module")
def movie() -> np.ndarray:
    """Three cells that move; two of them pass close to one another."""
    rng = np.random.default_rng(3)
    frames = []
    for t in range(FRAMES):
        image = rng.normal(40, 5, (SIZE, SIZE))
        for x, y, radius in ((30 + 5 * t, 60, 12), (150 - 4 * t, 86, 13), (100, 160, 14)):
            image[disc(image.shape, (x, y), radius)] += 90
        frames.append(image.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def tracker_of(nano: Sam2Model, movie: np.ndarray, options: TrackingOptions) -> VideoTracker:
    tracker = options.tracker(movie, nano)
    tracker.add_prompt(0, "a", points=[(30, 60)])
    tracker.add_prompt(0, 2, box=(136, 72, 164, 100))
    tracker.add_prompt(8, "c", points=[(100, 160)])
    return tracker


def cut_off(
    tracker: VideoTracker, options: TrackingOptions, journal: Path, after: int, kill: bool = False
) -> None:
    """Stop a run; a kill does not let it save anything on its way out."""
    kept = TrackJournal(journal)
    if kill:
        save, kept.save = kept.save, lambda _: None  # type: ignore[method-assign]
        del save
    with closing(run(tracker, options, [kept])) as results:
        for _ in range(after):
            next(results)


def finished(tracker: VideoTracker, options: TrackingOptions, journal: Path) -> int:
    return sum(bool(result.computed) for result in run(tracker, options, [TrackJournal(journal)]))


def masks(tracker: VideoTracker) -> dict[ObjectId, Masklet]:
    return tracker.masklets()


@pytest.mark.parametrize(
    ("memory", "direction"), [*((name, "forward") for name in policies()), ("sam2", "both")]
)
def test_a_run_that_was_cut_off_equals_one_that_was_not(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path, memory: str, direction: str
) -> None:
    options = TrackingOptions(memory=memory, direction=direction)  # type: ignore[arg-type]
    whole = tracker_of(nano, movie, options)
    for _ in options.propagate(whole):
        pass
    journal = tmp_path / "masks.jsonl"
    total = whole.count_steps(options.direction)
    assert total is not None
    for stop in (5, 9):
        cut_off(tracker_of(nano, movie, options), options, journal, stop)

    last = tracker_of(nano, movie, options)
    computed = finished(last, options, journal)

    assert masks(last) == masks(whole)
    assert computed <= total - 9


def test_a_killed_run_tracks_again_what_was_not_remembered_to_the_same_masks(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    options = TrackingOptions()
    whole = tracker_of(nano, movie, options)
    for _ in options.propagate(whole):
        pass
    journal = tmp_path / "masks.jsonl"
    cut_off(tracker_of(nano, movie, options), options, journal, 6)
    cut_off(tracker_of(nano, movie, options), options, journal, 9, kill=True)

    last = tracker_of(nano, movie, options)
    computed = finished(last, options, journal)

    assert masks(last) == masks(whole)
    assert computed >= FRAMES - 7


def test_slow_frames_are_remembered_after_half_a_minute(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, options, journal = [0.0], TrackingOptions(stop=8), tmp_path / "masks.jsonl"
    monkeypatch.setattr(run_module, "monotonic", lambda: clock[0])
    killed = tmp_path / "killed"
    kept = TrackJournal(journal)
    with closing(run(tracker_of(nano, movie, options), options, [kept])) as results:
        for _ in range(5):
            next(results)
            clock[0] += 20
        shutil.copytree(tmp_path, killed)  # which is what a kill would leave

    assert finished(tracker_of(nano, movie, options), options, killed / journal.name) == 4


def test_a_run_that_is_complete_computes_nothing(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    options, journal = TrackingOptions(stop=6), tmp_path / "masks.jsonl"
    assert finished(tracker_of(nano, movie, options), options, journal) > 0
    assert finished(tracker_of(nano, movie, options), options, journal) == 0


def test_memories_of_other_prompts_are_not_used(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    options, journal = TrackingOptions(stop=6), tmp_path / "masks.jsonl"
    cut_off(tracker_of(nano, movie, options), options, journal, 5)
    wanted, corrected = (tracker_of(nano, movie, options) for _ in range(2))
    for tracker in (wanted, corrected):
        tracker.add_prompt(0, "a", points=[(33, 63)])
    for _ in options.propagate(wanted):
        pass
    finished(corrected, options, journal)
    assert masks(corrected) == masks(wanted)


def test_a_journal_of_another_movie_is_begun_anew(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    options, journal = TrackingOptions(stop=6), tmp_path / "masks.jsonl"
    cut_off(tracker_of(nano, movie, options), options, journal, 5)
    other = movie[::-1].copy()
    whole, last = (tracker_of(nano, other, options) for _ in range(2))
    for _ in options.propagate(whole):
        pass
    assert finished(last, options, journal) == 6
    assert masks(last) == masks(whole)
    assert read_journal(journal).masklet("a") == masks(whole)["a"]


def test_a_journal_of_another_memory_is_begun_anew(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    options, journal = TrackingOptions(stop=6), tmp_path / "masks.jsonl"
    cut_off(tracker_of(nano, movie, options), options, journal, 5)
    options = replace(options, memory="samurai")
    assert finished(tracker_of(nano, movie, options), options, journal) == 6


def test_a_journal_of_an_earlier_version_is_gone_on_with(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    options, journal = TrackingOptions(stop=6), tmp_path / "masks.jsonl"
    tracker = tracker_of(nano, movie, options)
    cut_off(tracker, options, journal, 5)
    save_memory(journal.with_suffix(".memory"), tracker.tracked())
    assert finished(tracker_of(nano, movie, options), options, journal) == 2


@pytest.mark.parametrize("damage", [b"", b"not a file of memories", None])
def test_a_damaged_memory_costs_time_and_no_mask(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path, damage: bytes | None
) -> None:
    options, journal = TrackingOptions(stop=6), tmp_path / "masks.jsonl"
    cut_off(tracker_of(nano, movie, options), options, journal, 5)
    memory = TrackJournal(journal).memory_path
    if damage is None:
        memory.unlink()
    else:
        memory.write_bytes(damage)
    whole, last = (tracker_of(nano, movie, options) for _ in range(2))
    for _ in options.propagate(whole):
        pass
    finished(last, options, journal)
    assert masks(last) == masks(whole)


def test_objects_in_journals_of_their_own_go_on_as_in_one(
    nano: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    options = TrackingOptions()
    whole = tracker_of(nano, movie, options)
    for _ in options.propagate(whole):
        pass

    def journals() -> list[TrackJournal]:
        return [TrackJournal(tmp_path / f"{o}.jsonl", [o]) for o in ("a", 2, "c")]

    with closing(run(tracker_of(nano, movie, options), options, journals())) as results:
        for _ in range(8):
            next(results)
    last = tracker_of(nano, movie, options)
    assert sum(bool(r.computed) for r in run(last, options, journals())) < FRAMES - 6
    assert masks(last) == masks(whole)


def test_the_journals_that_were_not_used_the_longest_make_room(tmp_path: Path) -> None:
    for age, name in enumerate(("in use", "new", "old", "oldest")):
        for suffix in (".jsonl", ".memory"):
            path = (tmp_path / name).with_suffix(suffix)
            path.write_bytes(bytes(50))
            os.utime(path, (1000 - age, 1000 - age))
    make_room(tmp_path, 250, {tmp_path / "in use.jsonl"})
    assert {path.stem for path in tmp_path.iterdir()} == {"in use", "new"}


def test_memories_of_an_earlier_version_are_read() -> None:
    tracking = "sam2_plugins.core.tracking"
    values = {"output": None, "mask": None, "side": 64, "guess": None, "unmet": {"tuple": []}}
    answer = {"class": f"{tracking}.query:Answer", "values": values}
    frame = {"prompts": [], "answer": answer, "conditioned": True}
    read = unpack({"class": f"{tracking}.tracked_object:PromptedFrame", "values": frame})
    assert (read.prediction.side, read.conditioned) == (64, True)
