"""Stopping, going on, correcting and delegating, in the real FiftyOne."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
import torch
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.store import ExecutionStore

from sam2_plugins.core.checkpoints import cache_dir, save_model
from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.frames import encode_video
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import build_model
from sam2_plugins.core.variants import get_variant
from sam2_plugins.fiftyone_plugin import propagate
from sam2_plugins.fiftyone_plugin.documents import make_detection, read_made
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.objects import TrackedLabel
from sam2_plugins.fiftyone_plugin.propagation import run
from sam2_plugins.fiftyone_plugin.request import Progress, Request
from sam2_plugins.fiftyone_plugin.runs import STORE, Run, at_work, ended, stop_runs
from tests.hosts.fiftyone.conftest import (
    FRAMES,
    HEIGHT,
    OPERATOR,
    WIDTH,
    Execute,
    disc,
    label,
    masks,
    overlap,
    picture,
    put,
)


def test_a_closed_run_keeps_what_was_done_and_another_goes_on(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    events = run(find_footage(movie), Request(("seed",)))
    for _ in range(9):
        next(events)
    events.close()
    before = masks(movie)
    assert sorted(before) == list(range(1, 10))
    (report,) = propagate(movie, "seed").movies
    assert (report.frames, report.computed) == (FRAMES, FRAMES - 9)
    after = masks(movie)
    assert all((after[number][1] == before[number][1]).all() for number in before)


def test_a_movie_has_one_journal_until_it_is_done(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    folder = cache_dir() / "fiftyone" / str(movie._doc.id)
    for direction in ("forward", "both"):
        events = run(
            find_footage(movie), Request.of({"prompt_fields": "seed", "direction": direction})
        )
        next(events)
        events.close()
        assert len(list(folder.glob("*.jsonl"))) == 1
    propagate(movie, "seed")
    assert not list(folder.iterdir())


@pytest.mark.parametrize("all_objects", [False, True])
def test_a_video_that_was_replaced_under_its_name_is_tracked_again(
    dataset: Any, tmp_path: Path, all_objects: bool
) -> None:
    """The discs of the other one go the other way, from where they begin in the first."""
    path, frames = tmp_path / "v.mp4", 6
    encode_video(path, (picture(n) for n in range(frames)), 12)
    dataset.add_sample(fo.Sample(str(path)))
    put(dataset, 1, "seed", label(1, 1))
    report = propagate(dataset, "seed", all_objects=all_objects)
    assert report.movies[0].computed == frames
    assert propagate(dataset, "seed", all_objects=all_objects).movies[0].computed == 0
    os.utime(path)  # touched is not replaced
    assert propagate(dataset, "seed", all_objects=all_objects).movies[0].computed == 0
    turned = [np.roll(picture(0), (-n, n), axis=(1, 0)) for n in range(frames)]
    encode_video(path, turned, 12)
    assert propagate(dataset, "seed", all_objects=all_objects).movies[0].computed == frames
    truth = np.roll(disc(0, 1), (1 - frames, frames - 1), axis=(1, 0))
    assert overlap(masks(dataset)[frames][1], truth) > 0.7
    assert propagate(dataset, "seed", all_objects=all_objects).movies[0].computed == 0


def test_a_sample_that_is_given_another_video_is_tracked_again(movie: Any, tmp_path: Path) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=4)
    other = encode_video(tmp_path / "other.mp4", (picture(3 - n) for n in range(4)), 12)
    moved = shutil.copy(movie.first().filepath, tmp_path / "moved.mp4")
    for path, computed in ((moved, 0), (other, 4), (other, 0)):
        movie.set_values("filepath", [str(path)])
        assert propagate(movie, "seed", last=4).movies[0].computed == computed


@pytest.mark.parametrize("all_objects", [False, True])
def test_masks_of_a_video_of_another_size_under_its_name_are_no_persons(
    dataset: Any, tmp_path: Path, all_objects: bool
) -> None:
    path, frames = tmp_path / "v.mp4", 4
    encode_video(path, (picture(n) for n in range(frames)), 12)
    dataset.add_sample(fo.Sample(str(path)))
    put(dataset, 1, "seed", label(1, 1))
    propagate(dataset, "seed", all_objects=all_objects)
    sample = dataset.first()
    (corrected,) = (one for one in sample.frames[2].sam2.detections if one.index == 1)
    corrected.mask = label(1, 2).mask | True
    sample.save()
    double = np.ones((2, 2, 1), np.uint8)
    encode_video(path, (np.kron(picture(n), double) for n in range(frames)), 12)
    report = propagate(dataset, "seed", all_objects=all_objects)
    assert report.movies[0].computed >= frames - 1
    dataset.reload()
    found = [
        one
        for _, frame in dataset.first().frames.items()
        for one in frame.sam2.detections
        if one.index == 1
    ]
    assert [one.mask.shape[0] > 40 for one in found] == [True, False, True, True]
    assert found[1].mask.all(), "a correction stays"


@pytest.mark.parametrize("place", [(0, 0), (7, 5)])
def test_a_box_that_a_person_has_widened_is_of_a_person(place: tuple[int, int]) -> None:
    made = ObjectMask(np.eye(20, dtype=bool), place, (HEIGHT, WIDTH))
    one = make_detection(TrackedLabel("0" * 24, "disc", 1), made, "cause", keyframe=False)
    assert read_made(one, (HEIGHT, WIDTH)) is not None
    x, y, width, height = one.bounding_box
    one.bounding_box = [x, y, 2 * width, 2 * height]
    assert read_made(one, (HEIGHT, WIDTH)) is None


def test_a_finished_run_is_not_computed_again(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed")
    (report,) = propagate(movie, "seed").movies
    assert (report.frames, report.computed) == (FRAMES, 0)


def test_a_corrected_mask_is_a_prompt_and_stays_as_it_is(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1), label(2, 1))
    propagate(movie, "seed")
    sample = movie.first()
    (wrong,) = (one for one in sample.frames[10].sam2.detections if one.index == 1)
    shifted = np.zeros_like(disc(9, 1))
    shifted[:, 3:] = disc(9, 1)[:, :-3]
    ys, xs = np.nonzero(shifted)
    x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    wrong.bounding_box = [x0 / 128, y0 / 96, (x1 - x0) / 128, (y1 - y0) / 96]
    wrong.mask = shifted[y0:y1, x0:x1]
    sample.save()
    (report,) = propagate(movie, "seed").movies
    assert report.objects == 2, "the correction is of an object that was there"
    movie.reload()
    assert (masks(movie)[10][1] == shifted).all()
    assert all(sorted(found) == [1, 2] for found in masks(movie).values())


def test_masks_on_the_disk_are_those_in_the_database(movie: Any, tmp_path: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", "inside", last=4)
    propagate(movie, "seed", "outside", last=4, masks_folder=tmp_path)
    one, other = masks(movie, "inside"), masks(movie, "outside")
    assert all((one[number][1] == other[number][1]).all() for number in one)
    assert len(list(tmp_path.rglob("*.png"))) == 4
    (report,) = propagate(movie, "seed", "outside", last=4, masks_folder=tmp_path).movies
    assert report.computed == 0


@pytest.mark.parametrize("kind", ["another field", "a clone"])
def test_a_folder_of_masks_may_be_shared(movie: Any, tmp_path: Path, kind: str) -> None:
    """Both objects are “disc 1” of the same sample."""
    put(movie, 1, "seed", label(1, 1))
    put(movie, 1, "seed2", label(2, 1, index=1))
    propagate(movie, "seed", last=3, masks_folder=tmp_path)
    before = masks(movie)
    if kind == "a clone":
        clone = movie.clone()
        clone.delete_frame_field("sam2")
        propagate(clone, "seed2", last=3, masks_folder=tmp_path)
        clone.delete()
    else:
        propagate(movie, "seed2", "other", last=3, masks_folder=tmp_path)
    assert all((masks(movie)[frame][1] == before[frame][1]).all() for frame in (1, 2, 3))


def test_masks_on_the_disk_that_are_gone_are_made_anew_and_told_of(
    movie: Any, tmp_path: Path
) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=3, masks_folder=tmp_path / "masks")
    (tmp_path / "masks").rename(tmp_path / "moved")
    (report,) = propagate(movie, "seed", last=3, masks_folder=tmp_path / "moved").movies
    assert report.computed == 3
    (told,) = report.problems
    assert told.startswith(f"3 masks of earlier runs were not there, such as {tmp_path / 'masks'}")


@pytest.mark.parametrize("what", ["dataset", "sample"])
def test_what_is_deleted_during_a_run_is_told_of(video: Path, what: str) -> None:
    dataset = fo.Dataset()
    dataset.add_sample(fo.Sample(str(video)))
    put(dataset, 1, "seed", label(1, 1))

    def delete(_: Progress) -> None:
        if dataset.deleted:
            return
        if what == "dataset":
            dataset.delete()
        else:
            dataset.clear()

    (report,) = propagate(dataset, "seed", last=3, on_progress=delete).movies
    assert report.state == "failed"
    assert "deleted meanwhile" in report.error


def test_a_cache_that_cannot_be_written_is_named(
    movie: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(tmp_path / "file"))
    put(movie, 1, "seed", label(1, 1))
    (report,) = propagate(movie, "seed", last=4).movies
    assert report.state == "failed"
    assert "another place with SAM2_PLUGINS_CACHE" in report.error


def test_an_object_that_goes_is_marked_as_lost(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    away = fo.Classification(label="disc", index=1)
    sample_id = movie.first().id
    gone = fo.Classifications(classifications=[away])
    movie.set_values("frames.sam2_lost", {sample_id: {6: gone}}, key_field="id", dynamic=True)
    propagate(movie, "seed", last=6)
    assert 1 not in masks(movie).get(6, {}), "a person said that it is not there"
    (still,) = movie.first().frames[6].sam2_lost.classifications
    assert still.id == away.id


def test_a_delegated_run_stores_its_progress_and_its_report(movie: Any, execute: Execute) -> None:
    put(movie, 1, "seed", label(1, 1))
    execute("propagate_masks", movie, prompt_fields=["seed"], request_delegation=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=OPERATOR + "propagate_masks", limit=1)
    movie.reload()
    found = masks(movie)
    assert len(found) == FRAMES
    assert overlap(found[FRAMES][1], disc(FRAMES - 1, 1)) > 0.75
    done = service.list_operations(operator=OPERATOR + "propagate_masks")[-1]
    assert done.run_state == "completed"
    assert done.result.result["summary"] == f"1 done: 1 objects on {FRAMES} frames"


def test_stop_ends_a_run_and_keeps_what_was_done(movie: Any, execute: Execute) -> None:
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    put(movie, 1, "seed", label(1, 1))
    context = ExecutionContext(
        {"dataset_name": movie.name, "params": {"prompt_fields": ["seed"]}}, executor=Executor()
    )
    steps = foo.get_operator(OPERATOR + "propagate_masks").execute(context)
    next(steps)
    execute("stop_propagation", movie)
    list(steps)
    assert 1 <= len(masks(movie)) < FRAMES


def test_a_run_of_the_app_goes_on_beside_it_until_it_is_stopped(
    movie: Any, execute: Execute
) -> None:
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext, Executor

    put(movie, 1, "seed", label(1, 1))
    uri = OPERATOR + "propagate_masks"
    params = {"dataset_name": movie.name, "params": {"prompt_fields": ["seed"]}}
    context = ExecutionContext(
        {**params, "operator_uri": uri}, executor=Executor(), operator_uri=uri
    )
    list(foo.get_operator(uri).execute(context))
    store = context.store(STORE)
    assert at_work(store)
    execute("stop_propagation", movie)
    deadline = time.monotonic() + 60
    while at_work(store):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ended(store)[0]["text"].startswith("0 done, 1 stopped")
    movie.reload()
    assert len(masks(movie)) < FRAMES


def test_runs_beside_each_other_are_shown_and_stopped_each(movie: Any) -> None:
    store = ExecutionStore.create(STORE, dataset_id=movie._doc.id)
    one, other = Run(store), Run(store)
    one.show(Progress("a.mp4", 0, 1, 1, 4))
    other.show(Progress("b.mp4", 0, 1, 2, 4))
    assert [run["share"] for run in at_work(store)] == [0.25, 0.5]
    other.end("1 done")
    assert [run["share"] for run in at_work(store)] == [0.25]
    stop_runs(SimpleNamespace(store=lambda _: store, ops=SimpleNamespace(notify=print)))
    assert one.is_to_stop()
    one.end("1 stopped")
    assert [run["text"] for run in ended(store)] == ["1 done", "1 stopped"]
    assert not Run(store).is_to_stop()
    assert not ended(store)


def test_a_scheduled_run_needs_no_orchestrator_of_fiftyone_enterprise() -> None:
    import fiftyone.operators as foo

    operator = foo.get_operator(OPERATOR + "propagate_masks")
    options = operator.resolve_execution_options(None)
    assert options.allow_delegated_execution
    assert not options.to_dict()["orchestrator_registration_enabled"]


def test_the_memory_that_was_chosen_is_part_of_what_masks_come_from(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    assert propagate(movie, "seed").movies[0].computed == FRAMES
    assert propagate(movie, "seed").movies[0].computed == 0
    assert propagate(movie, "seed", memory="motion").movies[0].computed == FRAMES
    with pytest.raises(Sam2PluginsError, match="no memory policy 'elephant'"):
        propagate(movie, "seed", memory="elephant")


def test_a_model_that_was_trained_anew_into_its_file_makes_its_masks_anew(
    movie: Any, tmp_path: Path
) -> None:
    put(movie, 1, "seed", label(1, 1))
    weights = tmp_path / "mine.pt"
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_model(build_model(get_variant("nano"), 64), weights)
        for computed in (3, 0):
            report = propagate(movie, "seed", last=3, model=str(weights), image_size=64)
            assert report.movies[0].computed == computed


@pytest.mark.parametrize(
    ("direction", "prompted", "narrow"),
    [("forward", 1, {"first": 20}), ("backward", FRAMES, {"last": 5}), ("both", 1, {"first": 20})],
)
def test_a_range_away_from_its_prompt_gets_the_masks_that_all_frames_would_have_given(
    movie: Any, direction: Any, prompted: int, narrow: dict[str, Any]
) -> None:
    put(movie, prompted, "seed", label(1, prompted))
    whole = movie.clone()
    propagate(movie, "seed", direction=direction, **narrow)
    movie.reload()
    propagate(whole, "seed", direction=direction)
    parts, wanted = masks(movie), masks(whole)
    assert sorted(parts) == [*range(narrow.get("first", 1), narrow.get("last", FRAMES) + 1)]
    assert all((parts[frame][1] == wanted[frame][1]).all() for frame in parts)
    whole.delete()
