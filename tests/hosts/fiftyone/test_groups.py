"""Grouped datasets: a slice that is not active is read, written, judged and learned from, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest
from PIL import Image

from sam2_plugins.fiftyone_plugin import Request, evaluate, propagate, segment
from sam2_plugins.fiftyone_plugin.annotations import annotated_movies
from sam2_plugins.fiftyone_plugin.checks import check_propagation
from sam2_plugins.fiftyone_plugin.finding import find_movie
from sam2_plugins.fiftyone_plugin.footage import FootageError
from tests.hosts.fiftyone.conftest import Execute, disc, label, picture

LAST = 4
SLICES = "left", "right"


@pytest.fixture
def cameras(dataset: Any, video: Path) -> Any:
    """One group of two videos, of which the left one is active; the right one has other prompts."""
    dataset.add_group_field("group", default="left")
    group = fo.Group()
    samples = []
    for number, name in enumerate(SLICES, start=1):
        sample = fo.Sample(str(video), group=group.element(name))
        sample.frames[1] = fo.Frame(seed=fo.Detections(detections=[label(number, 1)]))
        samples.append(sample)
    dataset.add_samples(samples)
    return dataset


def found(dataset: Any, name: str) -> dict[int, list[int]]:
    """Frame to the indices of its masks, of a slice."""
    sample = dataset.select_group_slices(name).first()
    return {
        number: [one.index for one in frame["sam2"].detections]
        for number, frame in sample.frames.items()
        if frame.has_field("sam2") and frame["sam2"]
    }


def slice_of_view(dataset: Any) -> Any:
    view = dataset.view()
    view.group_slice = "right"
    return view


VIEWS: dict[str, Callable[[Any], Any]] = {
    "slice": lambda cameras: cameras.select_group_slices("right"),
    "both slices": lambda cameras: cameras.select_group_slices(list(SLICES)),
    "active slice of a view": slice_of_view,
    "clips": lambda cameras: cameras.select_group_slices("right").to_clips([[(1, LAST)]]),
    "frames": lambda cameras: cameras.select_group_slices("right").to_frames(sample_frames=True),
}


@pytest.mark.parametrize("kind", VIEWS)
def test_the_other_slice_is_tracked_and_tracked_again(cameras: Any, kind: str) -> None:
    for computed in (LAST, 0):
        report = propagate(VIEWS[kind](cameras), "seed", last=LAST)
        assert not report.problems
        assert {movie.computed for movie in report.movies} == {computed}
    assert found(cameras, "right") == {number: [2] for number in range(1, LAST + 1)}
    assert bool(found(cameras, "left")) == (kind == "both slices")


def test_a_correction_in_the_other_slice_is_a_prompt(cameras: Any) -> None:
    right = cameras.select_group_slices("right")
    propagate(right, "seed", last=LAST)
    sample = right.first()
    sample.frames[2]["sam2"] = fo.Detections(detections=[label(2, 2)])
    sample.save()
    (report,) = propagate(right, "seed", last=LAST).movies
    assert (report.objects, report.computed) == (1, LAST - 1)


def test_masks_of_the_other_slice_are_judged_and_learned_from(cameras: Any) -> None:
    right = cameras.select_group_slices("right")
    sample = right.first()
    for number in range(1, LAST + 1):
        sample.frames[number]["truth"] = fo.Detections(detections=[label(2, number)])
    sample.save()
    propagate(right, "seed", last=LAST)
    report = evaluate(right, "sam2", "truth")
    assert report.movies[0].J > 0.75
    assert right.values("sam2_eval_J") == [report.movies[0].J]
    (movie,) = annotated_movies(right, "truth")
    assert len(movie.frames) == LAST


def test_the_panel_finds_the_movie_of_the_other_slice(cameras: Any) -> None:
    sample = cameras.select_group_slices("right").first()
    movie = find_movie(cameras.view(), sample.id)
    assert [number for number, _ in movie.read("seed")] == [0]
    assert movie.sample_id == sample.id


def test_the_form_says_which_slice_is_taken(cameras: Any) -> None:
    notices = check_propagation(cameras, Request(("seed",)))
    assert notices == ["Only the slice 'left' is taken. For 'right' select that slice."]


@pytest.fixture
def scenes(dataset: Any, tmp_path: Path) -> Any:
    """Images of two cameras in time; names that only people sort as they were taken."""
    dataset.add_group_field("group", default="left")
    samples = []
    for frame in range(11):
        group = fo.Group()
        for name in SLICES:
            path = tmp_path / f"{name}{frame}.png"
            Image.fromarray(picture(frame)).save(path)
            sample = fo.Sample(str(path), group=group.element(name), scene="a", place=frame)
            if frame == 0:
                sample["seed"] = fo.Detections(detections=[label(1, 1)])
            samples.append(sample)
    dataset.add_samples(samples)
    return dataset


@pytest.mark.parametrize("order", ["place", None])
def test_images_of_the_other_slice_are_tracked_in_order(scenes: Any, order: str | None) -> None:
    right = scenes.select_group_slices("right")
    for computed in (11, 0):
        report = propagate(right.group_by("scene", order_by=order), "seed")
        assert [movie.computed for movie in report.movies] == [computed]
        assert report.movies[0].name.endswith("right0.png to right10.png (11 images)")
    for sample in right:
        (one,) = sample.sam2.detections
        shown = one.to_segmentation(frame_size=(128, 96), target=1).mask > 0
        true = disc(sample.place, 1)
        assert (shown & true).sum() / (shown | true).sum() > 0.75


def test_groups_by_scene_take_the_active_slice(scenes: Any) -> None:
    propagate(scenes.group_by("scene", order_by="place"), "seed")
    assert scenes.select_group_slices("left").count("sam2.detections") == 11
    assert scenes.select_group_slices("right").count("sam2.detections") == 0


def test_the_panel_finds_the_images_of_a_slice_that_is_not_active(scenes: Any) -> None:
    sample = scenes.select_group_slices("right").match({"place": 3}).first()
    movie = find_movie(scenes.group_by("scene", order_by="place"), sample.id)
    assert [Path(path).name for path in movie.files] == [f"right{n}.png" for n in range(11)]
    assert [frame for frame, _ in movie.read("seed")] == [0]


def test_single_images_of_the_other_slice_are_segmented_once(scenes: Any, execute: Execute) -> None:
    first = scenes.select_group_slices("right").match({"place": 0})
    for _ in range(2):
        execute("segment_images", first, prompt_fields=["seed"], output_field="one")
    assert scenes.select_group_slices("right").count("one.detections") == 1
    segment(scenes, Request(("seed",), "all"))
    assert scenes.select_group_slices(list(SLICES)).count("all.detections") == 2


def test_a_slice_of_pictures_is_told_with_those_of_movies(cameras: Any, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "still.png")
    element = cameras.first().group.element("still")
    cameras.add_sample(fo.Sample(str(tmp_path / "still.png"), group=element))
    view = cameras.view()
    view.group_slice = "still"
    with pytest.raises(FootageError, match="'still' holds no movies"):
        propagate(view, "seed")
