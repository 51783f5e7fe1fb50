from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.tracking.memory.bank import UNTIMED, Choice
from sam2_plugins.core.tracking.memory.policies import (
    get_policy,
    policies,
    policy_help,
    policy_name,
)
from sam2_plugins.core.tracking.memory.policies.dam4sam import Dam4SamPolicy
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.memory.policies.samurai import SamuraiPolicy
from tests.core.tracking.memory.scene import ABSENT, Scene, disc, memory, offer

EMPTY = np.zeros_like(disc(0, 0))


def cross_a_twin(policy: Sam2Policy) -> list[int]:
    """Candidate 0 moves right, its twin 1 moves left; when they meet, the twin looks surer."""
    scene, chosen = Scene(policy, disc(4, 20)), []
    for t in range(1, 26):
        ours, twin = disc(4 + 2 * t, 20), disc(60 - 2 * t, 30)
        ious = [0.80, 0.85] if t > 18 else [0.90, 0.60]
        chosen.append(scene.show(offer(ours, twin, EMPTY, ious=[*ious, 0.1])).index)
    return chosen


def test_crossing_a_twin_motion_keeps_to_the_object_where_the_published_rule_jumps() -> None:
    assert cross_a_twin(SamuraiPolicy()) == [0] * 25
    assert cross_a_twin(Sam2Policy()) == [0] * 18 + [1] * 7


def test_motion_has_no_say_before_the_object_was_followed_for_a_while() -> None:
    assert cross_a_twin(SamuraiPolicy(settle=40)) == cross_a_twin(Sam2Policy())


def test_motion_begins_anew_after_a_person_moved_the_object() -> None:
    scene = Scene(SamuraiPolicy(settle=0), disc(4, 20))
    for t in range(1, 10):
        scene.show(offer(disc(4 + 2 * t, 20), EMPTY, ious=[0.9, 0.1]))
    moved = offer(disc(50, 50), ious=[1.0])

    scene.bank.remember_prompted(memory(10, moved, Choice(0)))
    scene.frame = 10
    assert scene.show(offer(disc(24, 20), disc(50, 50), ious=[0.85, 0.8])).index == 1


def leave(policy: Sam2Policy) -> Scene:
    """An object is seen on frames 1 to 10, and hidden on frames 11 to 30."""
    scene = Scene(policy, disc(20, 20))
    for _ in range(10):
        scene.show(offer(disc(20, 20), EMPTY, ious=[0.9, 0.1]))
    for _ in range(20):
        scene.show(offer(EMPTY, EMPTY, ious=[0.2, 0.1], score=ABSENT))
    return scene


def test_after_an_absence_the_published_rule_attends_to_empty_frames() -> None:
    assert leave(Sam2Policy()).recalled() == [
        (6, 0),
        *zip(range(5, -1, -1), range(25, 31), strict=True),
    ]


def test_after_an_absence_motion_attends_to_the_frames_where_the_object_was() -> None:
    # The last frame always is one of them.
    assert leave(SamuraiPolicy()).recalled() == [
        (6, 0), (5, 6), (4, 7), (3, 8), (2, 9), (1, 10), (0, 30),
    ]  # fmt: skip


def test_after_an_absence_distractor_has_no_empty_frame_but_the_last_and_no_empty_pointer() -> None:
    scene = leave(Dam4SamPolicy())
    assert scene.recalled() == [(6, 0), (2, 5), (1, 10), (0, 30)]
    assert scene.pointers() == [0]


def test_frames_that_went_badly_are_left_out_by_motion() -> None:
    scene = Scene(SamuraiPolicy(), disc(20, 20))
    for t in range(1, 21):
        scene.show(offer(disc(20, 20), EMPTY, ious=[0.4 if t % 2 else 0.9, 0.1]))
    assert [frame for _, frame in scene.recalled()] == [0, 10, 12, 14, 16, 18, 20]


def meet_a_twin(policy: Dam4SamPolicy, frames: int = 30, **kwargs: float) -> Scene:
    """A twin comes into view on frame 10 and is offered as part of a second candidate."""
    scene = Scene(policy, disc(20, 20))
    for t in range(1, frames + 1):
        other = disc(20, 20) | disc(45, 20) if t >= 10 else disc(20, 20)
        scene.show(offer(disc(20, 20), other, ious=[kwargs.get("iou", 0.9), 0.5]))
    return scene


def test_moments_when_a_twin_was_told_apart_are_remembered_for_good() -> None:
    scene = meet_a_twin(Dam4SamPolicy())
    assert list(scene.bank.anchors) == [10, 16, 22, 28]
    anchors = [(slot, frame) for slot, frame in scene.recalled() if slot == UNTIMED]
    assert anchors == [(UNTIMED, 10), (UNTIMED, 16), (UNTIMED, 22), (UNTIMED, 28)]


def test_there_are_no_anchors_without_a_rival_or_when_unsure() -> None:
    assert not meet_a_twin(Dam4SamPolicy(), frames=9).bank.anchors
    assert not meet_a_twin(Dam4SamPolicy(), iou=0.7).bank.anchors


def test_a_mask_that_suddenly_grew_is_no_anchor() -> None:
    scene = Scene(Dam4SamPolicy(), disc(20, 20))
    for _ in range(10):
        scene.show(offer(disc(20, 20), disc(20, 20), ious=[0.9, 0.5]))
    scene.show(offer(disc(20, 20, 8), disc(20, 20) | disc(45, 20), ious=[0.9, 0.5]))
    assert not scene.bank.anchors


def test_anchors_are_at_most_four_and_at_most_seven_frames_are_attended_to() -> None:
    scene = meet_a_twin(Dam4SamPolicy(), frames=200)
    assert len(scene.bank.anchors) == 4
    assert len(scene.recalled()) == 7


@pytest.mark.parametrize("name", policies())
def test_a_bank_does_not_grow_with_the_movie(name: str) -> None:
    sizes = []
    for frames in (100, 400):
        bank = meet_a_twin(get_policy(name), frames=frames).bank
        maps = sum(kept.map is not None for kept in bank.tracked.values())
        sizes.append((len(bank.tracked), len(bank.anchors), maps))
    assert sizes[0] == sizes[1]


def test_an_unknown_policy_names_the_known_ones() -> None:
    with pytest.raises(TrackingError, match="choose sam2, dam4sam, samurai"):
        get_policy("tree")


def test_policies_are_found_with_a_line_of_help_and_without_torch() -> None:
    code = (
        "import sys\n"
        "from sam2_plugins.core.tracking.memory.policies import policy_help\n"
        "print(list(policy_help()), all(policy_help().values()), 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['sam2', 'dam4sam', 'samurai'] True False"


@pytest.mark.parametrize(("old", "new"), [("motion", "samurai"), ("distractor", "dam4sam")])
def test_the_names_of_earlier_versions_are_understood(old: str, new: str) -> None:
    assert policy_name(old) == new
    assert type(get_policy(old)) is policies()[new]
    assert old not in policy_help()
