from __future__ import annotations

import numpy as np

from sam2_plugins.core.tracking.recent import MEGABYTES, MOST, Recent


def made(recent: Recent[np.ndarray], key: int, size: int = 1) -> bool:
    """Whether an array had to be made."""
    asked = []

    def make() -> np.ndarray:
        asked.append(key)
        return np.zeros(size, np.uint8)

    recent.get(key, make)
    return bool(asked)


def test_what_was_used_last_is_kept() -> None:
    recent: Recent[np.ndarray] = Recent()
    assert all(made(recent, key) for key in range(MOST))
    assert not made(recent, 0)
    assert made(recent, MOST) and len(recent) == MOST
    assert not made(recent, 0) and made(recent, 1)


def test_of_large_arrays_two_are_kept() -> None:
    recent: Recent[np.ndarray] = Recent()
    half = int(MEGABYTES * 0.6e6)
    assert all(made(recent, key, half) for key in range(3))
    assert len(recent) == 2
    assert not made(recent, 1, half) and not made(recent, 2, half)
