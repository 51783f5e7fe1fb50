"""Real movies through the operator: the masks are the core's, where the prompts were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from sam2_plugins.core.datasets import load_dataset
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.fiftyone_plugin.documents import plain
from sam2_plugins.fiftyone_plugin.labels import detection_mask, detection_values
from tests.hosts.fiftyone.conftest import Execute

FRAMES = 4


def detections(masks: dict[int, ObjectMask]) -> Any:
    labels = [
        fo.Detection(label="object", index=obj, **detection_values(mask))
        for obj, mask in masks.items()
    ]
    return fo.Detections(detections=labels)


def core_masks(
    frames: Any, prompted: int, masks: dict[int, ObjectMask], last: int
) -> dict[tuple[int, int], ObjectMask]:
    from sam2_plugins.core import load_model

    tracker = VideoTracker(load_model("nano"), frames)
    for obj, mask in masks.items():
        tracker.add_prompt(prompted, obj, mask=mask)
    results = tracker.propagate("both", 0, last)
    return {(r.frame, int(obj)): mask for r in results for obj, mask in r.masks.items()}


@pytest.mark.parametrize("name", ["ctc_fluo_sim_01", "ecoli_phase_trpL"])
def test_a_time_lapse_of_images_gets_the_cores_masks(
    dataset: Any, execute: Execute, shared_data: Path, name: str
) -> None:
    real = load_dataset(shared_data / name)
    paths = sorted(Path(real.frames).iterdir())[:FRAMES]
    chosen = {int(obj): real.masks(0)[obj] for obj in list(real.first_frames)[:3]}
    for number, path in enumerate(paths):
        sample = fo.Sample(str(path), movie=name, frame=number)
        if number == 0:
            sample["seed"] = detections(chosen)
        dataset.add_sample(sample)
    movies = dataset.group_by("movie", order_by="frame")
    execute("propagate_masks", movies, prompt_fields=["seed"], direction="both")
    dataset.reload()
    wanted = core_masks(list(map(str, paths)), 0, chosen, FRAMES - 1)
    found = {
        (number, one.index): detection_mask(plain(one), real.masks(0)[one.index].frame_size)
        for number, sample in enumerate(dataset.sort_by("frame"))
        for one in sample.sam2.detections
    }
    assert len(found) == FRAMES * len(chosen)
    assert found == {key: mask for key, mask in wanted.items() if mask.visible}


def test_a_prompt_on_frame_5_of_a_real_video_lands_on_frame_5(
    dataset: Any, execute: Execute, shared_data: Path
) -> None:
    folder = shared_data / "davis17_dogs-jump"
    chosen = {int(obj): mask for obj, mask in load_dataset(folder).masks(4).items()}
    sample = fo.Sample(str(folder / "video.mp4"))
    sample.frames[5] = fo.Frame(seed=detections(chosen))
    dataset.add_sample(sample)
    execute("propagate_masks", dataset, prompt_fields=["seed"], direction="both", last=8)
    dataset.reload()
    frames = dataset.first().frames
    assert sorted(number for number, frame in frames.items() if frame.sam2) == list(range(1, 9))
    for one in frames[5].sam2.detections:
        mask = detection_mask(plain(one), chosen[one.index].frame_size)
        assert mask is not None
        assert np.array_equal(mask.to_array(), chosen[one.index].to_array())
        assert one.keyframe
