from __future__ import annotations

import threading
import time

import pytest

from sam2_plugins.core.tracking.turns import Turns

CLICK, TRACK = 0, 1


def test_a_click_goes_before_the_tracks_that_wait_and_those_in_their_order():
    turns, order = Turns(), []

    def work(name: str, urgency: int) -> None:
        with turns.turn(urgency):
            order.append(name)
            time.sleep(0.02)

    threads = []
    with turns.turn(TRACK):
        for n in range(8):
            name, urgency = (f"click {n}", CLICK) if n % 4 == 3 else (f"track {n}", TRACK)
            threads.append(threading.Thread(target=work, args=(name, urgency)))
            threads[-1].start()
            while len(turns._waiting) < n + 1:
                time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    clicks = ["click 3", "click 7"]
    assert order == [*clicks, *(f"track {n}" for n in (0, 1, 2, 4, 5, 6))]


def test_a_turn_ends_with_an_error_too():
    turns = Turns()
    with pytest.raises(ValueError, match="oops"), turns.turn(TRACK):
        raise ValueError("oops")
    with turns.turn(CLICK):
        pass
