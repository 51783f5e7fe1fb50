from __future__ import annotations

import torch

from sam2_plugins.core.tracking.memory.bank import Memory, MemoryBank, as_tensors
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.windows.planner import Window


def memory(frame: int) -> Memory:
    return Memory(frame, torch.full((4, 2, 2), float(frame)), torch.zeros(8), Window(0, 0, 9, 9))


def bank(prompted: list[int], tracked: range, policy: Sam2Policy | None = None) -> MemoryBank:
    made = MemoryBank(policy or Sam2Policy())
    for frame in prompted:
        made.remember_prompted(memory(frame))
    for frame in tracked:
        made.remember_tracked(memory(frame))
    return made


def recalled(made: MemoryBank, frame: int, reverse: bool = False) -> list[tuple[int, int]]:
    return [(slot, m.frame) for slot, m in made.recall(frame, reverse).maps]


def test_prompted_frames_come_first_then_the_six_before_from_oldest_to_newest() -> None:
    made = bank([0], range(1, 20))
    assert recalled(made, 20) == [
        (6, 0),
        (5, 14),
        (4, 15),
        (3, 16),
        (2, 17),
        (1, 18),
        (0, 19),
    ]


def test_going_back_in_time_the_frames_after_are_recalled() -> None:
    made = bank([9], range(8, 4, -1))
    assert recalled(made, 4, reverse=True) == [(6, 9), (3, 8), (2, 7), (1, 6), (0, 5)]


def test_a_bank_keeps_as_much_after_a_thousand_frames_as_after_a_hundred() -> None:
    sizes = []
    for length in (100, 1000):
        made = bank([0], range(1, length))
        maps = sum(m.map is not None for m in made.tracked.values())
        sizes.append((len(made.tracked), maps))
    assert sizes[0] == sizes[1] == (16, 6)


def test_pointers_reach_back_fifteen_frames_and_to_past_prompts_only() -> None:
    made = bank([0, 30], range(1, 20))
    frames = [m.frame for _, m in made.recall(20, reverse=False).pointers]
    assert frames == [0, *range(19, 4, -1)]


def test_prompted_frames_beyond_the_limit_serve_as_ordinary_ones() -> None:
    made = bank([0, 4, 8, 9], range(10, 12), Sam2Policy(prompted=2))
    assert recalled(made, 12) == [(6, 9), (6, 8), (1, 10), (0, 11)]
    made = bank([0, 4, 8], range(9, 12), Sam2Policy(prompted=1))
    assert recalled(made, 9) == [(6, 8), (4, 4)]


def test_a_frame_does_not_recall_itself() -> None:
    assert recalled(bank([3], range(4, 6)), 3) == []


def test_recalls_are_stacked_in_their_order() -> None:
    made = bank([0], range(1, 4))
    memories = as_tensors([made.recall(4, reverse=False)] * 2, span=15)
    assert memories.maps.shape == (2, 4, 4, 2, 2)
    assert memories.maps[1, :, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert memories.slots.tolist() == [[6, 2, 1, 0]] * 2
    assert memories.distances.tolist() == [[4, 1, 2, 3]] * 2
