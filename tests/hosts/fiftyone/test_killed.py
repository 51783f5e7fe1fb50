"""A process that is killed in mid-run: the same again gives what one run would have given."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from sam2_plugins.core.checkpoints import cache_dir
from sam2_plugins.core.frames import encode_video
from sam2_plugins.fiftyone_plugin import propagate
from tests.hosts.fiftyone.conftest import label, masks, picture

LONG = 60
WORK = """
import sys, torch
torch.set_num_threads(1)
import fiftyone as fo
from sam2_plugins.fiftyone_plugin import propagate

how = eval(sys.argv[2])
propagate(fo.load_dataset(sys.argv[1]), output_field="killed", device="cpu", **how)
"""


@pytest.fixture
def long(dataset: Any, tmp_path: Path) -> Any:
    """Two discs that come back, one prompted at the beginning and one later on."""
    there_and_back = np.abs((np.arange(LONG) + 23) % 46 - 23)
    path = encode_video(tmp_path / "long.mp4", (picture(int(at)) for at in there_and_back), 12)
    sample = fo.Sample(str(path))
    for number, frame in ((1, 1), (2, 21)):
        box = label(number, int(there_and_back[frame - 1]) + 1, "box")
        sample.frames[frame] = fo.Frame(seed=fo.Detections(detections=[box]))
    dataset.add_sample(sample)
    return dataset


def journals(dataset: Any) -> list[Path]:
    return list((cache_dir() / "fiftyone" / str(dataset._doc.id)).glob("*"))


def kill_at(dataset: Any, frames: int, how: dict[str, Any]) -> None:
    """Begin a run in a process of its own, and kill it when its journal has so many frames more."""

    def written() -> int:
        return sum(
            one.read_bytes().count(b"\n") for one in journals(dataset) if one.suffix == ".jsonl"
        )

    work = subprocess.Popen([sys.executable, "-c", WORK, dataset.name, repr(how)])
    deadline, wanted = time.monotonic() + 300, written() + frames
    while written() < wanted:
        assert work.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    work.kill()
    work.wait()


@pytest.mark.parametrize(
    ("how", "frames", "kills"),
    [
        ({"prompt_fields": "seed", "direction": "both"}, LONG, 2),
        ({"all_objects": True, "last": 32}, 32, 1),
    ],
)
def test_a_run_that_was_killed_equals_one_that_was_not(
    long: Any, how: dict[str, Any], frames: int, kills: int
) -> None:
    propagate(long, output_field="whole", device="cpu", **how)
    for _ in range(kills):
        kill_at(long, 27, how)
    long.reload()
    (report,) = propagate(long, output_field="killed", device="cpu", **how).movies
    assert (report.state, report.frames) == ("done", frames)
    long.reload()
    whole, killed = masks(long, "whole"), masks(long, "killed")
    assert killed.keys() == whole.keys()
    for number, found in whole.items():
        assert killed[number].keys() == found.keys()
        assert all((killed[number][index] == found[index]).all() for index in found)
    assert not journals(long)
