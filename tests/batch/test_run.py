from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sam2_plugins.batch import run_batch
from tests.batch.conftest import SETTINGS, MakeJob, reports

pytestmark = pytest.mark.slow


def test_a_failing_video_is_tried_again_and_does_not_stop_the_others(
    job: MakeJob, tmp_path: Path
) -> None:
    missing = replace(job("gone"), source=str(tmp_path / "gone.mp4"))
    jobs = [job("a", 4), missing, job("b", 4)]
    told = reports(list(run_batch(jobs, SETTINGS, tmp_path / "out", retries=2)))
    assert [one.state for one in told["gone"]] == ["failed"] * 3
    assert [told[name][0].state for name in "ab"] == ["done", "done"]


def test_a_second_try_may_succeed(job: MakeJob, tmp_path: Path) -> None:
    late = job("late", 4)
    hidden = Path(late.source).rename(tmp_path / "hidden.tif")
    states = []
    for event in run_batch([late, job("a", 4)], SETTINGS, tmp_path / "out"):
        told = reports([event])
        states += [(name, one.state) for name, (one,) in told.items()]
        if ("late", "failed") in states and hidden.exists():
            hidden.rename(late.source)
    assert states == [("late", "failed"), ("a", "done"), ("late", "done")]
