from __future__ import annotations

import threading
import time

import pytest

from sam2_plugins.labelstudio_backend.tracking import CLICK, TRACK, Lane


def test_a_click_goes_before_the_tracks_that_wait_and_those_in_their_order():
    lane, order = Lane(), []

    def work(name: str, urgency: int) -> None:
        with lane.turn(urgency):
            order.append(name)
            time.sleep(0.02)

    threads = []
    with lane.turn(TRACK):
        for n in range(8):
            name, urgency = (f"click {n}", CLICK) if n % 4 == 3 else (f"track {n}", TRACK)
            threads.append(threading.Thread(target=work, args=(name, urgency)))
            threads[-1].start()
            while len(lane._waiting) < n + 1:
                time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    clicks = ["click 3", "click 7"]
    assert order == [*clicks, *(f"track {n}" for n in (0, 1, 2, 4, 5, 6))]


def test_a_turn_ends_with_an_error_too():
    lane = Lane()
    with pytest.raises(ValueError, match="oops"), lane.turn(TRACK):
        raise ValueError("oops")
    with lane.turn(CLICK):
        pass
