"""A real Dask cluster of several processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from sam2_plugins.batch import Progress, connect, run_batch
from tests.batch.conftest import SETTINGS, MakeJob, reports

pytestmark = pytest.mark.slow


@pytest.fixture
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            resources={"VIDEO": 1},
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_videos_are_shared_out_and_each_worker_keeps_its_model(
    job: MakeJob, tmp_path: Path, client: Client
) -> None:
    missing = replace(job("gone"), source=str(tmp_path / "gone.mp4"))
    jobs = [missing, *(job(f"m{n}", 10) for n in range(3))]
    events = list(
        run_batch(jobs, SETTINGS, tmp_path / "out", client=client, resources={"VIDEO": 1})
    )
    told = reports(events)
    assert [one.state for one in told["gone"]] == ["failed", "failed"]
    assert [told[f"m{n}"][0].state for n in range(3)] == ["done"] * 3
    assert {e.name for e in events if isinstance(e, Progress)} == {"m0", "m1", "m2"}
    assert (tmp_path / "out/m2/labels.tif").is_file()


def test_a_killed_workers_video_is_taken_up_by_another_where_it_stopped(
    job: MakeJob, tmp_path: Path, client: Client
) -> None:
    def tracking() -> dict[str, int]:
        """Process of the worker of each task."""
        pids = client.run(os.getpid)
        busy = client.processing()
        return {key: pids[worker] for worker, keys in busy.items() for key in keys}

    killed = None
    jobs = [job("long", 120), job("short", 10)]
    told = []
    for event in run_batch(jobs, SETTINGS, tmp_path / "out", client=client, retries=0):
        told.append(event)
        far = isinstance(event, Progress) and event.name == "long" and event.done >= 40
        if far and killed is None:
            killed = next(pid for key, pid in tracking().items() if key.startswith("long"))
            os.kill(killed, signal.SIGKILL)
    assert killed is not None
    (report,) = reports(told)["long"]
    assert (report.state, report.frames) == ("done", 120)
    assert report.computed <= 120 - 25


def test_a_closed_run_stops_its_workers_and_keeps_what_they_did(
    job: MakeJob, tmp_path: Path, client: Client
) -> None:
    jobs = [job("long", 120)]
    events = run_batch(jobs, SETTINGS, tmp_path / "out", client=client)
    next(event for event in events if isinstance(event, Progress) and event.done >= 10)
    events.close()
    assert not any(client.processing().values()), "no worker is at it any more"
    (report,) = reports(list(run_batch(jobs, SETTINGS, tmp_path / "out")))["long"]
    assert report.state == "done"
    assert report.computed <= 120 - 10


def test_a_cluster_that_the_command_started_is_stopped_in_the_same_way(
    job: MakeJob, tmp_path: Path
) -> None:
    jobs = [job("long", 120)]
    with connect(workers=2) as client:  # as nobody's default client
        events = run_batch(jobs, SETTINGS, tmp_path / "out", client=client)
        next(event for event in events if isinstance(event, Progress))
        events.close()
        assert client is not None
        assert not any(client.processing().values())


def test_a_script_that_starts_workers_whenever_it_is_imported_is_told_the_mend(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text("from sam2_plugins.batch import connect\nwith connect(workers=2): pass\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Sam2PluginsError: The workers did not start" in done.stderr
    assert 'below `if __name__ == "__main__":`' in done.stderr
