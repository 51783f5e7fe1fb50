"""All objects of a movie without a prompt: tracks, and what happens to them, as labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from sam2_plugins.core.frames import encode_video
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin import propagate
from sam2_plugins.fiftyone_plugin.documents import inherit
from tests.hosts.fiftyone.conftest import (
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
from tests.support.movies import dividing

LAST = 8
DIVIDED, LONG = 6, 12


def test_every_object_is_one_track_and_nothing_is_computed_twice(
    movie: Any, execute: Execute
) -> None:
    execute("propagate_masks", movie, all_objects=True, last=LAST)
    movie.reload()
    found = masks(movie)
    assert sorted(found) == list(range(1, LAST + 1))
    assert {len(here) for here in found.values()} == {2}
    instances = {
        (one.index, one.instance.id)
        for frame in movie.first().frames.values()
        if frame["sam2"]
        for one in frame.sam2.detections
    }
    assert len(instances) == 2
    for number in (1, LAST):
        best = [
            max(overlap(m, disc(number - 1, n)) for m in found[number].values()) for n in (1, 2)
        ]
        assert min(best) > 0.75
    steps: list[Any] = []
    report = propagate(movie, all_objects=True, last=LAST, on_progress=steps.append)
    assert not steps
    assert str(report) == f"1 done: 2 objects on {LAST} frames"


def test_what_is_found_in_a_photograph_comes_with_the_note_that_nano_does_not_know_them(
    dataset: Any, tmp_path: Path
) -> None:
    red = (picture(n) // np.array([1, 2, 4], np.uint8) for n in range(3))
    encode_video(tmp_path / "red.mp4", red, 12)
    dataset.add_sample(fo.Sample(str(tmp_path / "red.mp4")))
    (report,) = propagate(dataset, all_objects=True).movies
    assert "published checkpoint" in " ".join(report.notices)


@pytest.mark.parametrize("wanted", [True, False])
def test_the_form_asks_for_prompts_only_where_they_are_needed(movie: Any, wanted: bool) -> None:
    params = {"dataset_name": movie.name, "params": {"all_objects": wanted}}
    context = ExecutionContext(params, executor=Executor())
    form = foo.get_operator(OPERATOR + "propagate_masks").resolve_input(context)
    asked = {*form.type.properties}
    assert ("prompt_fields" in asked, "problem" in asked) == (not wanted, not wanted)


def test_what_a_person_labelled_is_one_of_them(movie: Any) -> None:
    put(movie, 1, "sam2", label(1, 1, index=7))
    before = movie.first().frames[1].sam2.detections[0].id
    propagate(movie, all_objects=True, last=LAST)
    movie.reload()
    assert before in [one.id for one in movie.first().frames[1].sam2.detections]
    found = masks(movie)
    assert {len(here) for here in found.values()} == {2}
    assert overlap(found[LAST][7], disc(LAST - 1, 1)) > 0.75


def test_earlier_masks_stay_until_the_new_ones_are_there_and_those_of_people_longer(
    movie: Any,
) -> None:
    propagate(movie, all_objects=True, last=LAST)
    sample = movie.first()
    theirs = sample.frames[2].sam2.detections[0]
    theirs.mask = np.ones_like(theirs.mask)
    sample.save()
    before = ids(movie)

    def stop(progress: Any) -> None:
        if progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        propagate(movie, all_objects=True, last=LAST, on_progress=stop)
    assert ids(movie) == before
    propagate(movie, all_objects=True, last=LAST)
    assert ids(movie) & before == {theirs.id}
    assert {len(here) for here in masks(movie).values()} == {2}


def ids(movie: Any) -> set[str]:
    movie.reload()
    return {one.id for frame in movie.first().frames.values() for one in frame.sam2.detections}


def test_a_corrected_mask_has_only_its_object_tracked_again(movie: Any) -> None:
    propagate(movie, all_objects=True, last=4)
    sample = movie.first()
    (one,) = (one for one in sample.frames[2].sam2.detections if one.index == 1)
    one.mask = np.ones_like(one.mask)
    sample.save()
    report = propagate(movie, "sam2", last=4, remove_unprompted=True)
    assert (report.movies[0].objects, report.movies[0].computed) == (1, 2)
    assert not report.movies[0].unprompted
    movie.reload()
    assert {len(here) for here in masks(movie).values()} == {2}


def test_what_people_gave_to_machine_labels_survives_another_search_for_all_objects(
    movie: Any,
) -> None:
    propagate(movie, all_objects=True, last=3)
    sample = movie.first()
    for number in (1, 2, 3):
        one, other = sample.frames[number].sam2.detections
        one.label, one["stage"] = "mother", "G2"
        one.tags.append("checked")
        if number == 2:
            other.mask = np.ones_like(other.mask)
    sample.save()
    shown = next(iter(masks(movie)[1].values()))
    assert propagate(movie, all_objects=True, last=3).movies[0].computed
    movie.reload()
    for number in (1, 2, 3):
        (one,) = (x for x in movie.first().frames[number].sam2.detections if x.label == "mother")
        assert (one.tags, one["stage"], bool(one.sam2_mark)) == (["checked"], "G2", True)
        assert overlap(masks(movie)[number][one.index], shown) > 0.6


def test_daughters_know_their_mother_and_when_they_were_born(dataset: Any, tmp_path: Path) -> None:
    images = (np.repeat(image[..., None], 3, -1) for image in dividing(LONG, DIVIDED))
    dataset.add_sample(fo.Sample(str(encode_video(tmp_path / "dividing.mp4", images, 12))))
    (report,) = propagate(dataset, all_objects=True).movies
    assert (report.objects, report.divided) == (4, 1)
    dataset.reload()
    frames = dataset.first().frames
    before = {one.index for one in frames[DIVIDED].sam2.detections}
    daughters = [
        one for one in frames[LONG].sam2.detections if one.has_field("parent") and one.parent
    ]
    assert len(daughters) == 2
    assert {one.parent for one in daughters} <= before
    told = {
        (number, _value(one, "event"))
        for number, frame in frames.items()
        for one in frame.sam2.detections
        if number > 1 and _value(one, "event")
    }
    assert told == {(DIVIDED + 1, "divided")}


def _value(one: Any, name: str) -> Any:
    return one[name] if one.has_field(name) else None


def test_clips_and_a_range_leave_the_masks_of_other_frames_alone(movie: Any) -> None:
    sample, clips = movie.first(), ([1, 4], [7, 10])
    sample["halves"] = fo.TemporalDetections(
        detections=[fo.TemporalDetection(label="half", support=clip) for clip in clips]
    )
    sample.save()
    propagate(movie.to_clips("halves"), all_objects=True)
    movie.reload()
    there = {number: {*here} for number, here in masks(movie).items()}
    assert sorted(there) == [1, 2, 3, 4, 7, 8, 9, 10]
    assert not there[4] & there[7]  # nobody knows who is who
    before = ids(movie)
    propagate(movie, all_objects=True, first=9, last=12)
    assert len(ids(movie) & before) == 2 * 6
    again = {number: {*here} for number, here in masks(movie).items()}
    assert sorted(again) == [1, 2, 3, 4, *range(7, 13)]
    assert {len(here) for here in again.values()} == {2}


def test_objects_that_are_away_do_not_get_what_people_gave_to_one_of_them() -> None:
    away, fresh = ObjectMask.empty((HEIGHT, WIDTH)), fo.Classification(label="cell")
    inherit(fresh, away, [(away, {"label": "dead", "tags": ["check"]})])
    assert (fresh.label, fresh.tags) == ("cell", [])
