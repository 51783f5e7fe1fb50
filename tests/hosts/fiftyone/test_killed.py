"""A process that is killed in mid-run: what it wrote stays, and the same again goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np

from sam2_plugins.fiftyone_plugin import propagate
from sam2_plugins.fiftyone_plugin.demo import encode
from tests.hosts.fiftyone.conftest import label, picture

LONG = 240
WORK = """
import sys, torch
torch.set_num_threads(1)
import fiftyone as fo
from sam2_plugins.fiftyone_plugin import propagate
propagate(fo.load_dataset(sys.argv[1]), "seed", device="cpu")
"""


def test_after_a_kill_the_same_again_goes_on_from_there(dataset: Any, tmp_path: Path) -> None:
    there_and_back = np.abs((np.arange(LONG) + 23) % 46 - 23)
    path = encode((picture(int(at)) for at in there_and_back), tmp_path / "long.mp4", 12)
    sample = fo.Sample(str(path))
    sample.frames[1] = fo.Frame(seed=fo.Detections(detections=[label(1, 1), label(2, 1)]))
    dataset.add_sample(sample)
    work = subprocess.Popen([sys.executable, "-c", WORK, dataset.name])
    deadline = time.monotonic() + 300
    written = 0
    while written < 4:
        assert work.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.2)
        dataset.reload()
        written = dataset.count("frames.sam2.detections") if "sam2" in _fields(dataset) else 0
    work.kill()
    work.wait()
    dataset.reload()
    kept = {n for n, frame in dataset.first().frames.items() if frame["sam2"]}
    assert 0 < len(kept) < LONG
    (report,) = propagate(dataset, "seed", device="cpu").movies
    assert (report.state, report.frames) == ("done", LONG)
    assert report.computed == LONG - len(kept)
    dataset.reload()
    assert dataset.count("frames.sam2.detections") == 2 * LONG


def _fields(dataset: Any) -> Any:
    return dataset.get_frame_field_schema()
