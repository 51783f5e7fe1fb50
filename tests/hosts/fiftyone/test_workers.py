"""A dataset tracked by several processes at once, which all write to its database."""

from __future__ import annotations

import pickle
from operator import attrgetter
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService

from sam2_plugins.fiftyone_plugin import propagate
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.propagation import run
from sam2_plugins.fiftyone_plugin.request import Progress, Request, Where
from tests.hosts.fiftyone.conftest import FRAMES, OPERATOR, Execute, label


@pytest.fixture
def movies(dataset: Any, video: Path) -> Any:
    """Three videos with a prompt on the first frame, and one whose file is gone."""
    samples = [fo.Sample(str(video)) for _ in range(3)]
    samples.append(fo.Sample(str(video.with_name("gone.mp4"))))
    for sample in samples:
        sample.frames[1]["seed"] = fo.Detections(detections=[label(1, 1)])
    dataset.add_samples(samples)
    return dataset


def test_workers_write_what_one_process_writes(movies: Any) -> None:
    alone = propagate(movies, "seed", "alone")
    told: list[Progress] = []
    shared = propagate(movies, "seed", "shared", workers=2, on_progress=told.append)
    by_sample = attrgetter("sample_id")
    assert sorted(shared.movies, key=by_sample) == sorted(alone.movies, key=by_sample)
    assert [shared.count("done"), shared.count("failed")] == [3, 1]
    assert told
    assert all(0 < one.share <= 1 for one in told)
    tracked = [frame for sample in movies for frame in sample.frames.values() if _has(frame)]
    assert len(tracked) == 3 * FRAMES
    for frame in tracked:
        for one, other in zip(frame.alone.detections, frame.shared.detections, strict=True):
            assert one.bounding_box == other.bounding_box
            assert (one.get_mask() == other.get_mask()).all()


def _has(frame: Any) -> bool:
    return frame.has_field("alone") and bool(frame.alone)


def test_the_field_that_workers_add_is_known_to_the_dataset_at_hand(movies: Any) -> None:
    propagate(movies[:1], "seed", workers=2)
    assert movies.count("frames.sam2.detections") == FRAMES


def test_views_at_hand_can_be_used_after_workers_have_added_a_field(movies: Any) -> None:
    clips = movies[:1].to_clips([[(1, 2)]])
    propagate(clips, "seed", "clips", workers=2)
    assert clips.count("frames.clips.detections") == 2
    trajectories = movies[:1].to_trajectories("frames.seed")
    propagate(trajectories, "seed", "trajectories", workers=2)
    assert len(trajectories.limit(1)) == 1  # FiftyOne looks for the fields that it excludes


def test_a_closed_run_of_workers_keeps_what_was_done(movies: Any) -> None:
    events = run(find_footage(movies[:2]), Request(("seed",)), Where(workers=2))
    next(event for event in events if isinstance(event, Progress))
    events.close()
    movies.reload()
    before = movies.count("frames.sam2.detections")
    assert before >= 1
    report = propagate(movies[:2], "seed")
    assert sum(movie.computed for movie in report.movies) == 2 * FRAMES - before


def test_a_delegated_run_takes_workers(movies: Any, execute: Execute) -> None:
    params = {"prompt_fields": ["seed"], "workers": 2}
    execute("propagate_masks", movies, **params, request_delegation=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=OPERATOR + "propagate_masks", limit=1)
    done = service.list_operations(operator=OPERATOR + "propagate_masks")[-1]
    assert done.run_state == "completed"
    assert done.result.result["summary"] == f"3 done, 1 failed: 3 objects on {3 * FRAMES} frames"


@pytest.mark.parametrize("kind", ["videos", "some", "clips", "frames"])
def test_a_movie_travels_though_its_dataset_is_renamed(
    movies: Any, kind: str, tmp_path: Any
) -> None:
    view = movies.select(movies.first().id)
    if kind == "some":
        view = view.filter_labels("frames.seed", fo.ViewField("index") == 1)
    if kind == "clips":
        movies.set_values(
            "events",
            {
                movies.first().id: fo.TemporalDetections(
                    detections=[fo.TemporalDetection(label="a", support=[3, 8])]
                )
            },
            key_field="id",
        )
        view = view.to_clips("events")
    if kind == "frames":
        view = view.to_frames(sample_frames=True, output_dir=str(tmp_path))
    (sent,) = find_footage(view)
    packed = pickle.dumps(sent)
    movies.name = f"{movies.name} renamed"
    got = pickle.loads(packed)
    assert (got.name, got.files, got.span) == (sent.name, sent.files, sent.span)
    assert [n for n, _ in got.read("seed", filtered=True)] == [
        n for n, _ in sent.read("seed", filtered=True)
    ]
