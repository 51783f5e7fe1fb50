"""What objects do over time: stay themselves, move, divide, vanish, hide and return."""

from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.training.synthetic import KINDS

from .clips import clip_of, frames_of


@pytest.mark.parametrize("kind", ["phase", "dic"])
def test_a_mothers_label_ends_where_her_daughters_begin(kind: str) -> None:
    divisions = 0
    for seed in range(12):
        clip = clip_of(seed, kind)
        for daughter, mother in clip.parents.items():
            before, after = frames_of(clip.labels, mother), frames_of(clip.labels, daughter)
            if before and after:
                assert max(before) < min(after)
                divisions += 1
    assert divisions >= 4


def test_daughters_begin_where_their_mother_was() -> None:
    shared = []
    for seed in range(12):
        clip = clip_of(seed, "dic")
        for mother in set(clip.parents.values()):
            before = frames_of(clip.labels, mother)
            if not before or max(before) == len(clip.labels) - 1:
                continue
            daughters = [d for d, m in clip.parents.items() if m == mother]
            old = clip.labels[max(before)] == mother
            new = np.isin(clip.labels[max(before) + 1], daughters)
            if old.sum() > 30 and new.any():
                shared.append((old & new).sum() / new.sum())
    assert len(shared) >= 3
    assert np.median(shared) > 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_most_objects_keep_their_place_from_one_frame_to_the_next(kind: str) -> None:
    overlaps = []
    for seed in range(14):
        labels = clip_of(seed, kind, 64, frames=2).labels
        for label in np.unique(labels[0])[1:]:
            first, second = labels[0] == label, labels[1] == label
            if first.sum() > 30 and second.any():
                overlaps.append((first & second).sum() / (first | second).sum())
    assert np.median(overlaps) > 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_objects_move_or_change_their_outline(kind: str) -> None:
    labels = clip_of(2, kind).labels
    assert not np.array_equal(labels[0], labels[-1])


def test_some_objects_vanish_and_some_return() -> None:
    vanished = returned = 0
    for kind in KINDS:
        for seed in range(8):
            clip = clip_of(seed, kind)
            mothers = set(clip.parents.values())
            for label in np.unique(clip.labels[0])[1:]:
                seen = frames_of(clip.labels, int(label))
                vanished += seen[-1] < 7 and label not in mothers
                returned += len(seen) < seen[-1] + 1
    assert vanished >= 5
    assert returned >= 3


def test_rods_of_a_microcolony_lie_side_by_side() -> None:
    touching = 0
    for seed in range(12):
        labels = clip_of(seed, "microcolony").labels[0]
        beside = np.stack([labels[:, :-3], labels[:, 3:]])
        touching += bool(((beside > 0).all(0) & (beside[0] != beside[1])).any())
    assert touching >= 6


def test_rods_of_a_microcolony_divide() -> None:
    assert sum(bool(clip_of(seed, "microcolony").parents) for seed in range(12)) >= 4
