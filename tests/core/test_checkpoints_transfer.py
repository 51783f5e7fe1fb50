from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam2_plugins.core.checkpoints import transfer
from sam2_plugins.core.checkpoints.transfer import TransferError, fetch
from tests.core.weight_server import Fault, WeightServer, serving

BODY = random.Random(0).randbytes(1_000_000)
OTHER = random.Random(1).randbytes(1_000_000)
QUICK = (0.0, 0.0, 0.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(WeightServer(BODY)) as server:
        yield server


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "weights.pt.part"


def leave_a_part(server: WeightServer, part: Path, size: int) -> None:
    server.faults = [Fault(cut=size)]
    with pytest.raises(TransferError):
        fetch(server.url, part, waits=())
    assert part.stat().st_size == size
    server.requests.clear()


def test_the_bytes_arrive_and_progress_ends_at_the_total(server: WeightServer, part: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(server.url, part, lambda done, total: seen.append((done, total)))
    assert part.read_bytes() == BODY
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_truncated_body_is_resumed_where_it_broke(server: WeightServer, part: Path) -> None:
    server.faults = [Fault(cut=400_000)]
    fetch(server.url, part, waits=QUICK)
    assert part.read_bytes() == BODY
    assert server.ranges == [None, "bytes=400000-"]


def test_a_later_call_goes_on_where_an_earlier_one_stopped(
    server: WeightServer, part: Path
) -> None:
    leave_a_part(server, part, 300_000)
    seen: list[int] = []
    fetch(server.url, part, lambda done, _: seen.append(done))
    assert part.read_bytes() == BODY
    assert server.ranges == ["bytes=300000-"]
    assert seen[0] > 300_000


def test_a_server_that_ignores_range_sends_it_all_again(server: WeightServer, part: Path) -> None:
    server.faults = [Fault(cut=400_000), Fault(ignores_range=True)]
    fetch(server.url, part, waits=QUICK)
    assert part.read_bytes() == BODY


def test_a_file_that_changed_on_the_server_is_not_glued_to_the_old_part(
    server: WeightServer, part: Path
) -> None:
    leave_a_part(server, part, 300_000)
    server.body, server.etag = OTHER, '"v2"'
    fetch(server.url, part)
    assert part.read_bytes() == OTHER
    assert len(server.requests) == 1


def test_a_changed_file_is_not_glued_though_the_server_ignores_if_range(
    server: WeightServer, part: Path
) -> None:
    leave_a_part(server, part, 300_000)
    server.body, server.etag, server.always = OTHER, '"v2"', Fault(ignores_if_range=True)
    fetch(server.url, part)
    assert part.read_bytes() == OTHER


def test_a_part_of_another_url_is_not_resumed(server: WeightServer, part: Path) -> None:
    leave_a_part(server, part, 300_000)
    fetch(server.url + "/elsewhere", part)
    assert server.ranges == [None]
    assert part.read_bytes() == BODY


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_version_it_starts_over(
    server: WeightServer, part: Path, etag: str | None
) -> None:
    server.etag = etag
    leave_a_part(server, part, 300_000)
    fetch(server.url, part)
    assert server.ranges == [None]
    assert part.read_bytes() == BODY


def test_a_part_that_is_whole_already_is_kept(server: WeightServer, part: Path) -> None:
    fetch(server.url, part)
    server.requests.clear()
    fetch(server.url, part)
    assert server.ranges == [f"bytes={len(BODY)}-"]
    assert part.read_bytes() == BODY


def test_a_part_longer_than_the_file_is_fetched_anew(server: WeightServer, part: Path) -> None:
    leave_a_part(server, part, 300_000)
    with part.open("ab") as file:
        file.write(bytes(len(BODY)))
    fetch(server.url, part)
    assert part.read_bytes() == BODY


def test_a_body_of_unknown_length_is_taken(server: WeightServer, part: Path) -> None:
    server.always = Fault(chunked=True)
    totals: set[int | None] = set()
    fetch(server.url, part, lambda _, total: totals.add(total))
    assert part.read_bytes() == BODY
    assert totals == {None}


def test_a_broken_body_of_unknown_length_is_noticed(server: WeightServer, part: Path) -> None:
    server.faults = [Fault(chunked=True, cut=500_000)]
    fetch(server.url, part, waits=QUICK)
    assert part.read_bytes() == BODY
    assert len(server.requests) == 2


def test_transient_answers_are_retried(server: WeightServer, part: Path) -> None:
    server.faults = [Fault(status=503), Fault(status=500), Fault(status=429)]
    fetch(server.url, part, waits=QUICK)
    assert part.read_bytes() == BODY


def test_a_server_that_stays_broken_is_given_up_with_its_answer(
    server: WeightServer, part: Path
) -> None:
    server.always = Fault(status=500)
    with pytest.raises(TransferError, match="500 Internal Server Error"):
        fetch(server.url, part, waits=QUICK)
    assert len(server.requests) == 1 + len(QUICK)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_retried(server: WeightServer, part: Path, status: int) -> None:
    server.always = Fault(status=status)
    with pytest.raises(TransferError, match=str(status)):
        fetch(server.url, part, waits=QUICK)
    assert len(server.requests) == 1


def test_retries_count_anew_after_each_gain(server: WeightServer, part: Path) -> None:
    server.faults = [Fault(cut=100_000)] * 6
    fetch(server.url, part, waits=(0.0,))
    assert part.read_bytes() == BODY
    assert len(server.requests) == 7


def test_a_body_always_cut_at_the_same_place_is_given_up(server: WeightServer, part: Path) -> None:
    server.always = Fault(cut=400_000, ignores_range=True)
    with pytest.raises(TransferError, match="400,000 of 1,000,000 bytes"):
        fetch(server.url, part, waits=QUICK)
    assert part.stat().st_size == 400_000


def test_a_server_that_falls_silent_is_asked_again(
    server: WeightServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_TIMEOUT", 0.3)
    server.faults = [Fault(cut=600_000, hold=True)]
    fetch(server.url, part, waits=QUICK)
    assert part.read_bytes() == BODY
    assert len(server.requests) == 2


def test_what_progress_raises_stops_it_and_what_came_stays(
    server: WeightServer, part: Path
) -> None:
    def cancel(done: int, _: int | None) -> None:
        if done > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.url, part, cancel)
    held = part.stat().st_size
    assert 300_000 < held < len(BODY)
    fetch(server.url, part)
    assert server.ranges == [None, f"bytes={held}-"]
    assert part.read_bytes() == BODY
