"""Single images and image sequences in the real FiftyOne."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
import tifffile
from fiftyone.operators.executor import ExecutionError
from PIL import Image

from sam2_plugins.fiftyone_plugin import Everything, Request, propagate, segment
from sam2_plugins.fiftyone_plugin.footage import FootageError
from sam2_plugins.fiftyone_plugin.operators.panel import Masklets
from sam2_plugins.fiftyone_plugin.segmentation import check_segmentation
from tests.hosts.fiftyone.conftest import (
    HEIGHT,
    WIDTH,
    Execute,
    disc,
    label,
    overlap,
    picture,
    put,
)

LENGTH = 8


def rendered(sample: Any, field: str = "sam2") -> dict[int, np.ndarray]:
    return {
        one.index: one.to_segmentation(frame_size=(WIDTH, HEIGHT), target=1).mask > 0
        for one in sample[field].detections
    }


@pytest.fixture
def images(dataset: Any, tmp_path: Path) -> Any:
    """Two sequences of images, added in the wrong order; the first frame of each is labelled."""
    samples = []
    for name, number in (("a", 1), ("b", 2)):
        for frame in reversed(range(LENGTH)):
            path = tmp_path / f"{name}-{frame}.png"
            Image.fromarray(picture(frame)).save(path)
            sample = fo.Sample(str(path), sequence=name, place=frame)
            if frame == 0:
                sample["seed"] = fo.Detections(detections=[label(number, 1)])
            samples.append(sample)
    dataset.add_samples(samples)
    return dataset


def check_tracked(images: Any) -> None:
    for name, number in (("a", 1), ("b", 2)):
        samples = list(images.match({"sequence": name}).sort_by("place"))
        for frame, sample in enumerate(samples):
            found = rendered(sample)
            assert list(found) == [number]
            assert overlap(found[number], disc(frame, number)) > 0.75


def test_each_dynamic_group_is_a_movie_in_its_order(images: Any, execute: Execute) -> None:
    groups = images.group_by("sequence", order_by="place")
    execute("propagate_masks", groups, prompt_fields=["seed"])
    check_tracked(images)


def test_single_images_become_movies_by_their_fields(images: Any, execute: Execute) -> None:
    execute(
        "propagate_masks", images, prompt_fields=["seed"], group_by="sequence", order_by="place"
    )
    check_tracked(images)


def test_16_bit_images_are_normalised_as_in_the_core(dataset: Any, tmp_path: Path) -> None:
    for frame in range(LENGTH):
        grey = picture(frame).mean(axis=2).astype(np.uint16) + 1000
        tifffile.imwrite(tmp_path / f"{frame}.tif", grey)
        sample = fo.Sample(str(tmp_path / f"{frame}.tif"), sequence="a", place=frame)
        if frame == 0:
            sample["seed"] = fo.Detections(detections=[label(1, 1)])
        dataset.add_sample(sample)
    report = propagate(dataset, "seed", group_by="sequence", order_by="place")
    assert not report.problems
    assert overlap(rendered(dataset.last())[1], disc(LENGTH - 1, 1)) > 0.75


def test_frames_of_videos_are_tracked_on_the_video(movie: Any, execute: Execute) -> None:
    put(movie, 2, "seed", label(1, 2))
    movie.compute_metadata()
    frames = movie.to_frames(sample_frames=True)
    execute(
        "propagate_masks", frames.match(fo.ViewField("frame_number") <= 6), prompt_fields=["seed"]
    )
    shown = movie.values("frames.sam2.detections.index")[0]
    assert shown[1:6] == [[1]] * 5
    assert not any(shown[6:])
    assert frames.values("sam2.detections.index")[:7] == [None, *[[1]] * 5, None]


def test_frames_that_are_grouped_by_their_video_are_tracked(movie: Any) -> None:
    put(movie, 2, "seed", label(1, 2))
    movie.compute_metadata()
    frames = movie.to_frames(sample_frames=True)
    report = propagate(frames.group_by("sample_id", order_by="frame_number"), "seed", last=4)
    assert (report.count("done"), report.movies[0].frames) == (1, 3)


def test_a_clip_keeps_to_its_frames(movie: Any, execute: Execute) -> None:
    put(movie, 4, "seed", label(1, 4))
    clips = movie.to_clips([[(3, 9)]])
    execute("propagate_masks", clips, prompt_fields=["seed"], direction="both")
    numbers = [n for n, frame in movie.first().frames.items() if frame.sam2]
    assert numbers == list(range(3, 10))


@pytest.mark.parametrize(
    "kind", ["clips", "frames", "frames of clips", "frames of some labels", "grouped frames"]
)
def test_only_labels_that_a_view_of_clips_or_frames_shows_are_prompts(
    movie: Any, kind: str
) -> None:
    put(movie, 1, "seed", label(1, 1), label(2, 1, label="other"))
    movie.compute_metadata()
    is_disc = fo.ViewField("label") == "disc"
    if kind in ("clips", "frames of clips"):
        view = movie.to_clips([[(1, 3), (2, 4)]]).filter_labels("frames.seed", is_disc)
        view = view.to_frames(sample_frames=True) if kind == "frames of clips" else view
    elif kind == "frames of some labels":
        some = movie.filter_labels("frames.seed", is_disc)
        view = some.to_frames(sample_frames=True)
    else:
        frames = movie.to_frames(sample_frames=True)
        view = frames.filter_labels("seed", is_disc, only_matches=False)
        if kind == "grouped frames":
            view = view.group_by("sample_id", order_by="frame_number")
    propagate(view, "seed", last=3)
    shown = movie.values("frames.sam2.detections.index")[0]
    assert shown[:3] == [[1]] * 3


def test_each_trajectory_has_a_report(movie: Any) -> None:
    for number in range(1, 4):
        put(movie, number, "seed", label(1, number), label(2, number))
    view = movie.to_trajectories("frames.seed")
    names = [one.name for one in propagate(view, "seed", prompt_frames=[1]).movies]
    assert names == [f"discs.mp4, frames 1 to 3, disc {number}" for number in (1, 2)]


@pytest.mark.parametrize("left_out", [(), ("note",)])
def test_labels_that_came_after_a_view_of_frames_are_prompts(
    movie: Any, left_out: tuple[str, ...]
) -> None:
    put(movie, 1, "seed", label(1, 1))
    movie.compute_metadata()
    movie.add_frame_field("note", fo.StringField)
    frames = movie.to_frames(sample_frames=True).exclude_fields(left_out).limit(3)
    put(movie, 1, "seed", label(1, 1), label(2, 1))
    (report,) = propagate(frames, "seed").movies
    assert (report.objects, report.frames) == (2, 3)


def test_images_are_grouped_by_a_field_within_a_field(images: Any) -> None:
    images.set_values("plate", [fo.DynamicEmbeddedDocument(well=s.sequence) for s in images])
    images.add_dynamic_sample_fields()
    report = propagate(images, "seed", group_by="plate.well", order_by="place")
    assert report.count("done") == 2


def test_the_panel_opens_on_flat_groups(images: Any) -> None:
    flat = images.group_by("sequence", order_by="place", flat=True)
    state = SimpleNamespace(field=None)
    panel = SimpleNamespace(state=state, data=SimpleNamespace())
    store = SimpleNamespace(list_keys=list)
    about = {"view": flat, "current_sample": None, "selected": []}
    Masklets().on_load(SimpleNamespace(panel=panel, store=lambda _: store, **about))
    assert "group the images by the field" in state.problem


def test_patches_are_told_that_they_are_patches(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    movie.compute_metadata()
    patches = movie.to_frames(sample_frames=True).to_patches("seed")
    with pytest.raises(FootageError, match="These are patches"):
        segment(patches, Request(("seed",)))


def test_boxes_on_single_images_become_masks(images: Any, execute: Execute) -> None:
    first = images.match({"place": 0})
    for sample in first:
        (one,) = sample.seed.detections
        sample["boxes"] = fo.Detections(detections=[label(one.index, 1, "box")])
        sample.save()
    execute("segment_images", first, prompt_fields=["boxes"])
    for sample in images.match({"place": 0}):
        ((number, mask),) = rendered(sample).items()
        assert overlap(mask, disc(0, number)) > 0.85


def test_everything_in_an_image_is_found_without_a_prompt(images: Any, execute: Execute) -> None:
    first = images.match({"place": 0, "sequence": "a"})
    execute(
        "segment_images",
        first,
        everything=True,
        min_iou=0.5,
        min_stability=0.8,
        output_field="all",
    )
    (sample,) = images.match({"place": 0, "sequence": "a"})
    found = list(rendered(sample, "all").values())
    for number in (1, 2):
        assert max(overlap(mask, disc(0, number)) for mask in found) > 0.75


def test_a_video_is_no_image(movie: Any, execute: Execute) -> None:
    with pytest.raises(ExecutionError, match="propagate_masks"):
        execute("segment_images", movie, everything=True)


def changed(images: Any, wanted: str, field: str, value: Any) -> Any:
    """Change a field of the last two images of sequence a."""
    places = fo.ViewField("place") >= LENGTH - 2
    view = images.match({"sequence": wanted}).match(places)
    view.set_values(field, [value] * 2)
    return images


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("place", 3, "a-3.png, a-6.png, a-7.png have the same place 3"),
        ("place", None, "Without a place in 'place': a-6.png, a-7.png"),
        ("sequence", None, "no value in the field of their movie"),
    ],
)
def test_images_without_a_place_of_their_own_are_named_and_not_tracked(
    images: Any, field: str, value: Any, message: str
) -> None:
    for sample in changed(images, "a", field, value):
        if sample["sequence"] is None:
            sample["seed"] = fo.Detections(detections=[label(1, 1)])
            sample.save()
    report = propagate(images, "seed", group_by="sequence", order_by="place")
    assert report.count("failed") == 1
    assert any(message in line for line in report.problems)
    done = images.match(fo.ViewField("sam2.detections").length() > 0)
    assert {sample["sequence"] for sample in done} >= {"b"}
    assert None not in {sample["sequence"] for sample in done}


def test_an_image_alone_in_its_group_needs_no_place(images: Any) -> None:
    images.set_values("place", [None] * len(images))
    alone = images.exists("seed")
    report = propagate(alone, "seed", group_by="sequence", order_by="place")
    assert report.count("done") == 2


def test_images_of_which_none_has_a_movie_are_told_of(images: Any) -> None:
    images.set_values("sequence", [None] * len(images))
    (problem,) = propagate(images, "seed", group_by="sequence").problems
    assert "no value in the field of their movie" in problem


def test_labels_that_are_filtered_after_the_grouping_are_the_prompts(images: Any) -> None:
    for sample in images.match({"place": 0}):
        sample.seed.detections.append(label(2, 1, label="other", index=9))
        sample.save()
    groups = images.group_by("sequence", order_by="place")
    propagate(groups.filter_labels("seed", fo.ViewField("label") == "disc"), "seed")
    check_tracked(images)


def test_a_view_of_frames_may_be_made_anew_during_its_run(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    movie.compute_metadata()
    frames = movie.to_frames(sample_frames=True)
    reloaded = []

    def reload(_: Any) -> None:
        if not reloaded:
            reloaded.append(frames.reload())

    (report,) = propagate(frames, "seed", last=4, on_progress=reload).movies
    assert (report.state, report.frames) == ("done", 4)
    assert len(movie.match_frames(fo.ViewField("sam2.detections").length() > 0)) == 1


def test_masks_that_a_search_for_everything_replaces_are_named_in_the_form(images: Any) -> None:
    request = Request((), "sam2")
    assert not check_segmentation(images, request, Everything())
    propagate(images, "seed", group_by="sequence", order_by="place")
    (notice,) = check_segmentation(images, request, Everything())
    assert "'sam2' holds masks that SAM 2 made before" in notice
